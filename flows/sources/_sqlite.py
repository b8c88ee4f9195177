"""A query over an SQLite file.

SQLite's columns have no types, its values do: all are taken as text, as JSON's are, and typed by
what is found. A BLOB, or text that is no UTF-8, costs its row and no more.
"""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing, contextmanager
from itertools import count
from typing import TYPE_CHECKING, Any

from flows.sources import _cells, _cursors, _sql
from flows.sources._cells import Odd
from flows.sources._rows import Raw
from flows.sources.base import SourceAwayError, SourceError, SourceUsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    import polars as pl

    from flows.sources._rows import Only

_WAIT_SECONDS = 30.0


class SqliteTable:
    """One query; a single statement, which sees one state of the file."""

    loose = False

    def __init__(self, path: Path, sql: str, name: str, cursor: str | None) -> None:
        """Ask for the columns.

        Raises:
            SourceError: if the file is no database or not there.
            SourceUsageError: if SQLite refuses the query.
        """
        self.name = name
        self._path = path
        self._sql = sql
        self._cursor = cursor
        with self._asking() as con:
            found = con.execute(f"{_sql.whole(sql)} LIMIT 0")
            names = [column[0] for column in found.description]
        self.columns: dict[str, pl.DataType | None] = dict.fromkeys(names)

    def batches(self, columns: Sequence[str]) -> Iterator[Raw]:
        """Stream these columns as text."""
        return self._stream(columns, "", [], self.name)

    def prunes(self, column: str) -> bool:
        """Never: a column of moments may hold them as text or numbers of several forms."""
        del column
        return False

    def batches_of(self, columns: Sequence[str], only: Only) -> Iterator[Raw]:
        """Stream these columns of the rows from a cursor on."""
        where, values = _sql.condition(only, "", lambda n: f"?{n}", json.loads)
        return self._stream(columns, where, values, f"{self.name}[{only}]")

    def later(self, one: str, other: str) -> str:
        """See `flows.sources._rows.Cursored`."""
        return _cursors.later(one, other, "json")

    def _stream(
        self, columns: Sequence[str], where: str, values: Sequence[object], name: str
    ) -> Iterator[Raw]:
        import polars as pl

        asked = [*columns, *([self._cursor] if self._cursor else [])]
        sql = _sql.part(self._sql, map(_sql.quoted, asked), where)
        numbers = count()
        with self._asking() as con, closing(con.execute(sql, values)) as answer:
            fetched = iter(lambda: answer.fetchmany(_cells.FETCH_ROWS), [])
            for rows in _cells.batches(fetched):
                cells = [tuple(map(_text, row[: len(columns)])) for row in rows]
                places = [f"{name}#{next(numbers)}" for _ in rows]
                raw = _cells.raw(
                    cells,
                    dict.fromkeys(columns, pl.String()),
                    places,
                    self._highest(row[-1] for row in rows),
                )
                yield Raw(raw.rows, raw.places, raw.rejects, _texts(columns, rows), raw.highest)

    def _highest(self, values: Iterator[object]) -> str | None:
        if self._cursor is None:
            return None
        known = (json.dumps(value) for value in values if isinstance(value, (int, float, str)))
        return _cursors.highest(known, "json")

    @contextmanager
    def _asking(self) -> Iterator[sqlite3.Connection]:
        if not self._path.is_file():
            raise SourceError(f"no database {self._path}; check the path in `url`")
        uri = f"{self._path.absolute().as_uri()}?mode=ro"
        try:
            with closing(sqlite3.connect(uri, _WAIT_SECONDS, uri=True)) as con:
                con.text_factory = _cells.text
                yield con
        except sqlite3.DatabaseError as error:
            raise _told(error, self._path) from error


def _told(error: sqlite3.DatabaseError, path: Path) -> SourceError:
    if isinstance(error, sqlite3.ProgrammingError):
        return SourceUsageError(f"no single query: {error}; mend `sql` or `table`")
    if error.sqlite_errorcode in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
        return SourceAwayError(f"{path} is being written, and stayed locked: {error}; run again")
    if error.sqlite_errorcode == sqlite3.SQLITE_ERROR:
        return SourceUsageError(f"SQLite refuses the query: {error}; mend `sql` or `table`")
    return SourceError(f"{path} cannot be read: {error}; check that it is an SQLite database")


def _text(value: Any) -> str | Odd | None:  # noqa: ANN401 - whatever a cell holds
    if isinstance(value, bytes):
        return Odd("a BLOB, which is no text,")
    if value is None or isinstance(value, (str, Odd)):
        return value
    return _cursors.as_text(value)


def _texts(columns: Sequence[str], rows: Sequence[tuple[Any, ...]]) -> frozenset[str]:
    """The columns with a value that SQLite holds as text."""
    return frozenset(
        name
        for place, name in enumerate(columns)
        if any(isinstance(row[place], str) for row in rows)
    )
