"""The mark of a feature: what monitors said, unless its last run says something worse."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from flows.reports.index import index
from flows.reports.marks import standing
from flows.reports.model import Conclusion, Ran, Report
from flows.reports.page import page
from flows.reports.short import markdown
from flows.ui import feature
from flows.ui.overview import said

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
    for shown in (str(feature.header(report)), page(report), index([report], {})):
        assert f">{expected[1]}</span>" in shown


def test_features_whose_last_run_failed_come_first_in_a_report_of_all() -> None:
    watched = replace(_report("watch", "done"), feature="a")
    failed = replace(_report("quiet", "failed", "done"), feature="b")
    shown = index([watched, failed], {})
    assert shown.index("last run failed") < shown.index(">watch</span>")


def test_a_report_in_short_and_one_for_programs_tell_of_the_last_run_too() -> None:
    failed = _report("quiet", "failed", "done")
    assert "**The last run failed, on 4 March 2026: no file**\n\nas told" in markdown(failed)
    assert failed.row()["last_run"] == "failed"
    assert _report("empty").row()["last_run"] == "never run"


def test_a_schedule_that_is_overdue_and_a_table_that_is_gone_need_attention() -> None:
    fine = {"feature": "notes", "version": 1, "last_status": "done", "error": None, "upkeep": [],
            "table_gone": None, "overdue_since": None, "overdue_schedule": None,
            "unsettled": [], "unsettled_since": None}  # fmt: skip
    assert "no schedule is overdue" in str(said([fine], WHEN))
    late = fine | {"overdue_since": WHEN - timedelta(hours=3), "overdue_schedule": "hourly"}
    gone = fine | {"table_gone": "1 published table is not there"}
    rows = [late, gone, late | {"version": 2}, gone | {"version": 2}]
    text = str(said(rows, WHEN))
    assert text.count("[schedules.hourly] had a run due 3 h ago") == 1
    assert text.count("1 published table is not there") == 1
    alarm = fine | {"unsettled": ["drift"], "unsettled_since": WHEN - timedelta(hours=5)}
    assert "an alarm by drift 5 h ago, and no look since had" in str(said([alarm], WHEN))
