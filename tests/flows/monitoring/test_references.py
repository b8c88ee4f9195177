"""What a run is held against: the rows that a word, a window or a run's id names."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from flows.monitoring import references
from storage.model import Counts, Manifest

MONDAY = datetime(2026, 1, 5, 6, tzinfo=UTC)


def manifest(day: int, *, new: int = 10, rows: int = 100, gone: bool = False) -> Manifest:
    """A run on a day after a Monday, which left the Lance version ``day + 1``."""
    at = MONDAY + timedelta(days=day)
    return Manifest(
        *("f", 1, run_id(day), day + 1, "print", Counts(new=new), rows, at),
        forgotten_at=at if gone else None,
        forgotten_by="gc" if gone else None,
    )


def run_id(day: int) -> str:
    return f"{MONDAY + timedelta(days=day):%Y%m%dT%H%M%S}-{day:011x}"


DAYS = [manifest(day) for day in range(22)]


@pytest.mark.parametrize(
    ("text", "state", "runs"),
    [
        ("previous", 20, None),
        ("live", 20, None),
        ("first", 0, None),
        ("3 runs", 20, (18, 19, 20)),
        ("1 run", 20, (20,)),
        ("2 days", 20, (19, 20)),
        ("weekday", 20, (0, 7, 14)),
        (run_id(4), 4, None),
    ],
)
def test_each_way_names_its_rows(text: str, state: int, runs: tuple[int, ...] | None) -> None:
    references.check(text)
    found = references.find(text, DAYS, DAYS[21])
    assert found is not None
    assert found.manifest.run_id == run_id(state)
    assert found.runs == (None if runs is None else tuple(map(run_id, runs)))
    assert found.grows == (text in {"previous", "live"}), "only then are looks independent"


def test_a_window_holds_only_runs_that_wrote_vectors() -> None:
    runs = [manifest(0), manifest(1, new=0), manifest(2), manifest(3, new=0), manifest(4)]
    found = references.find("2 runs", runs, runs[-1])
    assert found is not None
    assert found.runs == (run_id(0), run_id(2))
    assert found.manifest is runs[3], "read as readers saw it just before"


@pytest.mark.parametrize("text", ["previous", "first", "4 runs", "7 days", "weekday"])
def test_where_nothing_stood_before_there_is_nothing_to_compare_with(text: str) -> None:
    assert references.find(text, DAYS[:1], DAYS[0]) is None
    empty = [manifest(0, rows=0, new=0), manifest(1)]
    assert references.find(text, empty, empty[1]) is None


def test_a_window_without_runs_is_nothing_to_compare_with() -> None:
    runs = [manifest(0), manifest(20)]
    assert references.find("5 days", runs, runs[1]) is None
    assert references.find("weekday", runs, runs[1]) is None


def test_a_state_that_was_cleaned_away_is_passed_over_or_told_of() -> None:
    runs = [manifest(0, gone=True), manifest(1), manifest(2)]
    found = references.find("first", runs, runs[2])
    assert found is not None
    assert found.manifest is runs[1]
    with pytest.raises(LookupError, match="whose state `vecmill gc` has cleaned away"):
        references.find(run_id(0), runs, runs[2])
    with pytest.raises(LookupError, match="has published nothing in this version"):
        references.find(run_id(9), runs, runs[2])


@pytest.mark.parametrize("text", ["", "Previous", "0 runs", "3 weeks", "20260101", "-1 days"])
def test_what_cannot_be_understood_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="reference must be one of previous, live, first, weekday"):
        references.check(text)


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("7d", "7 days"),
        ("1day", "1 day"),
        ("28 dyas", "28 days"),
        ("3 weeks", "21 days"),
        ("last 5 runs", "5 runs"),
        ("5-runs", "5 runs"),
        ("weekdays", "weekday"),
        ("prevous", "previous"),
        ("Previous", "previous"),
        ("0 days", None),
        ("5 sheep", None),
        ("nothing of the kind", None),
    ],
)
def test_what_was_meant_is_told_and_the_choice_listed_once(text: str, meant: str | None) -> None:
    with pytest.raises(ValueError, match="or the id of a run, got") as error:
        references.check(text)
    told = str(error.value)
    assert told.endswith(f"got {text!r}" + ("" if meant is None else f"; did you mean {meant!r}?"))
    assert told.count("weekday,") == 1
    if meant is not None:
        references.check(meant)


def test_what_an_encoder_learned_from_is_left_out_once_enough_came_after() -> None:
    runs = [manifest(day, new=90, rows=90 * (day + 1)) for day in range(5)]
    few, more = (references.find("previous", runs[:n], runs[n - 1]) for n in (3, 5))
    assert few is not None
    assert more is not None
    assert references.since_fit(few, runs[:3], runs[2]) is few, "90 contents came after the fit"
    found = references.since_fit(more, runs, runs[4])
    assert found.runs == tuple(run_id(day) for day in (1, 2, 3))
    assert (found.told, found.grows) == (references.SINCE_FIT, True)
    assert references.learned_from(few, runs)
    assert not references.learned_from(found, runs)
    first = references.find("first", runs, runs[4])
    assert first is not None
    assert references.since_fit(first, runs, runs[4]) is first, "it is what was asked for"
