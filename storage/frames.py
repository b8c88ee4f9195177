"""Frames of a stream: held on to without what they were cut from, or gathered into larger ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import polars as pl

_LEAST = 65_536


def apart(rows: pl.DataFrame) -> pl.DataFrame:
    """A copy of rows that lives by itself, for who holds some rows of a stream.

    Polars copies no text where it filters, sorts or cuts: a row that is left keeps in memory the
    texts of all rows that were read together with it.
    """
    import polars as pl

    return pl.DataFrame(rows.to_arrow(compat_level=pl.CompatLevel.oldest()), schema=rows.schema)


def gathered(frames: Iterable[pl.DataFrame], least: int = _LEAST) -> Iterator[pl.DataFrame]:
    """The same rows in fewer frames: of so many rows at least, but for the last; none is empty."""
    import polars as pl

    held: list[pl.DataFrame] = []
    for frame in frames:
        if len(frame):
            held.append(frame)
        if sum(map(len, held)) >= least:
            yield pl.concat(held)
            held = []
    if held:
        yield pl.concat(held)
