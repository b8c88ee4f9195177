"""A query over a DuckDB file."""

from __future__ import annotations

from dataclasses import replace
from itertools import count
from typing import TYPE_CHECKING

from flows.sources import _arrow, _cursors, _sql
from flows.sources._foreign import telling

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    import polars as pl

    from flows.sources._rows import Only, Raw

_ROWS = 2048
_AS_TEXT = ("HUGEINT", "UHUGEINT", "UUID", "INTERVAL", "TIME", "BIT", "JSON", "ENUM", "BIGNUM")
_MOMENTS = {
    "DATE": "date",
    "TIMESTAMP": "timestamp",
    "TIMESTAMP_S": "timestamp",
    "TIMESTAMP_MS": "timestamp",
    "TIMESTAMP_NS": "timestamp",
    "TIMESTAMP WITH TIME ZONE": "timestamptz",
}


class DuckTable:
    """One query; a single statement, which sees one state of the file."""

    loose = False

    def __init__(self, path: Path, sql: str, name: str, cursor: str | None) -> None:
        """Ask for the columns.

        Raises:
            SourceError: if the file is no database or not there.
            SourceAwayError: if another process writes it.
            SourceUsageError: if DuckDB refuses the query.
        """
        from storage.foreign import DuckDB

        self.name = name
        self._file = DuckDB(path)
        self._sql = sql
        self._cursor = cursor
        with telling("mend `sql`, `table` or `cursor`"):
            _, self._kinds = self._file.schema(sql)
            schema, _ = self._file.schema(self._asked(list(self._kinds)))
        self.columns: dict[str, pl.DataType | None] = _arrow.types(schema)

    def batches(self, columns: Sequence[str]) -> Iterator[Raw]:
        """Stream these columns with the types that they have."""
        return self._stream(columns, "", [], self.name)

    def prunes(self, column: str) -> bool:
        """Where the column's type is a date or a time of a day."""
        return self._kinds.get(column) in _MOMENTS

    def batches_of(self, columns: Sequence[str], only: Only) -> Iterator[Raw]:
        """Stream these columns of the rows that are wanted."""
        kind = self._kinds[only.column]
        where, values = _sql.condition(
            only, _MOMENTS.get(kind, ""), lambda n: f"CAST(${n} AS {kind})"
        )
        return self._stream(columns, where, values, f"{self.name}[{only}]")

    def later(self, one: str, other: str) -> str:
        """See `flows.sources._rows.Cursored`."""
        return _cursors.later(one, other, self._sort())

    def _sort(self) -> _cursors.Sort:
        dtype = self.columns[self._cursor or ""]
        return "text" if dtype is None else _cursors.sort_of(dtype)

    def _asked(self, columns: Sequence[str], where: str = "") -> str:
        return _sql.part(self._sql, [self._read(column) for column in columns], where)

    def _read(self, column: str) -> str:
        """A column as it is read: types that Arrow and Polars write otherwise come as text."""
        name = _sql.quoted(column)
        base = self._kinds[column].partition("(")[0]
        if base.removesuffix(" WITH TIME ZONE") in _AS_TEXT:
            return f"CAST({name} AS VARCHAR) AS {name}"
        return name

    def _stream(
        self, columns: Sequence[str], where: str, values: Sequence[object], name: str
    ) -> Iterator[Raw]:
        cursor = [self._cursor] if self._cursor else []
        asked: list[str] = list(dict.fromkeys([*columns, *cursor]))
        numbers = count()
        with telling("mend `sql`, `table` or `cursor`"):
            for batch in self._file.stream(self._asked(asked, where), values, _ROWS):
                places = [f"{name}#{next(numbers)}" for _ in range(len(batch))]
                raw = _arrow.raw(batch, asked, places)
                yield replace(raw, highest=self._highest(raw.rows))

    def _highest(self, rows: pl.DataFrame) -> str | None:
        if self._cursor is None:
            return None
        values = rows[self._cursor].drop_nulls().unique().to_list()
        return _cursors.highest(map(_cursors.as_text, values), self._sort())
