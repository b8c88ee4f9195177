"""A project whose rows are chunks of so many words, and what its table should hold."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from storage.ids import hash_text
from tests.flows.plugins.letters import vector_of
from tests.flows.plugins.phrases import spans
from tests.flows.project import vector

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.flows.project import Project

Row = tuple[str, str, int, int, int, str]
"""Record, hash of the whole, number, start, end, hash of the chunk."""


def cut(project: Project, **encoder: Any) -> Project:  # noqa: ANN401 - keys of the encoder
    """Have texts cut into chunks of three words."""
    keys = {"kind": "phrases", "log": str(project.root / "encoded.jsonl")}
    project.encoder = keys | encoder
    return project


def expected(texts: Mapping[str, str], words: int = 3, overlap: int = 0) -> dict[str, Row]:
    """The rows of some records' texts."""
    return {
        f"{record}#{n}": (record, hash_text(text), n, start, end, hash_text(text[start:end]))
        for record, text in texts.items()
        for n, (start, end) in enumerate(spans(text, words, overlap))
    }


def held(project: Project, view: str = "notes") -> dict[str, Row]:
    """The rows that are published."""
    columns = ("parent_id", "parent_hash", "chunk", "chunk_start", "chunk_end", "content_hash")
    rows: dict[str, Any] = {
        name: tuple(row[column] for column in columns) for name, row in project.rows(view).items()
    }
    return rows


def check_vectors(project: Project, texts: Mapping[str, str]) -> None:
    """Each row has the vector of its span of its record's text."""
    for row in project.rows().values():
        text = texts[row["parent_id"]][row["chunk_start"] : row["chunk_end"]]
        np.testing.assert_array_equal(vector(row), vector_of(text))
