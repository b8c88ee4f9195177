"""What a message says: records write parts of it, and may not make it say anything else."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any

from flows.alerts.hooks import Webhook
from flows.alerts.texts import message
from storage.model import FindingRow

HOOK = Webhook("https://hooks.example/a")
KEY = {"feature": "notes", "version": 2, "run_id": "r1"}
DRIFT = FindingRow("drift", "alarm", "it moved", 0.1, 0.2, 0.5, 2.0, 100, 100, None, ("a",))


def text_of(*findings: FindingRow, hook: Webhook = HOOK) -> str:
    text: str = message(hook, KEY, findings)["text"]
    return text


def test_it_is_as_documented() -> None:
    hook = replace(HOOK, link="https://reports.example/{feature}?v={version}&r={run}")
    assert text_of(DRIFT, hook=hook) == (
        "notes v2, alarm: record a (drift)\n"
        "• drift, alarm: it moved\n"
        "  clearest records: a\n"
        "More: https://reports.example/notes?v=2&amp;r=r1\n"
        "To hear no more of it for a week: vecmill snooze notes drift --for 7d"
    )
    assert text_of(DRIFT, replace(DRIFT, monitor="mmd")).endswith("vecmill snooze notes --for 7d")


def test_what_records_say_calls_nobody_and_leads_nowhere() -> None:
    ids = ("<!channel> & <b>", "@here", "[x](https://evil.example)", "two\nlines\x1b[1m\u202e")
    _, summary, records, *_ = text_of(
        replace(DRIFT, summary="label = <@U1>", record_ids=ids)
    ).splitlines()
    assert summary == "• drift, alarm: label = &lt;\u200b@\u200bU1&gt;"
    assert records == (
        "  clearest records: &lt;\u200b!channel&gt; &amp; &lt;b&gt;, @\u200bhere, "
        "[x]\u200b(https:\u200b//evil.example), two\\nlines\\x1b[1m\\u202e"
    )


def test_it_has_a_sane_length() -> None:
    ids = tuple(f"{n}" * 900 for n in range(99))
    findings = [
        replace(DRIFT, monitor=f"m{n}", summary="s" * 5000, record_ids=ids) for n in range(30)
    ]
    made = message(HOOK, KEY, findings)
    assert len(made["text"]) < 4000
    head = made["text"].partition("\n")[0]
    assert head.startswith("notes v2, alarm: records 000")
    assert head.endswith(" and 96 more (m0, m1, m2, m3, m4) and 25 more")
    left = re.search(r"… and (\d+) more, which `vecmill monitor` shows", made["text"])
    assert left is not None
    assert made["text"].count("•") + int(left[1]) == 30
    figures: list[dict[str, Any]] = made["vecmill"]["findings"]
    assert {len(f["summary"]) for f in figures} == {600}
    assert {(len(f["record_ids"]), max(map(len, f["record_ids"]))) for f in figures} == {(50, 80)}


def test_it_is_json_whatever_records_and_monitors_say() -> None:
    odd = replace(DRIFT, record_ids=("\ud800",), p_value=float("nan"), effect_size=float("inf"))
    made = message(HOOK, KEY, [odd])
    assert json.loads(json.dumps(made, allow_nan=False, ensure_ascii=False).encode()) == made
    assert made["vecmill"]["findings"] == [
        {"monitor": "drift", "verdict": "alarm", "summary": "it moved", "record_ids": ["\\ud800"]}
    ]


def part(kind: str, name: str, verdict: str = "alarm") -> dict[str, Any]:
    return {"kind": kind, "name": name, "verdict": verdict, "summary": "", "record_ids": []}


def test_it_begins_with_what_moved() -> None:
    words = [part("word", f"w{n}") for n in range(5)]
    quiet = part("slice", "label = still", "quiet")
    found = (*words, part("cluster", "cluster 3"), quiet, part("slice", "label = <Sports>"))

    def first(*parts: dict[str, Any], monitor: str = "drift") -> str:
        return text_of(replace(DRIFT, monitor=monitor, parts=parts)).partition("\n")[0]

    assert first(*found) == "notes v2, alarm: label = &lt;Sports&gt; (drift)"
    assert first(*words) == "notes v2, alarm: words w0, w1, w2 and 2 more (drift)"
    assert first(part("detector", "lof")) == "notes v2, alarm: record a (drift)"
    assert text_of(replace(DRIFT, record_ids=())).startswith("notes v2, alarm: drift\n")


def test_a_milder_verdict_is_told_of() -> None:
    watch = replace(DRIFT, verdict="watch")
    assert text_of(watch).startswith("notes v2, watch: record a (drift: watch)\n")
    both = text_of(watch, replace(DRIFT, monitor="mmd"))
    assert both.startswith("notes v2, alarm: record a (drift: watch, mmd)\n")


def test_what_is_new_is_told_first_and_in_figures() -> None:
    made = message(HOOK, KEY, [DRIFT], {"drift": ("slice label = <!here>", "holds up publishing")})
    first, _, second, *_ = made["text"].splitlines()
    new = "label = &lt;\u200b!here&gt; and holds up publishing"
    assert first == f"notes v2, alarm: now also {new} (drift)"
    assert second == f"  new since it was told: {new}"
    assert made["vecmill"]["findings"][0]["new"] == [
        "slice label = <!here>",
        "holds up publishing",
    ]
