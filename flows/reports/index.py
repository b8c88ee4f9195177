"""The page over all features: a row each, and what each monitor says of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flows.output.markup import Html, el, put
from flows.reports.grid import Cell, Column, cell, heading, table
from flows.reports.marks import ORDER, mark, worst, worst_first
from flows.reports.page import document, top
from flows.reports.tables import chip
from flows.reports.verdict import by_severity, day, failed, listed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from flows.reports.model import Report, State, Watched


def index(reports: Sequence[Report], pages: Mapping[str, str]) -> str:
    """The page over all features as HTML.

    Args:
        reports: one a feature.
        pages: the address of each feature's own page, where it has one, relative to this one.
    """
    found = worst_first(reports)
    rows = [_row(report, pages.get(report.feature)) for report in found]
    main = put(
        el("section", el("h2", "Features"), table(_COLUMNS, rows, "Features, the worst first")),
        *(_section(report) for report in found if report.findings),
    )
    name = "all features" if len(found) != 1 else found[0].feature
    header = el(
        "header", top(),
        el("div", el("h1", name), worst(found), class_="title"),
        el("p", sentence(reports), class_="verdict"),
    )  # fmt: skip
    return document("Vecmill: report", el("div", header, el("main", main), _footer(found),
                    class_="page"))  # fmt: skip


def sentence(reports: Sequence[Report]) -> str:
    """All features in one sentence."""
    if not reports:
        return "No feature is configured and none has run."
    broken = sorted(report.feature for report in reports if failed(report.runs))
    ended = f" The last run of {listed(broken)} did not end well." if broken else ""
    if len(reports) == 1:
        return f"{reports[0].conclusion.sentence}{ended}"
    by_state: dict[State, list[str]] = {}
    for report in sorted(reports, key=lambda r: r.feature):
        by_state.setdefault(report.conclusion.state, []).append(report.feature)
    if set(by_state) == {"quiet"}:
        return f"All {len(reports)} features are fine.{ended}"
    parts = [_counted(state, by_state[state]) for state in ORDER if state in by_state]
    first = parts[0].replace(" ", f" of {len(reports)} features ", 1)
    return "; ".join([first, *parts[1:]]) + f".{ended}"


_SAID: dict[State, tuple[str, str]] = {
    "alarm": ("raises an alarm", "raise an alarm"),
    "watch": ("bears watching", "bear watching"),
    "empty": ("has nothing published", "have nothing published"),
    "unwatched": ("is not monitored yet", "are not monitored yet"),
    "cannot tell": ("has too little to judge by yet", "have too little to judge by yet"),
    "quiet": ("is fine", "are fine"),
}


def _counted(state: State, names: Sequence[str]) -> str:
    words = f"{len(names)} {_SAID[state][len(names) > 1]}"
    return words if state == "quiet" else f"{words}: {listed(names)}"


_COLUMNS = (
    Column("Feature"), Column("Verdict"), Column("Rows", is_number=True), Column("Last run"),
    Column("Last monitored"),
)  # fmt: skip


def _row(report: Report, page: str | None) -> list[Cell]:
    name: Html | str = report.name if page is None else el("a", report.name, href=page)
    last = report.runs[0] if report.runs else None
    ran = "never" if last is None else f"{last.started_at:%Y-%m-%d %H:%M}, {last.status}"
    looked = max((w.now.at for w in report.findings), default=None)
    return [
        heading(name, el("small", report.conclusion.sentence)),
        cell(mark(report)),
        cell(report.facts.get("Rows", "")),
        cell(ran),
        cell("never" if looked is None else f"at the run of {day(looked)}"),
    ]


def _section(report: Report) -> Html:
    rows = [_finding(w) for w in by_severity(report.findings)]
    name = f"{report.feature}-heading"
    return el("section", el("h2", report.name, id=name), el("ul", *rows, class_="said"),
              aria_labelledby=name)  # fmt: skip


def _finding(watched: Watched) -> Html:
    return el("li", chip(watched.verdict), el("h3", watched.monitor), el("p", watched.summary))


def _footer(reports: Sequence[Report]) -> Html:
    made = max((report.made_at for report in reports), default=None)
    told = "" if made is None else f"Made on {made:%Y-%m-%d at %H:%M} UTC."
    return el("footer", el("p", f"{told} It holds what monitors said, which may quote records."))
