"""Rows that come as Arrow batches: text that is no UTF-8 costs its row."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from flows.sources._rows import Raw
from flows.sources.base import Reject

if TYPE_CHECKING:
    from collections.abc import Sequence

    import polars as pl


def types(schema: Any) -> dict[str, pl.DataType | None]:  # noqa: ANN401 - pyarrow ships no types
    """The Polars types of an Arrow schema."""
    import polars as pl

    return dict(cast("pl.DataFrame", pl.from_arrow(schema.empty_table())).schema)


def raw(batch: Any, columns: Sequence[str], places: list[str]) -> Raw:  # noqa: ANN401 - pyarrow ships no types
    """Some columns of a batch."""
    import polars as pl
    import pyarrow as pa

    arrays = {name: _decoded(batch.column(name)) for name in columns}
    garbled = _garbled(arrays)
    rejects = [
        Reject(places[row], f"invalid UTF-8 in column {column!r}; write it again")
        for row, column in garbled.items()
    ]
    good = pa.array([row not in garbled for row in range(len(batch))], type=pa.bool_())
    table = pa.table({name: array.filter(good) for name, array in arrays.items()})
    kept = [place for row, place in enumerate(places) if row not in garbled]
    return Raw(cast("pl.DataFrame", pl.from_arrow(table)), kept, rejects)


def _decoded(array: Any) -> Any:  # noqa: ANN401 - pyarrow ships no types
    import pyarrow as pa

    return array.dictionary_decode() if pa.types.is_dictionary(array.type) else array


def _garbled(arrays: dict[str, Any]) -> dict[int, str]:
    """The rows that hold text that is not UTF-8, and the column where they do.

    Neither pyarrow nor Polars looks at the bytes of text that pass from one to the other, and
    Polars panics on them later.
    """
    import pyarrow as pa

    garbled: dict[int, str] = {}
    for name, array in arrays.items():
        try:
            array.validate(full=True)
        except pa.ArrowInvalid:
            for row in range(len(array)):
                try:
                    array.slice(row, 1).validate(full=True)
                except pa.ArrowInvalid:
                    garbled.setdefault(row, name)
    return garbled
