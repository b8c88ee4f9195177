"""Parquet files, read a batch of rows at a time."""

from __future__ import annotations

from contextlib import contextmanager
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

from flows.sources import _arrow
from flows.sources._rows import Window
from flows.sources._where import Local, steady
from flows.sources.base import CHUNK_ROWS, SourceError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import polars as pl

    from flows.sources._rows import Only, Raw
    from flows.sources._where import File


class ParquetTable:
    """One Parquet file. Rows are numbered from 0, as DuckDB and Polars number them."""

    loose = False

    def __init__(self, file: File, name: str) -> None:
        """Read the schema.

        Raises:
            SourceError: if the file is no Parquet file, or two columns share a name.
        """
        self.name = name
        self._file = file
        with _reading(file, name) as parquet:
            names: list[str] = parquet.schema_arrow.names
            doubled = sorted({column for column in names if names.count(column) > 1})
            if doubled:
                raise SourceError(
                    f"{name} has more than one column {doubled[0]!r}; rename all but one"
                )
            self.columns: dict[str, pl.DataType | None] = _arrow.types(parquet.schema_arrow)

    def batches(self, columns: Sequence[str]) -> Iterator[Raw]:
        """Stream these columns with the types that they have in the file."""
        return self._stream(columns, None)

    def prunes(self, column: str) -> bool:
        """Where the column is a date or a time of a day, row groups know their bounds."""
        import polars as pl

        return isinstance(self.columns.get(column), (pl.Date, pl.Datetime))

    def batches_of(self, columns: Sequence[str], only: Only) -> Iterator[Raw]:
        """Stream these columns of the row groups that may hold wanted rows."""
        return self._stream(columns, only if isinstance(only, Window) else None)

    def _stream(self, columns: Sequence[str], window: Window | None) -> Iterator[Raw]:
        start = 0
        with _reading(self._file, self.name) as parquet:
            for group in range(parquet.num_row_groups):
                about = parquet.metadata.row_group(group)
                if window is not None and _outside(about, window):
                    start += about.num_rows
                    continue
                for batch in parquet.iter_batches(CHUNK_ROWS, [group], list(columns)):
                    places = [f"{self.name}#{start + row}" for row in range(len(batch))]
                    yield _arrow.raw(batch, columns, places)
                    start += len(batch)


def _outside(group: Any, window: Window) -> bool:  # noqa: ANN401 - pyarrow ships no types
    """Whether no row of a group can be in a window, by the bounds that its writer noted."""
    about = next(
        (
            group.column(i).statistics
            for i in range(group.num_columns)
            if group.column(i).path_in_schema == window.column
        ),
        None,
    )
    if about is None or not about.has_min_max:
        return False
    least, most = _moment(about.min), _moment(about.max)
    early = most is not None and window.since is not None and most < window.since
    late = least is not None and window.until is not None and least >= window.until
    return early or late


def _moment(bound: object) -> datetime | None:
    """A bound as a point in time, to the microsecond; None where it is of another kind."""
    if isinstance(bound, datetime):
        return bound if bound.tzinfo else bound.replace(tzinfo=UTC)
    if isinstance(bound, date):
        return datetime(bound.year, bound.month, bound.day, tzinfo=UTC)
    return None


@contextmanager
def _reading(file: File, name: str) -> Iterator[Any]:
    import pyarrow.parquet as pq

    with steady(file, name), _telling(name):
        if isinstance(file, Local):
            with pq.ParquetFile(file.path) as parquet:
                yield parquet
        else:
            with file.open() as stream, pq.ParquetFile(stream) as parquet:
                yield parquet


@contextmanager
def _telling(name: str) -> Iterator[None]:
    import polars as pl
    import pyarrow as pa

    try:
        yield
    except SourceError:
        raise
    except (OSError, ValueError, pa.ArrowException, pl.exceptions.PolarsError) as error:
        # A ValueError where a damaged file names a column in no UTF-8.
        raise SourceError(f"{name} cannot be read as Parquet: {error}") from error
