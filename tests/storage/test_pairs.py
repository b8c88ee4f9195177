"""Two tables side by side: what both hold, and a sample that pairs their vectors."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pytest

from storage.model import StorageError
from storage.pairs import State, nearest_ids, rows_of, side_by_side
from storage.vectors import Vectors

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

DAY = datetime(2026, 3, 1, tzinfo=UTC)
Row = tuple[str, str, int | None]
"""A record id, its content, and the day of it."""


def vectors_of(contents: Sequence[str], dim: int) -> NDArray[np.float32]:
    drawn = [np.random.default_rng([dim, *c.encode()]).standard_normal(dim) for c in contents]
    return np.array(drawn, np.float32)


@pytest.fixture
def vectors(tmp_path: Path) -> Vectors:
    return Vectors(str(tmp_path))


def made(
    vectors: Vectors, table: str, rows: Sequence[Row], dim: int = 3, *, history: bool = False
) -> State:
    times = [None if day is None else DAY + timedelta(days=day) for _, _, day in rows]
    drawn = vectors_of([content for _, content, _ in rows], dim)
    columns = {
        "record_id": pa.array([name for name, _, _ in rows], pa.string()),
        "vector": pa.FixedSizeListArray.from_arrays(pa.array(drawn.reshape(-1)), dim),
        "content_hash": pa.array([content for _, content, _ in rows], pa.string()),
        "event_time": pa.array(times, pa.timestamp("us", tz="UTC")),
        "encoded_at": pa.array([DAY] * len(rows), pa.timestamp("us", tz="UTC")),
        "run_id": pa.array(["run"] * len(rows), pa.string()),
    }
    return State(table, vectors.rewrite(table, pa.table(columns).to_reader()), history)


ONE: list[Row] = [
    ("a", "wheel", None),
    ("b", "grain", None),
    ("c", "flour", None),
    ("d'", "x", None),
]
TWO: list[Row] = [
    ("b", "grain", None),
    ("a", "wheel", None),
    ("c", "other", None),
    ("e", "x", None),
]


def test_what_both_hold_is_counted(vectors: Vectors) -> None:
    one, two = made(vectors, "one", ONE), made(vectors, "two", TWO, 5)
    with side_by_side(vectors, one, two) as both:
        shared = both.shared()
    assert (shared.first, shared.second, shared.both, shared.same) == (4, 4, 3, 2)
    assert shared.missing == ("d'",)


def test_a_sample_pairs_the_vectors_of_a_record(vectors: Vectors) -> None:
    one, two = made(vectors, "one", ONE), made(vectors, "two", TWO, 5)
    with side_by_side(vectors, one, two) as both:
        pairs = both.sample(10, np.random.default_rng(0))
    assert sorted(pairs.record_ids) == ["a", "b"]
    contents = [{"a": "wheel", "b": "grain"}[name] for name in pairs.record_ids]
    np.testing.assert_array_equal(pairs.first, vectors_of(contents, 3))
    np.testing.assert_array_equal(pairs.second, vectors_of(contents, 5))


def test_a_sample_hangs_on_the_seed_and_not_on_the_order_of_rows(vectors: Vectors) -> None:
    rows: list[Row] = [(f"r{n}", f"text {n}", None) for n in range(50)]
    one, two = made(vectors, "one", rows), made(vectors, "two", rows[::-1])
    three = made(vectors, "three", rows[::2] + rows[1::2])

    def drawn(first: State, second: State, seed: int) -> list[str]:
        with side_by_side(vectors, first, second) as both:
            return both.sample(10, np.random.default_rng(seed)).record_ids

    assert drawn(one, two, 0) == drawn(three, one, 0) != drawn(one, two, 1)
    assert len(set(drawn(one, two, 0))) == 10


def test_a_content_comes_once(vectors: Vectors) -> None:
    rows: list[Row] = [(f"r{n}", f"text {n % 4}", None) for n in range(20)]
    with side_by_side(vectors, made(vectors, "one", rows), made(vectors, "two", rows)) as both:
        assert both.shared().same == 20
        pairs = both.sample(10, np.random.default_rng(0))
    contents = [int(name[1:]) % 4 for name in pairs.record_ids]
    assert sorted(contents) == [0, 1, 2, 3]


def test_of_a_history_the_newest_rows_count(vectors: Vectors) -> None:
    rows: list[Row] = [("a", "old", 0), ("a", "wheel", 2), ("b", "grain", 1), ("b", "older", 0)]
    one = made(vectors, "one", rows, history=True)
    two = made(vectors, "two", TWO, 5)
    with side_by_side(vectors, one, two) as both:
        shared = both.shared()
        pairs = both.sample(10, np.random.default_rng(0))
    assert (shared.first, shared.both, shared.same) == (2, 2, 2)
    contents = [{"a": "wheel", "b": "grain"}[name] for name in pairs.record_ids]
    np.testing.assert_array_equal(pairs.first, vectors_of(contents, 3))
    found = rows_of(vectors, one, "a")
    assert [row["content_hash"] for row in found] == ["wheel", "old"]


def test_nothing_shared_is_an_empty_sample(vectors: Vectors) -> None:
    one, two = made(vectors, "one", ONE[:1]), made(vectors, "two", TWO[2:], 5)
    with side_by_side(vectors, one, two) as both:
        pairs = both.sample(10, np.random.default_rng(0))
        assert both.shared().both == 0
    assert (pairs.record_ids, pairs.first.shape, pairs.second.shape) == ([], (0, 3), (0, 5))


def test_a_row_is_found_whatever_its_id(vectors: Vectors) -> None:
    one = made(vectors, "one", ONE)
    [row] = rows_of(vectors, one, "d'")
    assert (row["content_hash"], "vector" in row) == ("x", False)
    assert rows_of(vectors, one, "d' OR 1=1") == []


def test_ids_like_one_that_is_not_there(vectors: Vectors) -> None:
    rows: list[Row] = [(name, name, None) for name in ("note-1", "note-12", "other", "zebra")]
    found = nearest_ids(vectors, made(vectors, "one", rows), "note-11", 2)
    assert set(found) == {"note-1", "note-12"}


def test_a_state_that_is_not_there_is_said(vectors: Vectors) -> None:
    one = made(vectors, "one", ONE)
    gone = State("one", 99)
    with pytest.raises(StorageError, match="no Lance version 99"), side_by_side(vectors, one, gone):
        pass
