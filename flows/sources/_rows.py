"""From rows as they stand in a file to records, or to rejects that say what is wrong with them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, TypeAlias

from flows.sources import _times, _types
from flows.sources.base import Chunk, Reject
from storage.ids import hash_row, hash_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from datetime import datetime

    import polars as pl

_SHOWN = 60


@dataclass(frozen=True)
class Raw:
    """Some rows of one file: the columns asked for, as the file holds them.

    Attributes:
        rows: String columns where the format has no types, typed ones where it has.
        places: where each row stands.
        rejects: rows that could not be split into columns.
        texts: columns whose values the file itself calls text.
        highest: the highest cursor among these rows, where the table has one.
    """

    rows: pl.DataFrame
    places: list[str]
    rejects: list[Reject] = field(default_factory=list)
    texts: frozenset[str] = frozenset()
    highest: str | None = None


@dataclass(frozen=True)
class From:
    """The rows whose cursor is at or after one that a scan ended with, and those without one."""

    column: str
    cursor: str

    def __str__(self) -> str:
        """As places show it."""
        return f">={self.cursor}"


@dataclass(frozen=True)
class Window:
    """The rows whose event time is in ``[since, until)``; both have a zone or are None."""

    column: str
    since: datetime | None
    until: datetime | None

    def __str__(self) -> str:
        """As places show it."""
        ends = (self.since, self.until)
        return "..".join("" if end is None else end.isoformat() for end in ends)


Only: TypeAlias = "From | Window"
"""Which rows are wanted; a table that prunes by it may give others too."""


class Table(Protocol):
    """One file of rows.

    Attributes:
        name: its path, for a person.
        columns: its columns, and their types where the format has types.
        loose: whether a row may leave out a column.
    """

    name: str
    columns: dict[str, pl.DataType | None]
    loose: bool

    def batches(self, columns: Sequence[str]) -> Iterator[Raw]:
        """Stream these columns, in order and in bounded memory."""
        ...


class Prunable(Table, Protocol):
    """A table that need not be read whole."""

    def prunes(self, column: str) -> bool:
        """Whether a window over this column leaves anything out."""
        ...

    def batches_of(self, columns: Sequence[str], only: Only) -> Iterator[Raw]:
        """Stream these columns of at least the rows that are wanted."""
        ...


class Cursored(Prunable, Protocol):
    """A table with a cursor, whose batches tell their highest one."""

    def later(self, one: str, other: str) -> str:
        """Which of two cursors comes later in the order of the table.

        In doubt a lower one will do: what is read twice is no harm.
        """
        ...


@dataclass(frozen=True)
class Layout:
    """What part each column plays.

    Attributes:
        id: the column of ids; None makes the content hash the id.
        content: the columns that make the content.
        joiner: stands between content columns that are joined to one text; None keeps them apart,
            typed, as a Struct.
        event_time: the column of event times, if there is one.
        kept: the columns stored beside the vector, in order.
        types: the types of the kept columns and of content that is kept apart.
        null_values: texts that stand for no value.
    """

    id: str | None
    content: tuple[str, ...]
    joiner: str | None
    event_time: str | None
    kept: tuple[str, ...]
    types: Mapping[str, pl.DataType]
    null_values: tuple[str, ...] = ()

    @property
    def columns(self) -> list[str]:
        """All columns that are read, each once."""
        named = [self.id, *self.content, self.event_time, *self.kept]
        return list(dict.fromkeys(name for name in named if name is not None))


class _Faults:
    """The first thing that is wrong with each row, if anything is."""

    def __init__(self) -> None:
        self.reasons: dict[int, str] = {}

    def note(self, wrong: pl.Series, reason: Callable[[int], str]) -> None:
        for row in wrong.arg_true().to_list():
            self.reasons.setdefault(row, reason(row))


def shape(raw: Raw, layout: Layout, *, hashed: bool = True) -> Chunk:
    """Make records of rows: check ids, join or type the content, hash it, read event times.

    Without ``hashed`` content hashes are null, and so are ids that would be these.
    """
    import polars as pl

    faults = _Faults()
    ids = _ids(raw.rows, layout, faults)
    content = _content(raw.rows, layout, faults)
    kept = [_typed(raw.rows[name], layout, faults) for name in layout.kept]
    moments = _event_times(raw.rows, layout, faults)

    good = pl.Series([row not in faults.reasons for row in range(len(raw.rows))], dtype=pl.Boolean)
    content = content.filter(good)
    found = _hashes(content) if hashed else [None] * len(content)
    hashes = pl.Series("content_hash", found, dtype=pl.String)
    columns = [
        (hashes if ids is None else ids.filter(good)).alias("record_id"),
        pl.Series("place", raw.places, dtype=pl.String).filter(good),
        content,
        hashes,
        moments.filter(good),
        *(column.filter(good) for column in kept),
    ]
    rejects = [
        Reject(raw.places[row], reason, _known_id(ids, row))
        for row, reason in sorted(faults.reasons.items())
    ]
    return Chunk(pl.DataFrame(columns), [*raw.rejects, *rejects])


def as_null(column: pl.Series, null_values: Sequence[str], *, strip: bool) -> pl.Series:
    """Null where a text stands for no value.

    Args:
        column: as the file holds it; only String columns are touched.
        null_values: the texts that stand for no value.
        strip: whether spaces around the value do not count.
    """
    import polars as pl

    if column.dtype != pl.String or not null_values:
        return column
    value = column.str.strip_chars() if strip else column
    # a null compares as null, and stays one
    kept = pl.when(~value.is_in(list(null_values))).then(column)
    return pl.select(kept).to_series().alias(column.name)


def _ids(rows: pl.DataFrame, layout: Layout, faults: _Faults) -> pl.Series | None:
    import polars as pl

    if layout.id is None:
        return None
    given = as_null(rows[layout.id], layout.null_values, strip=True)
    ids = given.cast(pl.String)
    blank = ids.is_null() | (ids.str.strip_chars() == "")
    faults.note(blank.fill_null(value=True), lambda _: f"no id: column {layout.id!r} is blank")
    return ids


def _known_id(ids: pl.Series | None, row: int) -> str | None:
    known: str | None = None if ids is None else ids[row]
    return known if known and known.strip() else None


def _content(rows: pl.DataFrame, layout: Layout, faults: _Faults) -> pl.Series:
    import polars as pl

    if layout.joiner is None:
        typed = [_typed(rows[name], layout, faults) for name in layout.content]
        frame = pl.DataFrame(typed)
        _note_null(frame, layout, faults)
        return frame.to_struct("content")
    texts = pl.DataFrame(
        [as_null(rows[name], layout.null_values, strip=False) for name in layout.content]
    ).cast(pl.String)
    _note_null(texts, layout, faults)
    joined = texts.select(
        pl.concat_str(pl.all(), separator=layout.joiner, ignore_nulls=True).alias("content")
    ).to_series()
    faults.note(joined.str.strip_chars() == "", lambda _: "the content is empty: only whitespace")
    return joined


def _note_null(content: pl.DataFrame, layout: Layout, faults: _Faults) -> None:
    import polars as pl

    null = content.select(pl.all_horizontal(pl.all().is_null())).to_series()
    names = ", ".join(layout.content)
    faults.note(null, lambda _: f"the content is null: no value in {names}")


def _typed(column: pl.Series, layout: Layout, faults: _Faults) -> pl.Series:
    wanted = layout.types[column.name]
    values = as_null(column, layout.null_values, strip=True)
    typed = _types.cast(values, wanted)

    def reason(row: int) -> str:
        return (
            f"column {column.name!r} wants {_types.named(wanted)}, got {shown(column[row])}; set "
            f"its type under `types`, or add the value to `null_values` if it stands for none"
        )

    faults.note(_types.misfit(values, typed), reason)
    return typed


def _event_times(rows: pl.DataFrame, layout: Layout, faults: _Faults) -> pl.Series:
    import polars as pl

    if layout.event_time is None:
        return pl.Series("event_time", [None] * len(rows), dtype=pl.Datetime("us", "UTC"))
    values = as_null(rows[layout.event_time], layout.null_values, strip=True)
    moments = _times.moments(values)
    faults.note(
        _types.misfit(values, moments),
        lambda row: (
            f"the event time {shown(values[row])} in column {layout.event_time!r} is neither an "
            "ISO 8601 date or time nor seconds or milliseconds since 1970"
        ),
    )
    return moments.alias("event_time")


def _hashes(content: pl.Series) -> list[str]:
    import polars as pl

    if isinstance(content.dtype, pl.Struct):
        frame = content.struct.unnest()
        return [hash_row(frame.columns, row) for row in frame.iter_rows()]
    return [hash_text(text) for text in content.to_list()]


def shown(value: object) -> str:
    """A value as an error shows it: quoted, and cut where it is long."""
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
