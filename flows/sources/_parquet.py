"""Parquet files, read a batch of rows at a time."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast

from flows.sources._rows import Raw
from flows.sources.base import CHUNK_ROWS, Reject, SourceError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    import polars as pl


class ParquetTable:
    """One Parquet file. Rows are numbered from 0, as DuckDB and Polars number them."""

    loose = False

    def __init__(self, path: Path, name: str) -> None:
        """Read the schema.

        Raises:
            SourceError: if the file is no Parquet file, or two columns share a name.
        """
        import polars as pl

        self.name = name
        self._path = path
        with _reading(path, name) as file:
            names: list[str] = file.schema_arrow.names
            doubled = sorted({column for column in names if names.count(column) > 1})
            if doubled:
                raise SourceError(
                    f"{name} has more than one column {doubled[0]!r}; rename all but one"
                )
            empty = cast("pl.DataFrame", pl.from_arrow(file.schema_arrow.empty_table()))
        self.columns: dict[str, pl.DataType | None] = dict(empty.schema)

    def batches(self, columns: Sequence[str]) -> Iterator[Raw]:
        """Stream these columns with the types that they have in the file."""
        start = 0
        with _reading(self._path, self.name) as file:
            for batch in file.iter_batches(batch_size=CHUNK_ROWS, columns=list(columns)):
                yield self._raw(batch, columns, start)
                start += len(batch)

    def _raw(self, batch: Any, columns: Sequence[str], start: int) -> Raw:  # noqa: ANN401 - pyarrow ships no types
        import polars as pl
        import pyarrow as pa

        arrays = {name: _decoded(batch.column(name)) for name in columns}
        garbled = _garbled(arrays)
        places = [f"{self.name}#{start + row}" for row in range(len(batch))]
        rejects = [
            Reject(places[row], f"invalid UTF-8 in column {column!r}; write the file again")
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


@contextmanager
def _reading(path: Path, name: str) -> Iterator[Any]:
    import polars as pl
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            yield file
    except (OSError, pa.ArrowException, pl.exceptions.PolarsError) as error:
        raise SourceError(f"{name} cannot be read as Parquet: {error}") from error
