"""Sizes, times and counts for people."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from flows.output import units
from flows.pipeline.notes import in_no_window

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.mark.parametrize(
    ("count", "expected"),
    [
        (0, "0 bytes"),
        (1, "1 byte"),
        (999, "999 bytes"),
        (1000, "1.0 kB"),
        (1_234_567, "1.2 MB"),
        (99_960_000, "100 MB"),
        (999_600_000, "1.0 GB"),
        (5 * 10**18, "5,000 PB"),
    ],
)
def test_sizes(count: int, expected: str) -> None:
    assert units.size(count) == expected


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (0, "0 s"),
        (0.25, "250 ms"),
        (9.94, "9.9 s"),
        (9.96, "10 s"),
        (59.6, "1 min"),
        (200, "3 min 20 s"),
        (3599.6, "1 h"),
        (3660, "1 h 1 min"),
        (86_399, "1 day"),
        (1_000_000, "11 days 14 h"),
        (-200, "-3 min 20 s"),
    ],
)
def test_durations(seconds: float, expected: str) -> None:
    assert units.duration(seconds) == expected


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (0.3, "less than a second"),
        (3.2, "about 3 s"),
        (62, "about 1 min 2 s"),
        (725, "about 12 min"),
        (11_000, "about 3 h 3 min"),
        (40_000, "about 11 h"),
    ],
)
def test_an_estimate_has_no_more_digits_than_it_deserves(seconds: float, expected: str) -> None:
    assert units.about(seconds) == expected


@pytest.mark.parametrize(
    ("per_second", "expected"),
    [(1234.5, "1,234/s"), (3.21, "3.2/s"), (0.5, "30.0/min"), (0.01, "36.0/h")],
)
def test_rates(per_second: float, expected: str) -> None:
    assert units.rate(per_second) == expected


@pytest.fixture
def in_tokyo(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "JST-9")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("in_tokyo")
def test_moments_are_by_the_clock_of_the_reader_and_say_so() -> None:
    assert units.moment(datetime(2026, 1, 2, 18, 4, tzinfo=UTC)) == "2026-01-03 03:04 JST"
    assert units.moment(datetime(2026, 1, 2, 18, 4)) == "2026-01-02 18:04"  # noqa: DTZ001 - that is it


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (-3, "just now"),
        (59, "just now"),
        (60, "1 min ago"),
        (3 * 3_600 + 3_000, "3 h ago"),
        (86_400 + 80_000, "1 day ago"),
        (2.5 * 86_400, "2 days ago"),
    ],
)
def test_ages(seconds: float, expected: str) -> None:
    assert units.ago(seconds) == expected


def test_one_of_something_is_told_in_the_singular() -> None:
    assert units.several(1, "record") == "1 record"
    assert [units.several(n, "run") for n in (0, 2, 1234)] == ["0 runs", "2 runs", "1,234 runs"]


def test_what_one_does_is_said_of_one() -> None:
    assert units.verb(1, "record", "is", "are") == "1 record is"
    assert units.verb(1200, "record", "is", "are") == "1,200 records are"
    assert in_no_window("notes", 1).startswith(
        "notes: 1 record has no event time or cannot be read"
    )
    assert in_no_window("notes", 2).startswith("notes: 2 records have no event time or cannot be r")
