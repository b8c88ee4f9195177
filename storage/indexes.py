"""The indexes of a table: what there is, and how many rows each does not know yet.

An index belongs to the states of a table from the one that it was made in. Rows that were written
later are not in it; Lance looks at these one by one, so that an answer is right however far an
index lags.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from storage.damage import reading

if TYPE_CHECKING:
    from collections.abc import Sequence

    from storage.vectors import Vectors


@dataclass(frozen=True)
class Index:
    """An index of one column.

    Attributes:
        kind: what it is, in Lance's words: ``BTree``, ``Bitmap``, ``FTS``, ``IvfSq`` and so on.
        indexed: rows that it knows.
        unindexed: rows that it does not.
    """

    name: str
    column: str
    kind: str
    indexed: int
    unindexed: int


def indexes(
    vectors: Vectors, table: str, lance_version: int, *, again: bool = False
) -> list[Index]:
    """The indexes of a table at one Lance version, by column.

    Args:
        vectors: where the table is.
        table: the table.
        lance_version: the state of it.
        again: whether to keep it open, as for a session that searches it again.
    """
    state, at = (vectors.read_again, vectors.pinned) if again else (vectors.state, vectors.at)
    with reading(table):
        if not state(table, lance_version).has_index:
            return []  # without LanceDB, which takes a second to import
        opened = at(table, lance_version)
        found = [_index(one) for one in opened.list_indices()]
    return sorted(found, key=lambda index: index.column)


def of_column(found: Sequence[Index], column: str) -> Index | None:
    """The index of a column, None where there is none."""
    return next((index for index in found if index.column == column), None)


def _index(told: Any) -> Index:  # noqa: ANN401 - lancedb ships no types
    (column,) = told.columns
    indexed, unindexed = told.num_indexed_rows or 0, told.num_unindexed_rows or 0
    return Index(told.name, column, told.index_type, indexed, unindexed)
