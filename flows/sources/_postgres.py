"""A query over PostgreSQL, streamed through a server-side cursor.

psycopg, and no driver that hands on Arrow: PostgreSQL's COPY, which those are fast by, takes no
bound values, and without it they hold a whole result in memory. All but numbers and booleans
comes as the text that the server writes, so that one infinite date or a NaN costs its row and
not the scan.
"""

from __future__ import annotations

from contextlib import contextmanager
from itertools import count
from typing import TYPE_CHECKING, Any

from flows.sources import _cells, _cursors, _sql
from flows.sources._url import redacted, shown
from flows.sources.base import SourceAwayError, SourceError, SourceUsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import polars as pl
    import psycopg
    import psycopg.abc

    from flows.sources._rows import Only, Raw

_CONNECT_SECONDS = 30
_BOOL, _BYTEA = 16, 17
_INTEGERS = (20, 21, 23, 26)
_FLOATS = (700, 701)
_NUMERIC = 1700
_MOMENTS = {1082: "date", 1114: "timestamp", 1184: "timestamptz"}

_PASSING = ("08", "40", "53", "55", "57", "58")
"""Classes of SQLSTATE for what may be gone the next time: connection, conflict, resources, state,
operator, system."""

_STARTING = ("starting up", "shutting down", "too many", "remaining connection", "recovery")


class PostgresTable:
    """One query, read in a read-only transaction that sees one state of the database."""

    loose = False

    def __init__(self, url: str, sql: str, name: str, cursor: str | None) -> None:
        """Connect, and ask for the columns.

        Raises:
            SourceAwayError: if the server is away.
            SourceError: if it refuses to be connected to.
            SourceUsageError: if it refuses the query.
        """
        self.name = name
        self._url = url
        self._sql = sql
        self._cursor = cursor
        with self._answer(_sql.whole(sql), []) as answer:
            self._kinds = {c.name: c.type_code for c in answer.description or ()}
            names = [column.name for column in answer.description or ()]
        doubled = sorted({column for column in names if names.count(column) > 1})
        if doubled:
            raise SourceUsageError(
                f"the query of {name} gives more than one column {doubled[0]!r}; rename all but "
                "one with AS"
            )
        self.columns: dict[str, pl.DataType | None] = {
            column: _declared(kind) for column, kind in self._kinds.items()
        }

    def batches(self, columns: Sequence[str]) -> Iterator[Raw]:
        """Stream these columns."""
        return self._stream(columns, "", [], self.name)

    def prunes(self, column: str) -> bool:
        """Where the column's type is a date or a time of a day."""
        return self._kinds.get(column) in _MOMENTS

    def batches_of(self, columns: Sequence[str], only: Only) -> Iterator[Raw]:
        """Stream these columns of the rows that are wanted."""
        kind = _MOMENTS.get(self._kinds[only.column], "")
        where, values = _sql.condition(only, kind, lambda n: f"${n}")
        return self._stream(columns, where, values, f"{self.name}[{only}]")

    def later(self, one: str, other: str) -> str:
        """See `flows.sources._rows.Cursored`."""
        return _cursors.later(one, other, self._sort())

    def _sort(self) -> _cursors.Sort:
        return _cursors.sort_of(_declared(self._kinds[self._cursor or ""]))

    def _stream(
        self, columns: Sequence[str], where: str, values: Sequence[object], name: str
    ) -> Iterator[Raw]:
        asked = [*columns, *([self._cursor] if self._cursor else [])]
        sql = _sql.part(self._sql, map(_sql.quoted, asked), where)
        types = {column: _received(self._kinds[column]) for column in columns}
        numbers = count()
        with self._answer(sql, values) as answer:
            fetched = iter(lambda: answer.fetchmany(_cells.FETCH_ROWS), [])
            for rows in _cells.batches(fetched):
                places = [f"{name}#{next(numbers)}" for _ in rows]
                yield _cells.raw(rows, types, places, self._highest(rows))

    def _highest(self, rows: Sequence[tuple[Any, ...]]) -> str | None:
        if self._cursor is None:
            return None
        known = (row[-1] for row in rows if isinstance(row[-1], (int, float, str)))
        return _cursors.highest(map(_cursors.as_text, known), self._sort())

    @contextmanager
    def _answer(
        self, sql: str, values: Sequence[object]
    ) -> Iterator[psycopg.RawServerCursor[tuple[Any, ...]]]:
        import psycopg

        where = shown(self._url)
        try:
            with (
                psycopg.connect(
                    self._url,
                    connect_timeout=_timeout(self._url),
                    application_name="vecmill",
                    prepare_threshold=None,
                ) as con,
                psycopg.RawServerCursor(_prepared(con), "vecmill") as answer,
            ):
                answer.execute(sql.encode(), values)
                yield answer
        except psycopg.Error as error:
            (told, advice), text = _told(error), " ".join(str(error).split())
            safe = redacted(text, self._url)
            # a cause is printed beside what it caused, so one that tells a secret is left out
            cause = error if safe == text else None
            raise told(f"{where}: {safe}; {advice}") from cause


def _prepared(con: psycopg.Connection[Any]) -> psycopg.Connection[Any]:
    """A connection that reads one state, and writes dates one way."""
    import psycopg.adapt

    con.execute("SET TimeZone = 'UTC'").execute("SET DateStyle = 'ISO, YMD'")
    con.commit()
    con.read_only = True
    con.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ

    class Text(psycopg.adapt.Loader):
        def load(self, data: psycopg.abc.Buffer) -> str | _cells.Odd:
            return _cells.text(bytes(data))

    known = {*_INTEGERS, *_FLOATS, _BOOL, _BYTEA}
    for kind in (t.oid for t in con.adapters.types):
        if kind not in known:
            con.adapters.register_loader(kind, Text)
    for array in (t.array_oid for t in con.adapters.types if t.array_oid):
        con.adapters.register_loader(array, Text)
    con.adapters.register_loader(0, Text)
    return con


def _declared(kind: int) -> pl.DataType:
    """The type that a column is taken to have."""
    import polars as pl

    types = {"date": pl.Date(), "timestamp": pl.Datetime("us", "UTC")}
    types["timestamptz"] = types["timestamp"]
    if kind in _MOMENTS:
        return types[_MOMENTS[kind]]
    return pl.Float64() if kind == _NUMERIC else _received(kind)


def _received(kind: int) -> pl.DataType:
    """The type that its values come as."""
    import polars as pl

    if kind == _BOOL:
        return pl.Boolean()
    if kind == _BYTEA:
        return pl.Binary()
    if kind in _INTEGERS:
        return pl.Int64()
    return pl.Float64() if kind in _FLOATS else pl.String()


def _timeout(url: str) -> int | None:
    """Seconds to wait for a connection; None where the URL says."""
    return None if "connect_timeout" in url else _CONNECT_SECONDS


def _told(error: psycopg.Error) -> tuple[type[SourceError], str]:
    """What an error is here, and what helps."""
    import psycopg

    away = SourceAwayError, "look whether the server is up, and run again"
    refused = SourceError, "check `url`: host, database, user and password"
    state = error.sqlstate
    if state is None:
        text = str(error)
        no = "FATAL" in text and not any(words in text for words in _STARTING)
        return refused if no or not isinstance(error, psycopg.OperationalError) else away
    if state[:2] in {"28", "3D"}:
        return refused
    if state[:2] in _PASSING:
        return away
    if state[:2] == "22":
        return SourceError, "the query fails on a value; let it leave such rows out"
    return SourceUsageError, "mend `sql`, `table` or `cursor`"
