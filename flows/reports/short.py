"""A report in short, as Markdown: for Prefect's run pages and for messages."""

from __future__ import annotations

import html
import re
from typing import TYPE_CHECKING

from flows.output.visible import on_one_line
from flows.reports.bars import number
from flows.reports.model import severity
from flows.reports.tables import once
from flows.reports.verdict import failed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flows.monitors.base import Part
    from flows.reports.model import Report, Watched

_MARKS = re.compile(r"([\\`*_\[\]|~])")
# GitHub's Markdown, and what follows it, makes links of addresses that stand there plainly.
_LINKS = re.compile(r":(?=//)|(?<=www)\.|@", re.IGNORECASE)
_PARTS, _LONGEST = 12, 400


_HEAD = (
    "| monitor | verdict | p of this look | level it had to reach | effect | current | reference "
    "| what it says |"
)


def markdown(report: Report, page: str | None = None) -> str:
    """That the last run failed, if it did; the verdict, the findings and their worst parts.

    What records say is escaped, so that nothing of it becomes markup.

    Args:
        report: the report.
        page: where its page lies; without one it is said how to write it.
    """
    broken = failed(report.runs)
    lines = [f"## {_text(report.name)}", ""]
    for note in broken:
        lines += [f"**{_text(note)}**", ""]
    lines += [_text(report.conclusion.sentence), ""]
    lines += [f"- {_text(note)}" for note in report.conclusion.notes if note not in broken]
    if report.findings:
        lines += ["", _HEAD, "|---|---|---|---|---|---|---|---|"]
        lines += [_row(watched) for watched in report.findings]
    told = _parts(report)
    if told:
        lines += ["", "| part | of | verdict | what is said of it |", "|---|---|---|---|", *told]
    version = "" if report.version is None else f" --version {report.version}"
    command = f"vecmill report {report.feature}{version} --open"
    where = f"The whole report: {_text(page)}" if page else f"The whole report: `{command}`"
    return "\n".join([*lines, "", where, ""])


def _row(watched: Watched) -> str:
    now = watched.now
    values = (now.p_value, now.figure("level"), now.effect_size)
    p, level, effect = ("" if v is None else number(v) for v in values)
    return (
        f"| **{_text(watched.monitor)}** | {_text(watched.verdict)} | {p} | {level} | {effect} | "
        f"{now.n_current:,} | {now.n_reference:,} | {_text(watched.summary)} |"
    )


def _parts(report: Report) -> list[str]:
    """The parts that something is wrong with, or might be."""
    found = [(w, part) for w in report.findings for part in w.parts]
    wrong = [pair for pair in found if pair[1].verdict in {"alarm", "watch"}]
    wrong.sort(key=lambda pair: severity(pair[1].verdict))
    things = once(wrong)
    rows = [_part(thing) for thing in things[:_PARTS]]
    if len(things) > _PARTS:
        rows.append(f"| and {len(things) - _PARTS} more | | | |")
    return rows


def _part(thing: Sequence[tuple[Watched, Part]]) -> str:
    part = thing[0][1]
    who = ", ".join(watched.monitor for watched, _ in thing)
    told = part.summary
    if len(thing) > 1:
        told = "; ".join(f"{watched.monitor}: {said.summary}" for watched, said in thing)
    words = (part.name, who, part.verdict, told)
    return f"| {' | '.join(map(_text, words))} |"


def _text(text: str) -> str:
    """Text that Markdown takes as it is, on one line."""
    short = text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
    escaped = _MARKS.sub(r"\\\1", html.escape(on_one_line(short), quote=False))
    return _LINKS.sub(lambda found: f"&#{ord(found[0])};", escaped)
