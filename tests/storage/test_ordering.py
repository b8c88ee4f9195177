"""Rows put in order on disk."""

from __future__ import annotations

import tempfile
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pytest

from storage import ordering
from storage.model import StorageError
from storage.ordering import PLACE, in_order, joined

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SCHEMA = pa.schema([(PLACE, pa.int64()), ("text", pa.string()), ("maybe", pa.int32())])


def batches(n: int, seed: int, width: int = 20) -> Iterator[pa.RecordBatch]:
    """Rows of odd lengths with the places 5 to 5 + n, in any order."""
    rng = np.random.default_rng(seed)
    places = (5 + rng.permutation(n)).tolist()
    for at in range(0, n, 7):
        some = places[at : at + 7]
        texts = [f"{place} " * int(rng.integers(width)) or None for place in some]
        yield pa.RecordBatch.from_pydict(
            {PLACE: some, "text": texts, "maybe": [None] * len(some)}, SCHEMA
        )


@pytest.mark.parametrize("held", [1, 300, 5000])
@pytest.mark.parametrize("ways", [2, 64])
def test_rows_come_by_their_places(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, held: int, ways: int
) -> None:
    monkeypatch.setattr(ordering, "_HELD", held)
    monkeypatch.setattr(ordering, "_WAYS", ways)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "nowhere"))  # files go where we say
    for n in (1, 7, 100):
        expected = pa.Table.from_batches([*batches(n, n)]).sort_by(PLACE)
        found = [*in_order(batches(n, n), tmp_path, 5, 5 + n)]
        assert pa.concat_tables(found).equals(expected)
    assert not [*tmp_path.iterdir()], "a file has a name, so a killed process would leave it behind"


def test_no_table_is_much_longer_than_memory_is_to_hold(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ordering, "_HELD", 2000)
    found = [table.nbytes for table in in_order(batches(2000, 0), tmp_path, 5, 2005)]
    assert max(found) < 4000
    assert sum(found) > 40 * 2000


@pytest.mark.parametrize(
    ("n", "ways", "lengths"),
    [(11, 64, [11]), (48, 64, [10, 10, 10, 10, 8]), (50, 2, [7, 6, 12, 7, 6, 6, 6])],
)
def test_rows_are_spread_over_as_many_files_as_they_need(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, n: int, ways: int, lengths: list[int]
) -> None:
    monkeypatch.setattr(ordering, "_HELD", 80)
    monkeypatch.setattr(ordering, "_WAYS", ways)
    places = np.arange(n) * 7 % n + 7
    rows = pa.table({PLACE: places}).to_batches(max_chunksize=5)  # 8 bytes each
    assert [len(table) for table in in_order(rows, tmp_path, 7, 7 + n)] == lengths


def test_of_no_rows_nothing_comes(tmp_path: Path) -> None:
    assert [*in_order(iter(()), tmp_path, 0, 0)] == []


def numbers(*blocks: list[int], **more: list[int]) -> Iterator[pa.RecordBatch]:
    for block in blocks:
        columns = {name: values[: len(block)] for name, values in more.items()}
        yield pa.RecordBatch.from_pydict({"seq": pa.array(block, pa.int64()), **columns})


def test_rows_meet_what_is_said_of_them() -> None:
    rows = numbers([0, 2], [], [3, 5], [6], [9], text=[7, 8])
    found = [*joined(rows, numbers([], [2], [3, 6, 9], more=[1, 2, 3]))]
    seqs = [seq for batch in found for seq in batch["seq"].to_pylist()]
    texts = [text for batch in found for text in batch["text"].to_pylist()]
    more = [number for batch in found for number in batch["more"].to_pylist()]
    assert (seqs, texts, more) == ([2, 3, 6, 9], [8, 7, 7, 7], [1, 1, 2, 3])


@pytest.mark.parametrize("blocks", [([0, 1],), ([0, 2], [4]), ([4], [0, 3])])
def test_rows_that_are_not_where_they_were_put_are_refused(blocks: tuple[list[int], ...]) -> None:
    with pytest.raises(StorageError, match="not where they were put"):
        [*joined(numbers(*blocks), numbers([0, 3]))]


def test_where_nothing_was_taken_nothing_is_said() -> None:
    assert [*joined(numbers(), numbers([]))] == []
