"""Findings as a person reads them: the figures, what they mean, what they are about, the series."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flows.monitoring import series
from flows.monitors.base import FIRST
from flows.output.answers import told

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

MOST_PARTS = 5
"""Parts of a finding that are shown: the clearest come first."""

_COLUMNS = ("monitor", "verdict", "p_value", "effect_size", "n_reference", "n_current")


def show(findings: Sequence[Mapping[str, Any]]) -> None:
    """Print findings, `storage.model.FindingRow` as plain values, on standard output.

    On a terminal each has a paragraph. A pipe gets a table, and below it what is longer than a
    row, each line with the monitor's name.
    """
    from rich.markup import escape
    from rich.padding import Padding

    from flows.output.console import cell, listing, out

    if not out.is_terminal:
        listing([figures(finding) for finding in findings], _COLUMNS, "summary")
        for finding in findings:
            for line in below(finding):
                out.print(escape(cell(f"{finding['monitor']}: {line.strip()}")))
        return
    for finding in findings:
        out.print(escape(cell(heading(finding))), style="bold")
        for line in (finding["summary"], *below(finding)):
            indent = 4 + len(line) - len(line.lstrip())
            out.print(Padding(escape(cell(line.strip())), (0, 0, 0, indent), expand=False))


def after_run(feature: str, number: int, findings: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """What the monitors say of a run, a line each; those that are quiet, or wait, share one."""
    quiet = [f["monitor"] for f in findings if f["verdict"] == "quiet"]
    for finding in findings:
        if waits(finding["verdict"], finding["summary"]):
            continue
        if finding["verdict"] != "quiet" or len(quiet) == 1:
            yield told(feature, dict(finding))
    if len(quiet) > 1:
        names = ", ".join(quiet)
        look = f"vecmill monitor {feature} --version {number}"  # it need not be the live one
        yield f"{feature}: quiet: {names}; `{look}` says what they saw"
    waiting = [f["monitor"] for f in findings if waits(f["verdict"], f["summary"])]
    if waiting:
        begin = "begins" if len(waiting) == 1 else "begin"
        yield (
            f"{feature}: this is the first run of v{number}, so there is nothing to compare it "
            f"with yet: {', '.join(waiting)} {begin} with the next"
        )


def waits(verdict: str, summary: str) -> bool:
    """Whether a monitor says no more than that it has nothing to compare a first run with."""
    return verdict == "cannot tell" and summary.startswith(FIRST)


def heading(finding: Mapping[str, Any]) -> str:
    """The verdict and the figures that it rests on, in a line."""
    from flows.output.console import cell

    row = figures(finding)
    told = [
        f"{words} {cell(row[name])}"
        for name, words in (("p_value", "p ="), ("effect_size", "effect"))
        if row[name] is not None
    ]
    told += [
        f"{finding[name]:,} {words}"
        for name, words in (("n_reference", "reference"), ("n_current", "current"))
        if finding[name]  # a first run has no reference, and says so below
    ]
    return f"{finding['monitor']}: {finding['verdict']}  {', '.join(told)}".rstrip()


def figures(finding: Mapping[str, Any]) -> dict[str, Any]:
    """The finding with its p-value in words: one of 1e-12 is not 0, as a distance of that is."""
    p = finding["p_value"]
    return dict(finding) | {"p_value": None if p is None else f"{p:.2g}"}


def below(finding: Mapping[str, Any]) -> Iterator[str]:
    """What stands below a finding's summary: the reference, its clearest parts, its series."""
    if finding.get("reference"):
        yield f"held against {finding['reference']}"
    parts = finding.get("parts") or ()
    for part in parts[:MOST_PARTS]:
        kind = "" if part["name"].startswith(part["kind"]) else f"{part['kind']} "
        yield f"  {kind}{part['name']}: {part['verdict']}, {part['summary']}"
    if len(parts) > MOST_PARTS:
        yield f"  and {len(parts) - MOST_PARTS:,} more; --json lists them"
    if told := series.line(finding.get("series") or {}):
        yield told
