"""Batches of rows that a database driver gives as Python values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from flows.sources._rows import Raw
from flows.sources.base import CHUNK_ROWS, Reject

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    import polars as pl

FETCH_ROWS = 512
"""How many rows are asked for at a time; a batch is made of several answers."""

_BATCH_BYTES = 32 * 1024 * 1024


@dataclass(frozen=True)
class Odd:
    """A value that cannot be taken; says why."""

    reason: str


def text(data: bytes) -> str | Odd:
    """A text as a database gives it."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        return Odd("invalid UTF-8")


def batches(answers: Iterable[Sequence[tuple[Any, ...]]]) -> Iterator[list[tuple[Any, ...]]]:
    """Gather answers to batches of at most `CHUNK_ROWS` rows and about 32 MiB."""
    rows: list[tuple[Any, ...]] = []
    size = 0
    for answer in answers:
        rows += answer
        size += sum(len(v) if isinstance(v, (str, bytes)) else 8 for row in answer for v in row)
        if len(rows) > CHUNK_ROWS - FETCH_ROWS or size >= _BATCH_BYTES:
            yield rows
            rows, size = [], 0
    if rows:
        yield rows


def raw(
    rows: Sequence[tuple[Any, ...]],
    columns: Mapping[str, pl.DataType],
    places: Sequence[str],
    highest: str | None = None,
) -> Raw:
    """Columns of rows, without the rows that hold an `Odd` value.

    Args:
        rows: at least the values of ``columns``, in their order; what follows is left out.
        columns: the type to take each column as.
        places: where each row stands.
        highest: see `Raw.highest`.
    """
    import polars as pl

    odd = {
        place: f"{value.reason} in column {column!r}"
        for row, place in zip(rows, places, strict=True)
        for value, column in zip(row, columns, strict=False)
        if isinstance(value, Odd)
    }
    good = [row for row, place in zip(rows, places, strict=True) if place not in odd]
    values = list(zip(*good, strict=True)) or [()] * len(columns)
    series = [
        pl.Series(name, list(column), dtype=dtype)
        for (name, dtype), column in zip(columns.items(), values, strict=False)
    ]
    return Raw(
        pl.DataFrame(series),
        [place for place in places if place not in odd],
        [Reject(place, reason) for place, reason in odd.items()],
        highest=highest,
    )
