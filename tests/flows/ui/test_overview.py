"""The mark of a feature: what monitors said, unless its last run says something worse."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from flows.reports.model import Conclusion, Ran, Report
from flows.ui import feature
from flows.ui.overview import said, standing

if TYPE_CHECKING:
    from flows.reports.model import State

WHEN = datetime(2026, 3, 4, tzinfo=UTC)


def _report(state: State, *statuses: str) -> Report:
    """A report of runs that ended so, the newest first."""
    runs = tuple(
        Ran("r", "run", status, WHEN, 1.0, 3, 3, 0, 0, 3, 0, 3, "no file" * (status != "done"))
        for status in statuses
    )
    return Report("notes", 1, "live", WHEN, None, Conclusion(state, "as told"), runs=runs)


@pytest.mark.parametrize(
    ("state", "statuses", "expected"),
    [
        ("quiet", ("done", "failed"), ("quiet", "fine")),
        ("quiet", ("failed", "done"), ("alarm", "last run failed")),
        ("unwatched", ("crashed",), ("alarm", "last run crashed")),
        ("alarm", ("failed", "done"), ("alarm", "alarm, last run failed")),
        ("empty", (), ("empty", "nothing published")),
    ],
)
def test_a_last_run_that_failed_is_the_mark_of_its_feature(
    state: State, statuses: tuple[str, ...], expected: tuple[State, str]
) -> None:
    report = _report(state, *statuses)
    assert standing(report) == expected
    assert f">{expected[1]}</span>" in str(feature.header(report))


def test_a_schedule_that_is_overdue_and_a_table_that_is_gone_need_attention() -> None:
    fine = {"feature": "notes", "version": 1, "last_status": "done", "error": None, "upkeep": [],
            "table_gone": None, "overdue_since": None, "overdue_schedule": None}  # fmt: skip
    assert "no schedule is overdue" in str(said([fine], WHEN))
    late = fine | {"overdue_since": WHEN - timedelta(hours=3), "overdue_schedule": "hourly"}
    gone = fine | {"table_gone": "1 published table is not there"}
    rows = [late, gone, late | {"version": 2}, gone | {"version": 2}]
    text = str(said(rows, WHEN))
    assert text.count("[schedules.hourly] had a run due 3 h ago") == 1
    assert text.count("1 published table is not there") == 1
