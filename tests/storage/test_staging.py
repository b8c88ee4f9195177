"""Staged work: shards cut to size, receipts whole or not there."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
import pyarrow.parquet as pq
import pytest

from storage import staging
from storage.model import Cut
from storage.staging import Spool, Staged

if TYPE_CHECKING:
    from pathlib import Path

NOW = datetime(2026, 1, 2, 3, 4, 5, 678, tzinfo=UTC)


def records(start: int, stop: int) -> pl.DataFrame:
    """Records with contents of structs, as tabular sources give them."""
    n = range(start, stop)
    return pl.DataFrame(
        {
            "record_id": [f"r{i}" for i in n],
            "place": [f"f:{i}" for i in n],
            "content": [{"x": i, "y": None} for i in n],
            "content_hash": [f"h{i}" for i in n],
            "kept": list(n),
        },
        schema_overrides={"content": pl.Struct({"x": pl.Int64, "y": pl.String})},
    )


@pytest.mark.parametrize("chunks", [[0, 10], [0, 3, 10], [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10]])
@pytest.mark.parametrize("size", [1, 3, 5, 10, 11])
def test_shards_hold_every_record_once_in_order(
    tmp_path: Path, chunks: list[int], size: int
) -> None:
    spool = Spool(tmp_path / "new", size)
    for start, stop in itertools.pairwise(chunks):
        spool.add(records(start, stop))
    shards = [staging.read_shard(path) for path in spool.close()]
    expected = records(0, 10).select(staging.SPOOL_COLUMNS)
    assert pl.concat(shards).equals(expected)
    assert [len(shard) for shard in shards[:-1]] == [size] * (len(shards) - 1)


def test_a_spool_of_nothing_writes_nothing(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "new", 4)
    spool.add(records(0, 0))
    assert (spool.close(), (tmp_path / "new").exists()) == ([], False)


def test_a_staged_file_holds_vectors_and_reasons(tmp_path: Path) -> None:
    vectors = np.random.default_rng(0).standard_normal((2, 3)).astype(np.float32)
    path = staging.staged_path(tmp_path / "run" / "shard-000001.parquet")
    path.parent.mkdir()
    staging.write_staged(path, Staged(["a", "b"], vectors, {"c": 'why\'s "that"'}, NOW))
    rows = pq.read_table(path).to_pylist()
    assert [row["content_hash"] for row in rows] == ["a", "b", "c"]
    assert [row["reason"] for row in rows] == [None, None, 'why\'s "that"']
    assert [row["encoded_at"] for row in rows] == [NOW] * 3
    np.testing.assert_array_equal(
        np.array([row["vector"] for row in rows[:2]], np.float32), vectors
    )
    assert rows[2]["vector"] is None
    assert [file.name for file in path.parent.iterdir()] == ["staged-000001.parquet"]
    assert staging.staged_files(tmp_path) == [path]


def test_a_shard_of_nothing_but_dead_records_is_staged(tmp_path: Path) -> None:
    path = tmp_path / "run" / "staged-0.parquet"
    path.parent.mkdir()
    empty = np.empty((0, 5), np.float32)
    staging.write_staged(path, Staged([], empty, {"c": "why"}, NOW, {"d": "not there"}))
    (found,) = staging.staged_hashes([path])
    assert found.rows() == [("c", "why", True), ("d", "not there", False)]


def test_unfinished_files_are_no_receipts(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    for name in ("staged-000000.123.tmp", "shard-000000.parquet", "scratch.duckdb"):
        (folder / name).write_bytes(b"half")
    assert staging.staged_files(tmp_path) == []


def test_the_dead_can_be_forgotten_and_the_vectors_stay(tmp_path: Path) -> None:
    path = tmp_path / "run" / "staged-0.parquet"
    path.parent.mkdir()
    staging.write_staged(path, Staged(["a"], np.ones((1, 4), np.float32), {"c": "why"}, NOW))
    staging.forget_dead([path])
    (row,) = pq.read_table(path).to_pylist()
    assert row == {
        "content_hash": "a",
        "vector": [1.0] * 4,
        "reason": None,
        "lasting": None,
        "encoded_at": NOW,
        "thumbnail": None,
    }


def test_what_was_not_read_of_staged_texts_outlives_their_dead(tmp_path: Path) -> None:
    paths = [tmp_path / "run" / f"staged-{n}.parquet" for n in range(2)]
    paths[0].parent.mkdir()
    one = np.ones((1, 4), np.float32)
    told = staging.Unread(1, Cut(1, 2, 9), 7)
    staging.write_staged(paths[0], Staged(["a"], one, {"c": "why"}, NOW, unread=told))
    staging.write_staged(paths[1], Staged(["b"], one, {}, NOW))
    staging.forget_dead(paths)
    assert staging.staged_unread(paths) == told
    staging.write_staged(paths[1], Staged(["b"], one, {}, NOW, unread=told))
    assert staging.staged_unread(paths) == staging.Unread(2, Cut(2, 4, 18), 7)


def test_a_staged_file_that_is_taken_away_is_passed_over(tmp_path: Path) -> None:
    assert list(staging.staged_hashes([tmp_path / "staged-0.parquet"])) == []
