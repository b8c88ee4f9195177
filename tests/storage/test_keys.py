"""Keys on disk: what was added is counted, however it was added, and in memory that stays flat."""

from __future__ import annotations

import hashlib
import tracemalloc
from collections import Counter
from typing import TYPE_CHECKING

import duckdb
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from storage import keys
from storage.keys import Keys, key, keys_of

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

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
