"""Backfills in the catalog: what is gone on with, and what begins anew."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

from flows.pipeline.backfills import Asked
from storage import backfills
from storage.backfills import Backfill, WindowRow
from storage.model import UsageError

if TYPE_CHECKING:
    from tests.storage.conftest import Store


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def begun(store: Store, asked: Backfill, bounds: list[datetime]) -> Backfill:
    rows = [WindowRow(one, other) for one, other in pairwise(bounds)]
    return backfills.begin(store.catalog, asked, rows)


DAYS = [at("2026-01-01"), at("2026-01-02"), at("2026-01-03")]
ASKED = Backfill("", "notes", 1, DAYS[0], DAYS[-1], "day", None)


def test_what_did_not_end_is_gone_on_with(store: Store) -> None:
    first = begun(store, ASKED, DAYS)
    one, other = backfills.windows(store.catalog, first.backfill_id)
    backfills.note(store.catalog, first.backfill_id, replace(one, status="done", records=3))
    backfills.note(store.catalog, first.backfill_id, replace(other, status="failed", error="why"))
    assert backfills.end(store.catalog, first.backfill_id) == "open"
    again = begun(store, replace(ASKED, record_limit=5), DAYS)
    assert (again.backfill_id, again.resumed) == (first.backfill_id, True)
    one, other = backfills.windows(store.catalog, first.backfill_id)
    assert (one.status, one.records) == ("done", 3)
    assert (other.status, other.error) == ("waiting", None)
    backfills.note(store.catalog, first.backfill_id, replace(other, status="done"))
    assert backfills.end(store.catalog, first.backfill_id) == "done"
    fresh = begun(store, ASKED, DAYS)
    assert fresh.backfill_id != first.backfill_id
    assert not fresh.resumed


def test_another_stretch_version_or_length_is_another_backfill(store: Store) -> None:
    first = begun(store, ASKED, DAYS)
    for other in (
        replace(ASKED, since=at("2025-12-31")),
        replace(ASKED, until=at("2026-01-04")),
        replace(ASKED, every=None),
        replace(ASKED, version=2),
        replace(ASKED, feature="other"),
    ):
        assert not begun(store, other, DAYS).resumed
    assert begun(store, ASKED, DAYS).backfill_id == first.backfill_id


def test_one_without_an_end_ends_where_the_last_was_to_end(store: Store) -> None:
    find = (store.catalog, "notes", 1, DAYS[0])
    assert backfills.open_until(*find, "day") is None
    first = begun(store, ASKED, DAYS)
    assert backfills.open_until(*find, "day") == DAYS[-1]
    assert backfills.open_until(*find, None) is None
    for window in backfills.windows(store.catalog, first.backfill_id):
        backfills.note(store.catalog, first.backfill_id, replace(window, status="done"))
    backfills.end(store.catalog, first.backfill_id)
    assert backfills.open_until(*find, "day") is None


@pytest.mark.parametrize(
    ("since", "until", "every", "expected"),
    [
        ("2026-01-30T15:00", "2026-02-02T01:00", "day",
         ["01-30 15:00", "01-31 00:00", "02-01 00:00", "02-02 00:00", "02-02 01:00"]),
        ("2028-01-31", "2028-04-01", "month",
         ["01-31 00:00", "02-01 00:00", "03-01 00:00", "04-01 00:00"]),
        ("2028-02-28", "2028-03-02", "day",
         ["02-28 00:00", "02-29 00:00", "03-01 00:00", "03-02 00:00"]),
        ("2025-12-31T23:59", "2026-02-01", "month",
         ["12-31 23:59", "01-01 00:00", "02-01 00:00"]),
        # The first of January 2026 is a Thursday.
        ("2026-01-01", "2026-01-19", "week",
         ["01-01 00:00", "01-05 00:00", "01-12 00:00", "01-19 00:00"]),
        ("2026-01-01", "2026-01-01T00:01", None, ["01-01 00:00", "01-01 00:01"]),
        # Berlin's clocks went forward on this day; windows do not know of that.
        ("2026-03-28T23:00", "2026-03-30", "day", ["03-28 23:00", "03-29 00:00", "03-30 00:00"]),
        ("9999-12-30", "9999-12-31T12:00", "month", ["12-30 00:00", "12-31 12:00"]),
    ],
)  # fmt: skip
def test_windows_end_with_days_weeks_and_months(
    since: str, until: str, every: str | None, expected: list[str]
) -> None:
    asked = Asked(at(since), at(until), every)  # type: ignore[arg-type] # parametrize knows strings
    assert [f"{bound:%m-%d %H:%M}" for bound in asked.bounds] == expected


def test_windows_are_of_utc() -> None:
    since = datetime.fromisoformat("2026-01-01T01:00+02:00")
    bounds = Asked(since, at("2026-01-02"), "day").bounds
    assert bounds == [at("2025-12-31T23:00"), at("2026-01-01"), at("2026-01-02")]


def test_what_makes_no_sense_is_refused() -> None:
    with pytest.raises(
        UsageError, match="at most 10,000 windows, and a window every day from 1926"
    ):
        _ = Asked(at("1926-01-01"), at("2026-01-01"), "day").bounds
    with pytest.raises(UsageError, match="ends after it begins; got --since 2026-01-02 00:00"):
        Asked(DAYS[1], DAYS[1])
    with pytest.raises(UsageError, match="--limit must be at least 1, got 0"):
        Asked(DAYS[0], DAYS[1], limit=0)
    with pytest.raises(UsageError, match=r"since needs a time zone, got 2026-01-01T00:00:00; add"):
        Asked(DAYS[0].replace(tzinfo=None), DAYS[1])
