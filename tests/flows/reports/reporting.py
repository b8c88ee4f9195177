"""Runs that are reported on, and findings as monitors leave them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from flows.config.settings import Gc
from flows.output.progress import Silent
from flows.reports.gather import collect
from storage.model import FindingRow

if TYPE_CHECKING:
    from flows.reports.model import Report
    from tests.flows.project import Project

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
NOW = Gc(keep_runs=1, keep_days=0, grace_hours=0, drop_retired_after_days=0)


def records(first: int, last: int, word: str = "text") -> list[tuple[str, str, str]]:
    return [(f"record-{k:03}", f"{word} {k}", f"label {k % 3}") for k in range(first, last)]


def ran(project: Project, *rows: tuple[str, str, str]) -> str:
    project.write(rows)
    return project.run().run


def finding(monitor: str, verdict: str, **more: Any) -> FindingRow:  # noqa: ANN401 - its fields
    given: dict[str, Any] = {
        "monitor": monitor, "verdict": verdict, "summary": f"{monitor} says {verdict}",
        "statistic": 0.2, "threshold": 0.1, "p_value": 0.01, "effect_size": 0.3,
        "n_reference": 40, "n_current": 20, "reference_run": None,
    }  # fmt: skip
    return FindingRow(**given | more)


def reported(project: Project, *, pictures: bool = True) -> Report:
    return collect(project.settings(), "notes", Silent(), pictures=pictures)
