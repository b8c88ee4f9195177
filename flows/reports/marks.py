"""The mark of a feature: a colour and a few words, wherever features stand beside each other."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flows.reports.tables import chip
from flows.reports.verdict import failed

if TYPE_CHECKING:
    from collections.abc import Iterable

    from flows.output.markup import Html
    from flows.reports.model import Report, State

ORDER: tuple[State, ...] = ("alarm", "watch", "empty", "unwatched", "cannot tell", "quiet")
"""The worst first."""
WORDS: dict[State, str] = {
    "alarm": "alarm", "watch": "watch", "empty": "nothing published",
    "unwatched": "not monitored", "cannot tell": "not enough yet", "quiet": "fine",
}  # fmt: skip


def standing(report: Report) -> tuple[State, str]:
    """What the mark of a feature says: a last run that failed, before what monitors said earlier.

    Returns:
        The state that gives the mark its colour, and its words.
    """
    state = report.conclusion.state
    if not failed(report.runs):
        return state, WORDS[state]
    ended = f"last run {report.runs[0].status}"
    return "alarm", f"{WORDS[state]}, {ended}" if state == "alarm" else ended


def mark(report: Report) -> Html:
    """The mark of a feature, as a page shows it."""
    return chip(*standing(report))


def worst_first(reports: Iterable[Report]) -> list[Report]:
    """Reports by their marks, then by name."""
    return sorted(reports, key=lambda found: (ORDER.index(standing(found)[0]), found.feature))


def worst(found: list[Report]) -> Html:
    """The mark of all features together, of reports in that order."""
    return mark(found[0]) if found else chip("empty", WORDS["empty"])
