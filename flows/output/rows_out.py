"""Rows that are made block by block, to a file: whole or not at all, over what is there."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from storage import swaps
from storage.model import StorageError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable

    import polars as pl

FORMS = (".csv", ".parquet")


def check(target: Path) -> None:
    """Refuse a place that rows cannot be written to, before any are made.

    Raises:
        UsageError: says what is in the way.
    """
    if target.suffix.lower() not in FORMS:
        raise UsageError(f"the ending of {target} says no format; expected {' or '.join(FORMS)}")
    if not target.absolute().parent.is_dir():
        raise UsageError(
            f"there is no folder {target.absolute().parent}; make it, or name another --output"
        )
    if target.is_dir():
        raise UsageError(f"{target} is a folder; name a file as --output")


def write(blocks: Iterable[pl.DataFrame], schema: pl.Schema, target: Path) -> int:
    """Write rows as the ending of the file says.

    Args:
        blocks: the rows.
        schema: of each block, which where there are no rows is all there is.
        target: the file.

    Returns:
        How many rows there are.

    Raises:
        UsageError: as `check`, or if a column is of a type that the format does not have.
        StorageError: if the place cannot be written to.
    """
    check(target)
    place = target.absolute()
    try:
        with tempfile.TemporaryDirectory(prefix=".vecmill-rows-", dir=place.parent) as folder:
            fresh = Path(folder) / "fresh"
            put = _csv if target.suffix.lower() == ".csv" else _parquet
            rows = put(blocks, schema, fresh)
            swaps.settle(fresh)
            swaps.put(fresh, place, Path(folder) / "old")
    except OSError as error:
        raise StorageError(f"cannot write {target}: {error.strerror or error}") from error
    return rows


def _csv(blocks: Iterable[pl.DataFrame], schema: pl.Schema, path: Path) -> int:
    import polars as pl

    rows = 0
    with path.open("wb") as file:
        pl.DataFrame(schema=schema).write_csv(file)
        for block in blocks:
            # As `vecmill sql` writes bytes, such as those of thumbnails.
            told = block.with_columns(pl.col(pl.Binary).bin.encode("base64"))
            try:
                told.write_csv(file, include_header=False)
            except pl.exceptions.ComputeError as error:  # a column of lists
                raise UsageError(f"{error}; write .parquet, which has every type") from error
            rows += len(block)
    return rows


def _parquet(blocks: Iterable[pl.DataFrame], schema: pl.Schema, path: Path) -> int:
    import polars as pl
    import pyarrow.parquet as pq

    rows = 0
    shape = pl.DataFrame(schema=schema).to_arrow().schema
    with pq.ParquetWriter(path, shape, compression="zstd") as writer:
        for block in blocks:
            writer.write_table(block.to_arrow().cast(shape))
            rows += len(block)
    return rows
