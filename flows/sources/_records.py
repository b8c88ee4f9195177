"""The records of tables: read whole, from a cursor on, or in a window of event times.

Four classes, since a source says what it can do by the members that it has.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from flows.sources import _types
from flows.sources._rows import From, Window, shape

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence
    from datetime import datetime

    import polars as pl

    from flows.sources._rows import Cursored, Layout, Prunable, Raw, Table
    from flows.sources.base import Chunk

    Stamp = Callable[[], str | None]


class RowSource:
    """The rows of some tables as records."""

    def __init__(
        self, tables: Sequence[Table], layout: Layout, given: Collection[str], stamp: Stamp
    ) -> None:
        """Take tables whose columns are settled.

        Args:
            tables: read one after another.
            layout: what part each column plays.
            given: the columns whose types the configuration names.
            stamp: see `flows.sources.base.Stamped`.
        """
        self._tables = tables
        self._layout = layout
        self._given = given
        self._stamp = stamp

    @property
    def kept(self) -> dict[str, pl.DataType]:
        """The kept columns and their types."""
        return {name: self._layout.types[name] for name in self._layout.kept}

    @property
    def types(self) -> dict[str, str]:
        """The types of kept and tabular content columns that the configuration leaves open."""
        named = {name: _types.named(t) for name, t in self._layout.types.items()}
        return {
            name: t for name, t in named.items() if t in _types.NAMES and name not in self._given
        }

    def stamp(self) -> str | None:
        """See `flows.sources.base.Stamped`."""
        return self._stamp()

    def scan(self) -> Iterator[Chunk]:
        """Stream the records, table by table, row by row.

        Raises:
            SourceError: if a table is gone, damaged, or has other columns than when it was opened.
            SourceAwayError: if it is away, or changes while it is read.
        """
        for table in self._tables:
            for raw in table.batches(self._layout.columns):
                yield shape(raw, self._layout)

    def rows(self) -> Iterator[Chunk]:
        """As `scan`, without content hashes, for a source whose records are made of several rows.

        Raises:
            SourceError: as `scan`.
            SourceAwayError: as `scan`.
        """
        for table in self._tables:
            for raw in table.batches(self._layout.columns):
                yield shape(raw, self._layout, hashed=False)


class WindowedRows(RowSource):
    """Rows with an event time that their table knows how to leave out by."""

    def scan_window(self, since: datetime | None, until: datetime | None) -> Iterator[Chunk]:
        """See `flows.sources.base.Windowed`."""
        column = self._layout.event_time
        if column is None or (since is None and until is None):
            yield from self.scan()
            return
        for table in self._tables:
            window = Window(column, since, until)
            for raw in cast("Prunable", table).batches_of(self._layout.columns, window):
                yield shape(raw, self._layout)


class IncrementalRows(RowSource):
    """The rows of one table with a column that only grows."""

    def __init__(
        self,
        tables: Sequence[Table],
        layout: Layout,
        given: Collection[str],
        stamp: Stamp,
        column: str,
    ) -> None:
        """See `RowSource`; ``column`` is the cursor."""
        super().__init__(tables, layout, given, stamp)
        self._column = column
        self._cursor: str | None = None

    @property
    def cursor(self) -> str | None:
        """See `flows.sources.base.Incremental`."""
        return self._cursor

    def scan(self) -> Iterator[Chunk]:
        """Stream all records, and take note of the highest cursor."""
        table = self._tables[0]
        yield from self._noting(table.batches(self._layout.columns), None)

    def scan_from(self, cursor: str) -> Iterator[Chunk]:
        """See `flows.sources.base.Incremental`."""
        table = cast("Cursored", self._tables[0])
        wanted = From(self._column, cursor)
        yield from self._noting(table.batches_of(self._layout.columns, wanted), cursor)

    def _noting(self, batches: Iterator[Raw], begin: str | None) -> Iterator[Chunk]:
        table = cast("Cursored", self._tables[0])
        self._cursor = None
        highest = begin
        for raw in batches:
            if raw.highest is not None:
                highest = raw.highest if highest is None else table.later(highest, raw.highest)
            yield shape(raw, self._layout)
        self._cursor = highest


class IncrementalWindowedRows(IncrementalRows, WindowedRows):
    """Both."""


def source_of(
    tables: Sequence[Table],
    layout: Layout,
    given: Collection[str],
    stamp: Stamp,
    cursor: str | None = None,
) -> RowSource:
    """The source that can do what these tables and keys allow.

    ``cursor`` is the column to go on by, None where the configuration names none; for the rest
    see `RowSource`.
    """
    windowed = layout.event_time is not None and all(
        getattr(table, "prunes", lambda _: False)(layout.event_time) for table in tables
    )
    if cursor is not None:
        incremental = IncrementalWindowedRows if windowed else IncrementalRows
        return incremental(tables, layout, given, stamp, cursor)
    return (WindowedRows if windowed else RowSource)(tables, layout, given, stamp)
