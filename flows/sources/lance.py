"""Records that are rows of a Lance table: another team's, or one of Vecmill's own.

A source reads the state that was the newest when it was opened, or the one that is named, and no
other, whatever is written meanwhile. A place such as ``articles#17`` is Lance's row id.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from datetime import UTC
from typing import TYPE_CHECKING, Any

from flows.sources import _arrow, _cursors, _params, _types
from flows.sources._foreign import telling
from flows.sources._params import ParamError
from flows.sources._records import source_of
from flows.sources._remote import is_uri
from flows.sources._rows import From
from flows.sources._schema import resolve
from flows.sources.base import SourceUsageError
from storage.nearest import perhaps

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime
    from pathlib import Path

    import polars as pl

    from flows.sources._records import RowSource
    from flows.sources._rows import Only, Raw
    from flows.sources.base import Modality
    from storage.foreign import LanceRows

_ROWS = 2048
_MEND = "mend `uri`, `table` or `version`"


@dataclass(frozen=True)
class Params:
    """The keys of a ``[sources.NAME]`` of kind ``lance``.

    Attributes:
        uri: a LanceDB folder, relative to the root, or an address such as ``s3://bucket/vectors``.
        table: the name of the table.
        version: a version's number or a tag; None is the newest.
        id: the column of ids; None makes the content hash the id.
        content: the column or columns to encode; None takes all that have no other part.
        event_time: the column of event times: a date or timestamp, taken as UTC where it has no
            zone, ISO 8601, or seconds or milliseconds since 1970.
        keep: columns stored beside the vector.
        types: the types of kept columns and of tabular content where those of the table will not
            do: ``str``, ``int``, ``float``, ``bool``, ``date`` or ``datetime``.
        joiner: stands between content columns where they are joined to one text.
        cursor: a column that only grows, such as a time of change: with it a run reads only the
            rows at or after the highest value that was seen, and those without a value.

    Raises:
        ParamError: if a value cannot be, or two clash.
    """

    uri: str
    table: str
    version: int | str | None = None
    id: str | None = None
    content: str | list[str] | None = None
    event_time: str | None = None
    keep: list[str] = field(default_factory=list)
    types: dict[str, str] = field(default_factory=dict)
    joiner: str = "\n\n"
    cursor: str | None = None

    def __post_init__(self) -> None:
        for key in ("uri", "table"):
            if not getattr(self, key).strip():
                raise ParamError(f"{key} must not be empty, got {getattr(self, key)!r}")
        _params.check_rows(self, _types.NAMES)

    @property
    def null_values(self) -> tuple[str, ...]:
        """None: a column with a type says itself where there is no value."""
        return ()


def open(params: Params, root: Path, modality: Modality) -> RowSource:  # noqa: A001 - sources.open(...)
    """Open the table at one version.

    Raises:
        SourceAwayError: if its store is away.
        SourceError: if it cannot be read.
        SourceUsageError: if there is no such table, version or column, or the modality is not
            text or tabular.
    """
    _params.check_modality(
        modality, ("text", "tabular"), "lance", "use one of kind 'files' for files of their own"
    )
    from storage.foreign import LanceRows

    uri = params.uri if is_uri(params.uri) else str(root / params.uri)
    with telling(_MEND):
        table = LanceTable(LanceRows(uri, params.table, params.version), params)
    if params.cursor is not None and params.cursor not in table.columns:
        raise SourceUsageError(
            f"cursor names {params.cursor!r}, which is no column of {table.name}"
            f"{perhaps(params.cursor, table.columns)}"
        )
    layout = resolve([table], params, modality)
    return source_of([table], layout, params.types, table.stamp, params.cursor)


class LanceTable:
    """The rows of one state of a table."""

    loose = False

    def __init__(self, rows: LanceRows, params: Params) -> None:
        self.name = params.table
        self.columns: dict[str, pl.DataType | None] = _arrow.types(rows.schema)
        self._rows = rows
        self._cursor = params.cursor

    def stamp(self) -> str:
        """A digest of the state that is read."""
        with telling(_MEND):
            return hashlib.blake2b(self._rows.state().encode(), digest_size=16).hexdigest()

    def batches(self, columns: Sequence[str]) -> Iterator[Raw]:
        """Stream these columns with the types that they have."""
        return self._stream(columns, None)

    def prunes(self, column: str) -> bool:
        """Where the column is a date or a time of a day."""
        import polars as pl

        return isinstance(self.columns.get(column), (pl.Date, pl.Datetime))

    def batches_of(self, columns: Sequence[str], only: Only) -> Iterator[Raw]:
        """Stream these columns of the rows that are wanted."""
        return self._stream(columns, self._wanted(only))

    def later(self, one: str, other: str) -> str:
        """See `flows.sources._rows.Cursored`."""
        return _cursors.later(one, other, self._sort())

    def _sort(self) -> _cursors.Sort:
        dtype = self.columns[self._cursor or ""]
        return "text" if dtype is None else _cursors.sort_of(dtype)

    def _wanted(self, only: Only) -> Any:  # noqa: ANN401 - pyarrow ships no types
        import pyarrow as pa
        import pyarrow.compute as pc

        column, kind = pc.field(only.column), self._rows.schema.field(only.column).type
        if isinstance(only, From):
            try:
                begin = pa.scalar(only.cursor).cast(kind)
            except pa.ArrowException as error:
                raise SourceUsageError(
                    f"the cursor {only.cursor!r} is no {kind}, as {only.column!r} of {self.name} "
                    "is; read all once, with `vecmill run --full`"
                ) from error
            return (column >= begin) | column.is_null()
        wanted = column.is_valid()
        # a date is the day that holds the moment, so the last one may hold some
        if only.since is not None:
            wanted &= column >= pa.scalar(_naive(only.since, kind)).cast(kind)
        if only.until is not None:
            until = pa.scalar(_naive(only.until, kind)).cast(kind)
            wanted &= column <= until if pa.types.is_date(kind) else column < until
        return wanted

    def _stream(self, columns: Sequence[str], where: Any) -> Iterator[Raw]:  # noqa: ANN401 - as above
        cursor = [self._cursor] if self._cursor else []
        asked: list[str] = list(dict.fromkeys([*columns, *cursor]))
        with telling(_MEND):
            for batch in self._rows.stream(asked, where, _ROWS):
                places = [f"{self.name}#{row}" for row in batch.column("_rowid").to_pylist()]
                raw = _arrow.raw(batch, asked, places)
                yield replace(raw, highest=self._highest(raw.rows))

    def _highest(self, rows: pl.DataFrame) -> str | None:
        if self._cursor is None:
            return None
        values = rows[self._cursor].drop_nulls().unique().to_list()
        return _cursors.highest(map(_cursors.as_text, values), self._sort())


def _naive(moment: datetime, kind: Any) -> Any:  # noqa: ANN401 - as above
    """A moment as a column of this type holds it."""
    import pyarrow as pa

    there = moment.astimezone(UTC)
    if pa.types.is_date(kind):
        return there.date()
    return there if kind.tz else there.replace(tzinfo=None)
