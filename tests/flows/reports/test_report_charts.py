"""What a report shows over time and in tables, of findings made for it: no store is needed."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from flows.monitors import base
from flows.monitors.base import Part
from flows.reports.lanes import lanes
from flows.reports.looks import anew, described
from flows.reports.model import Conclusion, Look, Ran, Report, Watched
from flows.reports.page import page
from flows.reports.short import markdown
from flows.reports.tables import checks
from flows.reports.terms import TERMS, named

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def look(nth: int, statistic: float, verdict: str = "quiet", **more: Any) -> Look:  # noqa: ANN401 - its fields
    given: dict[str, Any] = {"threshold": 0.0, "p_value": 0.2, "effect_size": 0.1}
    series = {"since": "run-0", "key": "k", "level": 0.01 / (nth + 1), "looks": nth + 1.0}
    given |= {"n_reference": 1000, "n_current": 240 + nth, "series": series} | more
    at = NOON + timedelta(days=nth)
    return Look(f"run-{nth}", at, verdict, verdict, statistic, **given)


def since(nth: int, looks: Sequence[Look], key: str = "k") -> list[Look]:
    """The looks as those of a series that the nth began."""
    return [replace(k, series={**k.series, "since": f"run-{nth}", "key": key}) for k in looks]


def watched(name: str, looks: Sequence[Look], *parts: Part, **more: Any) -> Watched:  # noqa: ANN401 - its fields
    last = looks[-1]
    given: dict[str, Any] = {"detail": {}, "record_ids": (), "counts": None} | more
    return Watched(
        name, last.verdict, "so it is", "promotion", "the runs before", "run-0", last,
        parts=parts, looks=tuple(looks), **given,
    )  # fmt: skip


def report(*findings: Watched) -> Report:
    runs = tuple(
        Ran(f"20260101T12000{n}-0123456789a", "backfill", "done", NOON, 3.0, 9, 9, 0, 0, 9, 0, 9,
            None)
        for n in range(3)
    )  # fmt: skip
    return Report(
        "notes", 1, "live", NOON, "1.0", Conclusion("quiet", "notes v1 is fine."),
        {"Rows": "1,234"}, findings, runs=runs, states=(("Fingerprint", "f" * 64),),
        commands=(("vecmill report notes --version 1", "writes this page"),),
    )  # fmt: skip


COUNTING = [look(0, 0.0), look(1, 7.0, "alarm", p_value=0.0001), look(2, 2.0)]
MEASURING = [look(n, 0.1 * n, threshold=0.15, effect_size=0.2 * n) for n in range(3)]


@pytest.mark.parametrize("kind", ["outliers", "duplicates", "labels", "slices", "records"])
def test_a_monitor_that_counts_says_what(kind: str) -> None:
    assert base.counts(kind) in {"records", "slices", "checks"}
    assert base.counts("drift") is None


def test_counts_are_bars_beside_the_number_of_records_looked_at() -> None:
    one = watched("outliers", COUNTING, counts="records")
    named_, rows, p = lanes(one)
    assert (named_.what, rows.what, p.what) == (
        "named records", "records looked at", "p of this look",
    )  # fmt: skip
    assert (named_.values, rows.values) == ([0.0, 7.0, 2.0], [240.0, 241.0, 242.0])
    assert named_.is_bars
    assert named_.bounds == [None] * 3, "a threshold of 0 is no band"
    for lane in (named_, rows):
        assert lane.scale.low == 0.0, "bars begin at 0"
        floor, top = lane.scale.y(0.0), lane.scale.y(max(v or 0.0 for v in lane.values))
        half = lane.scale.y(max(v or 0.0 for v in lane.values) / 2)
        assert half == pytest.approx((floor + top) / 2, abs=0.2), "and grow with what they show"
    text = page(report(one))
    heights = [float(h) for h in re.findall(r'class="bar [^"]*"[^>]* height="([\d.]+)"', text)]
    assert heights[0] == 0.0
    assert heights[1] > heights[2] > 0
    assert "2 named records, 242 records looked at" in described(one)


def test_where_nothing_was_counted_little_room_is_taken() -> None:
    quiet = watched("outliers", [look(n, 0.0) for n in range(3)], counts="records")
    loud = watched("outliers", COUNTING, counts="records")
    assert lanes(quiet)[0].scale.height < lanes(loud)[0].scale.height


def test_tests_have_their_band_and_the_size_of_the_effect() -> None:
    measured, effect, p = lanes(watched("drift", MEASURING))
    assert measured.bounds == [0.15] * 3
    assert (effect.what, effect.values) == ("size of the effect", [0.0, 0.2, 0.4])
    assert effect.scale.low == 0.0
    assert list(p.bounds) == [pytest.approx(2.0), pytest.approx(2.301, abs=1e-3),
                        pytest.approx(2.477, abs=1e-3)]  # fmt: skip
    undecided = look(3, 0.3, "cannot tell", series={"since": "run-0", "level": 0.0, "alpha": 0.01})
    assert lanes(watched("drift", [undecided]))[-1].bounds == [None], "no p is an alarm there"


def test_checks_over_time_have_no_p() -> None:
    looks = [look(n, float(n), p_value=None, series={}) for n in range(2)]
    assert [lane.what for lane in lanes(watched("health", looks, counts="checks"))] == [
        "checks that failed", "records looked at",
    ]  # fmt: skip


def test_where_a_series_begins_anew_is_drawn_and_told() -> None:
    looks = [look(0, 0.0), look(1, 7.0, "alarm"), *since(2, [look(2, 0.0), look(3, 0.0)])]
    looks += since(4, [look(4, 0.0)], "another")
    one = watched("outliers", looks, counts="records")
    assert anew(one) == {
        "run-2": "after the alarm of 2026-01-02 12:00",
        "run-4": "since it is configured, or compared, otherwise",
    }
    assert "began anew 2 times: after the alarm of 2026-01-02 12:00, since it is" in described(one)
    text = page(report(one))
    lines = re.findall(r'class="anew" x1="([\d.]+)%"', text)
    assert lines == ["40.000", "80.000"] * 3, "in each lane, between the looks"
    assert text.count("the series begins anew, after the alarm of 2026-01-02") >= 4
    ended = described(watched("outliers", looks[:2], counts="records"))
    assert ended.endswith("With this alarm its series ends: the next look begins one.")
    assert anew(watched("outliers", looks[:2], counts="records")) == {}


def test_each_p_says_which_it_is() -> None:
    check = Part("check", "lengths", "quiet", "so", {"p_value": 0.018, "p_adjusted": 0.11})
    one = watched("records", [look(0, 0.0, p_value=0.11)], check, counts="checks",
                  detail={"checks": 6.0})  # fmt: skip
    text = page(report(one))
    told = "p of this look 0.11 (the least of 6 checks, adjusted for that); "
    assert f"{told}level this look had to reach 0.01" in text
    assert "<li>p by itself <b>0.018</b></li><li>p adjusted for all checks <b>0.11</b></li>" in text
    assert ">p of this look</th>" in text
    assert ">Level to reach</th>" in text
    short = markdown(report(one))
    assert "| p of this look | level it had to reach |" in short
    assert "| **records** | quiet | 0.11 | 0.01 |" in short


def test_a_slice_that_two_monitors_tell_of_stands_once_with_both() -> None:
    moved = {"share_reference": 0.3, "share_current": 0.6, "q_share": 1e-9}
    mine = Part("slice", "label = a", "alarm", "30 % before", moved)
    looked = Part("slice", "label = a", "alarm", "alike within", moved | {"q_share": 0.001})
    quiet = Part("slice", "label = b", "quiet", "as before", {"q_share": 1.0})
    drift, slices = watched("drift", MEASURING, mine), watched("slices", COUNTING, looked, quiet)
    text = page(report(drift, slices)).partition('<section id="slices"')[2]
    section = text.partition("</section>")[0]
    assert section.count(">label = a<") == 1
    assert "<b>drift</b>: 30 % before" in section
    assert "<b>slices</b>: alike within" in section
    assert "1.0e-09<small>drift</small>" in section
    assert "0.001<small>slices</small>" in section
    assert "drift, slices</td>" in section
    told = [line for line in markdown(report(drift, slices)).splitlines() if "label = a" in line]
    assert told == [
        "| label = a | drift, slices | alarm | drift: 30 % before; slices: alike within |"
    ]


def test_every_heading_is_plain_or_said_below() -> None:
    figures = {"q_share": 0.1, "q_inside": 0.2, "mmd": 0.3}
    one = watched("slices", COUNTING, Part("slice", "label = a", "quiet", "so", figures))
    section = page(report(one)).partition('<section id="slices"')[2].partition("</section>")[0]
    assert "q share" not in section
    for key in figures:
        name, why = TERMS[key]
        heading = name if name.startswith("p ") else name.capitalize()
        assert f'role="columnheader" class="num">{heading}</th>' in section
        assert why is not None
        assert f"<dt>{heading}</dt><dd>{why}</dd>" in section
    assert section.count('<details class="legend"><summary>What the columns mean') == 1
    assert named("some_new_figure") == "some new figure"


def test_kinds_and_outcomes_of_runs_have_columns_of_their_own() -> None:
    text = page(report()).partition('<section id="runs"')[2].partition("</section>")[0]
    assert re.findall(r'role="columnheader"[^>]*>([^<]*)<', text)[:3] == ["Run", "Kind", "Outcome"]
    assert 'data-name="Kind">backfill</td>' in text
    assert 'data-name="Outcome">done</td>' in text


def every_table(shown: str) -> list[tuple[list[str], list[list[str]]]]:
    found = []
    for one in re.findall(r"<table.*?</table>", shown, re.DOTALL):
        heads = re.findall(r'<th scope="col"[^>]*>([^<]*)</th>', one)
        rows = re.findall(r'<tr role="row">(.*?)</tr>', one.partition("<tbody")[2], re.DOTALL)
        found.append((heads, [re.findall(r'<td [^>]*data-name="([^"]*)"', row) for row in rows]))
    return found


def full() -> Report:
    """A report with all kinds of tables, and long words in them."""
    long = "x" * 300
    figures = {"share_reference": 0.1, "share_current": 0.4, "q_share": 1e-9, "q_inside": 0.5,
               "mmd": 0.123456789}  # fmt: skip
    slices = [Part("slice", f"label = {n} {long}", "alarm", long, figures) for n in range(3)]
    cluster = Part("cluster", "cluster 3", "alarm", "so", figures | {"residual": 3.0})
    check = Part("check", "lengths", "quiet", long, dict.fromkeys(list(TERMS)[:9], 123456.789))
    word = Part("word", long, "alarm", "so", {"z": 3.0, "share_reference": 0.0, "share_current": 1})
    return report(
        watched("drift", MEASURING * 20, *slices, cluster, word),
        watched("slices", COUNTING, *slices, counts="slices"),
        watched("records", COUNTING, check, counts="checks"),
    )


def test_each_cell_has_its_name_with_it() -> None:
    tables = every_table(page(full()))
    assert len(tables) >= 8
    for heads, rows in tables:
        assert rows
        assert all(names == heads[1:] for names in rows), heads


CHROMIUM = shutil.which("chromium")

_MEASURE = """<!DOCTYPE html><meta charset="utf-8"><body><script>
const told = [], widths = %s;
function next() {
  const width = widths.shift();
  if (!width) { document.title = JSON.stringify(told); return; }
  const frame = document.createElement("iframe");
  frame.style.cssText = `border:0;width:${width}px;height:900px`;
  frame.onload = () => {
    const page = frame.contentDocument;
    for (const one of page.querySelectorAll("details")) one.open = true;
    const over = [...page.querySelectorAll("main *")].filter((one) => {
      const box = one.getBoundingClientRect();
      return !one.closest("svg, .hidden, thead") && box.right > width + 1;
    });
    const scrolls = [...page.querySelectorAll(".scroll")].filter(
      (one) => one.scrollWidth > one.clientWidth + 1);
    told.push([width, page.documentElement.scrollWidth, over.length, scrolls.length]);
    frame.remove();
    next();
  };
  frame.src = "page.html";
  document.body.append(frame);
}
next();
</script>"""


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")
def test_nothing_is_cut_or_scrolls_sideways_on_a_phone(tmp_path: Path) -> None:
    (tmp_path / "page.html").write_text(page(full()), encoding="utf-8")
    file = tmp_path / "measure.html"
    file.write_text(_MEASURE % "[360, 400, 700, 1280]", encoding="utf-8")
    assert CHROMIUM is not None
    done = subprocess.run(  # noqa: S603 - a browser, and our own page
        [
            CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic",
            "--no-first-run", "--disable-background-networking", "--disable-component-update",
            "--disable-sync", f"--user-data-dir={tmp_path / 'home'}", "--hide-scrollbars",
            "--allow-file-access-from-files", "--virtual-time-budget=20000", "--dump-dom",
            file.as_uri(),
        ],
        capture_output=True, text=True, check=True, timeout=120,
    )  # fmt: skip
    [told] = re.findall(r"<title>(.*?)</title>", done.stdout)
    phone, small, tablet, desk = json.loads(told)
    assert [phone, small, tablet] == [[360, 360, 0, 0], [400, 400, 0, 0], [700, 700, 0, 0]]
    assert desk[:2] == [1280, 1280], "what is wider than its place scrolls in it"


def test_a_test_that_had_nothing_to_compare_with_is_no_check() -> None:
    said = {"detail": {"left_out_current": 0.0}}
    first = replace(look(0, 0.0), statistic=None, p_value=None)
    assert checks([watched("drift", [first], **said)]) is None
    right = replace(look(0, 0.0), p_value=None)
    assert "all of them together" in str(checks([watched("encoder", [right], **said)]))
