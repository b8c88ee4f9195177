"""Searches by words, as a session asks them one after another."""

from __future__ import annotations

from typing import TYPE_CHECKING

import lancedb
import pyarrow as pa

from storage.indexing import words_config
from storage.vectors import Vectors
from storage.worded import by_words

if TYPE_CHECKING:
    from pathlib import Path


def test_a_session_that_searches_again_opens_nothing_again(tmp_path: Path) -> None:
    texts = ["wheat and rye", "rye alone", "oats"]
    vector = pa.FixedSizeListArray.from_arrays(pa.array([0.0] * 6, pa.float32()), 2)
    rows = pa.table({"record_id": ["a", "b", "c"], "vector": vector, "text": texts})
    table = lancedb.connect(tmp_path).create_table("t_v1", rows)
    table.create_index("text", config=words_config())
    vectors, state = Vectors(str(tmp_path)), ("t_v1", int(table.version))
    first = by_words(vectors, state, "rye", ["text"], 2)
    assert sorted(first["record_id"].to_pylist()) == ["a", "b"]
    versions = tmp_path / "t_v1.lance" / "_versions"
    versions.rename(tmp_path / "away")  # without it a table cannot be opened
    assert by_words(vectors, state, "rye", ["text"], 2).equals(first)
    assert by_words(vectors, state, "oats", ["text"], 2)["record_id"].to_pylist() == ["c"]
