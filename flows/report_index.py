"""The page over all features: a row each, and what each monitor says of them."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from flows.markup import Html, el, put
from flows.report_page import document, top
from flows.report_tables import chip, table
from flows.report_verdict import day
from flows.reported import ORDER

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from flows.reported import Report, State, Watched

_ORDER: tuple[State, ...] = ("alarm", "watch", "empty", "unwatched", "cannot tell", "quiet")
_WORDS: dict[State, str] = {
    "alarm": "an alarm", "watch": "to be watched", "empty": "nothing published",
    "unwatched": "not looked at", "cannot tell": "cannot tell", "quiet": "fine",
}  # fmt: skip


def index(reports: Sequence[Report], pages: Mapping[str, str]) -> str:
    """The page over all features as HTML.

    Args:
        reports: one a feature.
        pages: the address of each feature's own page, where it has one, relative to this one.
    """
    found = sorted(reports, key=lambda r: (_ORDER.index(r.conclusion.state), r.feature))
    rows = [_row(report, pages.get(report.feature)) for report in found]
    head = ("Feature", "Verdict", "#rows", "Last run", "Last look")
    main = put(
        el("section", el("h2", "Features"), table(head, rows, "Features, the worst first")),
        *(_section(report) for report in found if report.findings),
    )
    name = "all features" if len(found) != 1 else found[0].feature
    state = found[0].conclusion.state if found else "empty"
    header = el(
        "header", top(), el("h1", name),
        el("p", chip(state, _WORDS[state]), sentence(reports), class_="verdict"),
    )  # fmt: skip
    return document("Vecmill: report", el("div", header, el("main", main), _footer(found),
                    class_="page"))  # fmt: skip


def sentence(reports: Sequence[Report]) -> str:
    """All features in one sentence."""
    counts = Counter(report.conclusion.state for report in reports)
    if not reports:
        return "No feature is configured and none has run."
    if counts["quiet"] == len(reports):
        return "All is fine." if len(reports) > 1 else reports[0].conclusion.sentence
    parts = [f"{counts[state]} {_SAID[state]}" for state in _ORDER if counts[state]]
    told = f"Of {len(reports)} features {', '.join(parts)}."
    return told if len(reports) > 1 else reports[0].conclusion.sentence


_SAID: dict[State, str] = {
    "alarm": "with an alarm", "watch": "to be watched", "empty": "without published vectors",
    "unwatched": "not looked at yet", "cannot tell": "of which nothing can be told yet",
    "quiet": "fine",
}  # fmt: skip


def _row(report: Report, page: str | None) -> list[Html]:
    state = report.conclusion.state
    name: Html | str = report.name if page is None else el("a", report.name, href=page)
    last = report.runs[0] if report.runs else None
    ran = "never" if last is None else f"{last.started_at:%Y-%m-%d %H:%M}, {last.status}"
    looked = max((w.now.at for w in report.findings), default=None)
    said = el("th", name, el("small", report.conclusion.sentence), scope="row")
    return [
        said,
        el("td", chip(state, _WORDS[state])),
        el("td", report.facts.get("Rows", ""), class_="num"),
        el("td", ran),
        el("td", "never" if looked is None else f"at the run of {day(looked)}"),
    ]


def _section(report: Report) -> Html:
    rows = [_finding(w) for w in sorted(report.findings, key=lambda w: ORDER.index(w.verdict))]
    heading = f"{report.feature}-heading"
    return el("section", el("h2", report.name, id=heading), el("ul", *rows, class_="said"),
              aria_labelledby=heading)  # fmt: skip


def _finding(watched: Watched) -> Html:
    return el("li", chip(watched.verdict), el("h3", watched.monitor), el("p", watched.summary))


def _footer(reports: Sequence[Report]) -> Html:
    made = max((report.made_at for report in reports), default=None)
    told = "" if made is None else f"Made on {made:%Y-%m-%d at %H:%M} UTC."
    return el("footer", el("p", f"{told} It holds what monitors said, which may quote records."))
