"""Records that are rows of a query over PostgreSQL, SQLite or DuckDB.

The query is read as one state of the database, streamed, and never written through. Rows come in
the order that its ``ORDER BY`` gives; without one a database promises none. A place such as
``articles#17`` is the row's number in the query, counted from 0; of a query that was not read
whole, ``articles[>=2024-01-31]#17`` counts from there.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from flows.sources import _params, _sql, _types
from flows.sources._params import ParamError
from flows.sources._records import source_of
from flows.sources._schema import resolve
from flows.sources._url import check_url, file_of
from flows.sources.base import SourceUsageError
from storage.nearest import perhaps

if TYPE_CHECKING:
    from pathlib import Path

    from flows.sources._records import RowSource
    from flows.sources._rows import Cursored
    from flows.sources.base import Modality


@dataclass(frozen=True)
class Params:
    """The keys of a ``[sources.NAME]`` of kind ``query``.

    Attributes:
        url: ``postgresql://user:password@host/database``, ``sqlite:///file`` or
            ``duckdb:///file``; the files are relative to the root, ``////`` begins an absolute
            path. Take a password from the environment: ``${DATABASE_URL}``.
        sql: the query, one SELECT.
        table: a table or view instead, all of its columns; ``schema.table`` where it is not in
            the search path.
        id: the column of ids; None makes the content hash the id.
        content: the column or columns to encode; None takes all that have no other part.
        event_time: the column of event times: a date or timestamp, taken as UTC where it has no
            zone, ISO 8601, or seconds or milliseconds since 1970.
        keep: columns stored beside the vector.
        types: the types of kept columns and of tabular content where those of the database, or in
            SQLite the inferred ones, will not do: ``str``, ``int``, ``float``, ``bool``, ``date``
            or ``datetime``. A ``numeric`` is kept as a float unless it is to be ``str`` or
            ``int``.
        joiner: stands between content columns where they are joined to one text.
        cursor: a column that only grows, such as a time of change: with it a run reads only the
            rows at or after the highest value that was seen, and those without a value.

    Raises:
        ParamError: if a value cannot be, or two clash.
    """

    url: str = field(repr=False)
    sql: str | None = None
    table: str | None = None
    id: str | None = None
    content: str | list[str] | None = None
    event_time: str | None = None
    keep: list[str] = field(default_factory=list)
    types: dict[str, str] = field(default_factory=dict)
    joiner: str = "\n\n"
    cursor: str | None = None

    def __post_init__(self) -> None:
        check_url(self.url)
        if (self.sql is None) == (self.table is None):
            raise ParamError("a query needs one of sql and table; set one, and leave the other out")
        if self.table is not None and not all(self.table.split(".")):
            raise ParamError(f"table must be a name or schema.name, got {self.table!r}")
        _ = self.statement
        _params.check_rows(self, _types.NAMES)

    @property
    def null_values(self) -> tuple[str, ...]:
        """None: a column with a type says itself where there is no value."""
        return ()

    @property
    def statement(self) -> str:
        """The query."""
        if self.table is None:
            return _sql.check_select(self.sql or "")
        name = ".".join(map(_sql.quoted, self.table.split(".")))
        return f"SELECT * FROM {name}"  # noqa: S608 - a quoted name


def open(params: Params, root: Path, modality: Modality) -> RowSource:  # noqa: A001 - sources.open(...)
    """Connect, and ask for the columns of the query.

    Raises:
        SourceAwayError: if the database is away.
        SourceError: if it cannot be read.
        SourceUsageError: if the query or a column is wrong, or the modality is not text or
            tabular.
    """
    _params.check_modality(
        modality, ("text", "tabular"), "query", "use one of kind 'files' for files of their own"
    )
    table = _table(params, root)
    if params.cursor is not None and params.cursor not in table.columns:
        raise SourceUsageError(
            f"cursor names {params.cursor!r}, which is no column of {table.name}"
            f"{perhaps(params.cursor, table.columns)}"
        )
    layout = resolve([table], params, modality)
    return source_of([table], layout, params.types, lambda: None, params.cursor)


def _table(params: Params, root: Path) -> Cursored:
    name = params.table or "query"
    file = file_of(params.url)
    if file is None:
        from flows.sources._postgres import PostgresTable

        return PostgresTable(params.url, params.statement, name, params.cursor)
    if params.url.startswith("duckdb"):
        from flows.sources._duckdb import DuckTable

        return DuckTable(root / file, params.statement, name, params.cursor)
    from flows.sources._sqlite import SqliteTable

    return SqliteTable(root / file, params.statement, name, params.cursor)
