"""Rows at places: of staged files, and of what is published."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds
import pytest

from storage.assembly import (
    FILE,
    StagedRows,
    fitted,
    numbered,
    published_rows,
    rows_at_once,
    vectors_of,
)
from storage.model import StorageError
from storage.staging import Staged, write_staged

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

NOW = datetime(2026, 1, 2, tzinfo=UTC)
COLUMNS = pa.schema([("content_hash", pa.string()), ("missing", pa.binary())])


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    found = []
    for n in range(3):
        hashes = [f"{n}.{i}" for i in range(10)]
        found.append(tmp_path / f"staged-{n}.parquet")
        write_staged(found[-1], Staged(hashes, np.zeros((10, 2), np.float32), {}, NOW))
    return found


def places(rows: Sequence[tuple[int, int]]) -> NDArray[np.int64]:
    """Where rows of files lie: each by its file and its number in it."""
    return np.array([file << FILE | row for file, row in rows])


@pytest.mark.parametrize("at_once", [1, 3, 100])
def test_staged_rows_come_by_their_places(files: list[Path], at_once: int) -> None:
    wanted = [(0, 1), (0, 1), (0, 9), (2, 0), (2, 4), (2, 4), (2, 9)]
    asked = places(wanted)
    rows = StagedRows(files, COLUMNS, at_once)
    found = [*rows.take(asked[:2])["content_hash"].to_pylist()]
    found += rows.take(asked[2:5])["content_hash"].to_pylist()
    last = rows.take(asked[5:])
    found += last["content_hash"].to_pylist()
    assert found == [f"{file}.{row}" for file, row in wanted]
    assert last["missing"].to_pylist() == [None, None]
    assert last.schema == COLUMNS


@pytest.mark.parametrize("at_once", [1, 3, 100])
def test_all_rows_come_at_once_block_after_block(files: list[Path], at_once: int) -> None:
    wanted = [(file, row) for file in range(3) for row in range(10)]
    found = StagedRows(files, COLUMNS, at_once).take(places(wanted))["content_hash"]
    assert found.to_pylist() == [f"{file}.{row}" for file, row in wanted]
    assert found.num_chunks == 3 * -(-10 // at_once)


@pytest.mark.parametrize("first", [0, 1, 2])
def test_any_file_may_be_the_first(files: list[Path], first: int) -> None:
    found = StagedRows(files, COLUMNS, 4).take(places([(first, 5)]))
    assert found["content_hash"].to_pylist() == [f"{first}.5"]


def test_a_file_that_has_become_shorter_is_named(files: list[Path]) -> None:
    rows = StagedRows(files, COLUMNS, 4)
    with pytest.raises(
        StorageError, match=r"staged-1\.parquet has fewer than 11 rows now, .*; run again$"
    ):
        rows.take(places([(1, 10)]))


def test_published_rows_are_numbered_as_they_are_taken() -> None:
    table = pa.table({"record_id": [f"r{n}" for n in range(9)], "nth": list("abcdefghi")})
    base = ds.dataset(table)
    told = numbered(base, {"kept_0": "nth", "record_id": "record_id"}).read_all()
    assert told.column_names == ["kept_0", "record_id", "nth"]
    assert told["nth"].to_pylist() == list(range(9))
    found = published_rows(base, np.array([1, 4, 4, 8]), ["nth"])
    assert found.to_pydict() == {"nth": ["b", "e", "e", "i"]}


def test_numbers_go_on_from_batch_to_batch() -> None:
    batch = pa.table({"record_id": ["a", "b", "c"]})
    told = numbered(ds.dataset(pa.concat_tables([batch] * 4)), {"name": "record_id"}).read_all()
    assert told["nth"].to_pylist() == list(range(12))


@pytest.mark.parametrize(("dim", "rows"), [(1, 8192), (512, 8192), (1000, 4194), (10**8, 1)])
def test_the_wider_the_vectors_the_fewer_rows_go_by_at_a_time(dim: int, rows: int) -> None:
    assert rows_at_once(dim) == rows


def test_no_vectors_are_a_column_of_that_width() -> None:
    kind = pa.list_(pa.float32(), 2)
    found = vectors_of(pa.chunked_array([], pa.list_(pa.float32())), kind)
    assert (len(found), found.type) == (0, kind)


def test_columns_are_fitted_to_a_table_by_name_type_and_width() -> None:
    lists = pa.chunked_array([[[1.0, 2.0]], [[3.0, 4.0], [5.0, 6.0]]], pa.list_(pa.float32()))
    schema = pa.schema(
        [("n", pa.int64()), ("vector", pa.list_(pa.float32(), 2)), ("record_id", pa.string())]
    )
    columns = {
        "vector": lists,
        "record_id": pa.chunked_array([["a", "b", "c"]]),
        "n": pa.chunked_array([[7, 8, 9]], pa.int8()),
        "of_no_use": pa.chunked_array([[None, None, None]]),
    }
    found = pa.Table.from_batches(fitted(columns, schema))
    assert found.schema == schema
    assert found.to_pydict() == {
        "n": [7, 8, 9],
        "vector": [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]],
        "record_id": ["a", "b", "c"],
    }
    assert columns["vector"] is lists
