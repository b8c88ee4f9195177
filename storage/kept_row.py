"""What is kept of one record beside its vector."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from storage.conditions import literal
from storage.damage import reading
from storage.parts import PARTS

if TYPE_CHECKING:
    from storage.vectors import Vectors


def kept_row(
    vectors: Vectors, table: str, lance_version: int, record_id: str
) -> dict[str, Any] | None:
    """The columns of a record's current row, or of the first part of a record; None where none is.

    Args:
        vectors: the tables.
        table: the table of a version.
        lance_version: its state.
        record_id: of a row, or where rows are parts of records of a record.
    """
    dataset = vectors.dataset(table, lance_version)
    columns = [name for name in dataset.schema.names if name != "vector"]
    for key in ("record_id", PARTS.parent):
        if key in columns:
            with reading(table):
                rows = _of(dataset, columns, f"{key} = {literal(record_id)}")
            if rows:
                return min(rows, key=lambda row: row.get(PARTS.number) or 0)
    return None


def _of(dataset: Any, columns: list[str], where: str) -> list[dict[str, Any]]:  # noqa: ANN401 - pylance ships no types
    rows: list[dict[str, Any]] = dataset.to_table(columns=columns, filter=where).to_pylist()
    times = [row["event_time"] for row in rows if row["event_time"] is not None]
    return [row for row in rows if not times or row["event_time"] == max(times)]
