"""What the columns of a table hold, by a look at its first rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from storage.damage import reading

ROWS = 100_000
"""Rows that are looked at, at most."""
SHOWN = 200
"""Characters of a text that are looked at: kept texts are long, and this tells them apart."""


@dataclass(frozen=True)
class Held:
    """What a column holds.

    Attributes:
        values: its different values that are no null, the commonest first; of texts the first
            `SHOWN` characters.
        low, high: the least and the greatest of them; None where there are none.
        whole: whether every row was looked at.
    """

    values: list[Any]
    low: Any
    high: Any
    whole: bool


def held(dataset: Any, table: str, column: str, rows: int = ROWS) -> Held:  # noqa: ANN401 - pylance ships no types
    """What a column of numbers, texts, booleans or times holds in the first rows of a table.

    Args:
        dataset: the table at one state.
        table: its name, for errors.
        column: which.
        rows: how many rows are looked at.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    kind = dataset.schema.field(column).type
    long = pa.types.is_string(kind) or pa.types.is_large_string(kind)
    with reading(table):
        parts = [
            pc.utf8_slice_codeunits(batch.column(0), 0, SHOWN) if long else batch.column(0)
            for batch in dataset.to_batches(columns=[column], limit=rows)
        ]
    found = pa.chunked_array(parts, kind)
    counted = pc.value_counts(found.drop_null())
    ordered = counted.take(pc.array_sort_indices(counted.field("counts"), order="descending"))
    values = ordered.field("values")
    bounds = pc.min_max(values).as_py() if len(values) else {"min": None, "max": None}
    return Held(values.to_pylist(), bounds["min"], bounds["max"], len(found) < rows)
