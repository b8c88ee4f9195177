"""Rows that are parts of records: which columns say of what each is a part, and which part."""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Parts:
    """The columns of a table, or of a source's records, whose rows are parts of records.

    A row goes by ``PARENT#N``. Since each row of such a table does, no two rows can meet, whatever
    stands in the ids of records; an id may well be that of a record and that of another's part.

    Attributes:
        parent: the id of the record.
        whole: the hash of all of the record's content.
        number: which part, counted from 0.
        start, end: the part's place in the content.
        unit: what a place is counted in.
    """

    parent: str
    whole: str
    number: str
    start: str
    end: str
    unit: str = "characters"

    @property
    def names(self) -> tuple[str, ...]:
        """The five columns, in order."""
        return (self.parent, self.whole, self.number, self.start, self.end)


PARTS = Parts("parent_id", "parent_hash", "chunk", "chunk_start", "chunk_end")
"""As every chunked version has them, after the kept columns of its source."""

TIMES = replace(PARTS, unit="milliseconds")
"""The same columns, of a version of recordings."""


def of(modality: str) -> Parts:
    """The columns that a version of this modality has, where its rows are parts."""
    return TIMES if modality == "audio" else PARTS


def key(*, chunked: bool) -> str:
    """The column that names the record of a row."""
    return PARTS.parent if chunked else "record_id"


def parent_of(row_id: str) -> str:
    """The record that a row of a chunked version is a part of."""
    return row_id.rpartition("#")[0]
