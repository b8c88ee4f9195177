"""The first page: what is wrong, then how each feature stands."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from flows.lifecycle.status import status
from flows.output.markup import Html, el, put
from flows.output.progress import Silent
from flows.output.standing_lines import late, unsettled
from flows.reports.gather import collect
from flows.reports.grid import Cell, Column, cell, heading, table
from flows.reports.index import sentence
from flows.reports.marks import mark, worst, worst_first
from flows.reports.tables import chip
from flows.reports.verdict import failed
from flows.ui import frame
from flows.ui.grids import moment

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from starlette.requests import Request
    from starlette.responses import Response

    from flows.config.settings import Settings
    from flows.reports.model import Report
    from flows.ui.site import Site

_COLUMNS = (
    Column("Feature"), Column("Verdict"), Column("Live version"), Column("Rows", is_number=True),
    Column("Dead letters", is_number=True), Column("Last run"), Column("Last monitored"),
)  # fmt: skip


def overview(site: Site, _: Request) -> Response:
    """All features, the worst first."""
    found = worst_first(reports_of(site))
    title = el("div", el("h1", "This store"), worst(found), class_="title")
    if not found:
        begin = frame.nothing(
            "Add a feature to the configuration, then ", el("code", "vecmill run"), "."
        )
        return frame.page(
            "Overview", title, el("p", sentence(()), class_="verdict"), begin, here="/"
        )
    # Whoever looks meanwhile sees the same answer.
    asked = site.jobs.going("upkeep") or site.jobs.start(
        {}, "Looking at tables and unfinished runs", "upkeep", lambda _: _upkeep(site.settings)
    )
    rows = [_row(report) for report in found]
    return frame.page(
        "Overview",
        title,
        el("p", sentence(found), class_="verdict"),
        frame.section("problems", "Needs attention", _problems(found), frame.slot(asked)),
        frame.section("features", "Features", table(_COLUMNS, rows, "Features, the worst first")),
        here="/",
    )


def reports_of(site: Site) -> list[Report]:
    """What there is to say of each feature, by what the catalog has alone."""
    settings = site.settings
    return [collect(settings, name, Silent(), pictures=False) for name in site.features()]


def _problems(reports: Sequence[Report]) -> Html:
    """Alarms, runs that failed, and what else a report notes; or that there is nothing."""
    told = []
    for report in reports:
        link = el("a", report.name, href=f"/features/{report.feature}")
        conclusion = report.conclusion
        if conclusion.state in {"alarm", "watch"}:
            told.append(_line(conclusion.state, link, conclusion.sentence))
        broken = failed(report.runs)
        told += [
            _line("alarm" if note in broken else "watch", link, note) for note in conclusion.notes
        ]
    if not told:
        return frame.lead("No monitor raises an alarm, and no run has failed.")
    return el("ul", *told, class_="said")


def _line(state: str, link: Html, words: str) -> Html:
    return el("li", chip(state), el("h3", link), el("p", words))


def _row(report: Report) -> list[Cell]:
    last = report.runs[0] if report.runs else None
    looked = max((watched.now.at for watched in report.findings), default=None)
    live = "none" if report.version is None else f"v{report.version}"
    if report.standing not in {None, "live"}:
        live = f"none; v{report.version} is a {report.standing}"
    ran = "never" if last is None else put(moment(last.started_at), el("small", last.status))
    return [
        heading(el("a", report.feature, href=f"/features/{report.feature}"),
                el("small", report.facts.get("Encoder", "nothing has run yet"))),
        cell(mark(report)),
        cell(live),
        cell(report.facts.get("Rows", "")),
        cell(report.facts.get("Dead letters", "")),
        cell(ran),
        cell("never" if looked is None else moment(looked)),
    ]  # fmt: skip


def _upkeep(settings: Settings) -> Html:
    """What `vecmill status` says besides: runs that crashed, and what `vecmill maintain` mends."""
    return said(status(settings), datetime.now(UTC))


def said(rows: Sequence[Mapping[str, Any]], now: datetime) -> Html:
    """What is to be said of rows of `flows.lifecycle.status.status` beside what reports say."""
    told: list[Html] = []
    seen: set[str] = set()
    for row in rows:
        name = row["feature"] if row["version"] is None else f"{row['feature']} v{row['version']}"
        link = el("a", name, href=f"/features/{row['feature']}")
        if row["last_status"] == "crashed":
            told.append(_line("alarm", link, str(row["error"])))
        for state, words in _of_features(row, now):
            if words not in seen:
                seen.add(words)
                told.append(_line(state, link, words.removeprefix(f"{row['feature']}: ")))
        if row["unsettled"]:
            told.append(_line("watch", link, unsettled(row, now)))
        if row["upkeep"]:
            what = "; ".join(map(str, row["upkeep"]))
            words = f"{what}; `vecmill maintain {row['feature']} --yes` mends it"
            told.append(_line("watch", link, words))
    if not told:
        return frame.lead("Tables are in order, no schedule is overdue, and no run has crashed.")
    return el("ul", *told, class_="said")


def _of_features(row: Mapping[str, Any], now: datetime) -> Iterator[tuple[str, str]]:
    """What the rows of all versions of a feature say alike."""
    if row["table_gone"]:
        yield "alarm", row["table_gone"]
    if row["overdue_since"]:
        yield "watch", late(row, now)
