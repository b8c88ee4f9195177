"""Rows at places: of staged files, and of what is published."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds
import pytest

from storage.assembly import FILE, StagedRows, numbered, published_rows
from storage.model import StorageError
from storage.staging import Staged, write_staged

if TYPE_CHECKING:
    from pathlib import Path

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


@pytest.mark.parametrize("at_once", [1, 3, 100])
def test_staged_rows_come_by_their_places(files: list[Path], at_once: int) -> None:
    wanted = [(0, 1), (0, 1), (0, 9), (2, 0), (2, 4), (2, 4), (2, 9)]
    places = np.array([file << FILE | row for file, row in wanted])
    rows = StagedRows(files, COLUMNS, at_once)
    found = [*rows.take(places[:2])["content_hash"].to_pylist()]
    found += rows.take(places[2:5])["content_hash"].to_pylist()
    last = rows.take(places[5:])
    found += last["content_hash"].to_pylist()
    assert found == [f"{file}.{row}" for file, row in wanted]
    assert last["missing"].to_pylist() == [None, None]


def test_a_file_that_has_become_shorter_is_named(files: list[Path]) -> None:
    rows = StagedRows(files, COLUMNS, 4)
    with pytest.raises(StorageError, match=r"staged-1\.parquet has fewer than 11 rows"):
        rows.take(np.array([(1 << FILE) + 10]))


def test_published_rows_are_numbered_as_they_are_taken() -> None:
    table = pa.table({"record_id": [f"r{n}" for n in range(9)], "nth": list("abcdefghi")})
    base = ds.dataset(table)
    told = numbered(base, {"kept_0": "nth", "record_id": "record_id"}).read_all()
    assert told.column_names == ["kept_0", "record_id", "nth"]
    assert told["nth"].to_pylist() == list(range(9))
    places = np.array([1, 4, 4, 8])
    found = published_rows(base, places, ["record_id", "nth"])
    assert found["nth"].to_pylist() == ["b", "e", "e", "i"]
