"""Keys on disk: what was added is counted, however it was added, and in memory that stays flat."""

from __future__ import annotations

import hashlib
import tracemalloc
from collections import Counter
from itertools import pairwise
from typing import TYPE_CHECKING

import duckdb
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storage import keys
from storage.keys import Keys, key, keys_of

if TYPE_CHECKING:
    from pathlib import Path

CHUNKS = st.lists(st.lists(st.binary(min_size=1, max_size=2), max_size=12), max_size=12)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(chunks=CHUNKS, asked=st.lists(st.binary(min_size=1, max_size=2), max_size=9))
def check(folder: Path, chunks: list[list[bytes]], asked: list[bytes]) -> None:
    met = Keys(folder)
    counted: Counter[bytes] = Counter()
    for chunk in chunks:
        met.add(np.array(chunk, "S16"))
        counted.update(member.rstrip(b"\0") for member in chunk)
        assert len(met) == counted.total()
    found = met.count(np.array(asked, "S16"))
    assert found.tolist() == [counted[member.rstrip(b"\0")] for member in asked]


def test_each_key_is_counted_in_memory(tmp_path: Path) -> None:
    check(tmp_path)


def test_each_key_is_counted_on_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for limit in ("_HELD", "_AT_ONCE", "_MERGED"):
        monkeypatch.setattr(keys, limit, 3)
    check(tmp_path)
    assert not [*tmp_path.iterdir()], "a run has a name, so a killed process would leave it behind"


def test_equal_keys_are_merged_in_flat_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keys, "_HELD", 2**10)
    monkeypatch.setattr(keys, "_MERGED", 2**10)
    met, equal = Keys(tmp_path), np.full(2**16, b"x", "S16")
    met.add(equal)
    tracemalloc.start()
    try:
        met.add(equal)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 1.5 * equal.nbytes  # what was handed over, sorted, and little beside it
    assert met.count(equal[:1]).tolist() == [2 * len(equal)]


def test_a_key_is_that_of_its_values_alone() -> None:
    with duckdb.connect() as con:
        rows = con.sql("FROM (VALUES ('x 1', 2), ('x', 12), ('x', 12)) t(a, b)")
        found = keys_of(rows.select(key("a", "b::VARCHAR") + " AS k").to_arrow_table()["k"])
        whole = hashlib.sha256(b"12 x").digest()[:16]
    assert found[1] == found[2] == whole.rstrip(b"\0")
    assert found[0] != found[1]


def test_keys_are_read_of_any_column(tmp_path: Path) -> None:
    made = [bytes([n]) * 16 for n in range(1, 7)]
    kind = pa.binary()
    column = pa.chunked_array([pa.array(made[:4], kind)[1:3], pa.array([], kind), made[4:]], kind)
    assert keys_of(column).tolist() == [*made[1:3], *made[4:]]
    empty = keys_of(pa.chunked_array([], kind))
    assert (empty.dtype, len(empty)) == (np.dtype("S16"), 0)
    met = Keys(tmp_path)
    assert met.count(empty).tolist() == []
    met.add(empty)
    assert (len(met), met.count(keys_of(column)).tolist()) == (0, [0] * 4)


def test_the_key_of_a_null_is_refused() -> None:
    column = pa.chunked_array([[b"1" * 16, None], [None]])
    with pytest.raises(ValueError, match=r"^expected keys, got 2 nulls among 3$"):
        keys_of(column)


def test_runs_are_merged_as_they_grow_and_long_ones_leave_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keys, "_HELD", 64)
    met = Keys(tmp_path)
    for number in range(1000):
        met.add(np.array([number.to_bytes(2)], "S16"))
        lengths = [len(run.keys) for run in met._runs]  # noqa: SLF001 - nothing else tells
        assert all(4 * after < before for before, after in pairwise(lengths))
    assert sum(lengths) == len(met) == 1000
    in_files = [run.pages is not None for run in met._runs]  # noqa: SLF001 - as above
    assert in_files == [length > 64 for length in lengths]
    assert len({*in_files}) == 2


def test_a_key_of_several_runs_is_counted_in_all(tmp_path: Path) -> None:
    met = Keys(tmp_path)
    met.add(np.array([b"%d" % number for number in range(9)], "S16"))
    met.add(np.array([b"1", b"1"], "S16"))
    found = met.count(np.array([b"x", b"1", b"2"], "S16"))
    assert (found.tolist(), found.dtype) == ([0, 3, 1], np.dtype(np.int64))


def test_long_runs_lie_in_the_folder_that_was_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keys, "_HELD", 2)
    met = Keys(tmp_path / "gone")
    for held in (b"a", b"b"):
        met.add(np.array([held], "S16"))
    with pytest.raises(FileNotFoundError, match="gone"):
        met.add(np.array([b"c"], "S16"))
