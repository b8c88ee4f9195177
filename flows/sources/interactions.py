"""Records that are users and items, read from a table of who met what.

The rows of the table are interactions: a purchase, a view, a rating. A record is a user,
``user:42``, or an item, ``item:17``, with all those it has met, so that its content hash changes
exactly when they do: a run encodes the users and items that new interactions touch, and no others.

The table is read whole, since what belongs to one user may stand anywhere in it. Up to a million
interactions are held in memory (some 400 MB at the most); more are put apart by users and by items
into 64 parts each, in a temporary file (``TMPDIR`` says where), and one part is held at a time.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from flows.sources import _meetings, _params, table
from flows.sources._buckets import Buckets
from flows.sources._meetings import OTHER
from flows.sources._params import ParamError
from flows.sources.base import Chunk, Reject, SourceUsageError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import polars as pl

    from flows.sources._meetings import Side
    from flows.sources._records import RowSource
    from flows.sources.base import Modality

COMBINE = ("sum", "last")

_HELD = 1_000_000
_BUCKETS = 64
_MOST = 1e15
"""Beyond it float64 does not hold every whole number, and many together may come to infinity."""


@dataclass(frozen=True)
class Params:
    """The keys of a ``[sources.NAME]`` of kind ``interactions``.

    Attributes:
        path: a file or pattern, or a list of them, relative to the root, or a URI, as
            `flows.sources.table` takes them.
        user: the column of the users' ids, taken exactly as they are written.
        item: the column of the items' ids, likewise.
        weight: the column that says how much, such as a rating or a count: finite numbers; None
            where each row counts 1.
        time: the column of times, as `flows.sources.table` reads event times. That of a record is
            the newest of its interactions.
        combine: what becomes of several rows of one user and one item: ``sum`` adds their weights
            up, as is right for counts; ``last`` takes the newest one, as is right for ratings (by
            ``time``, and in the order of files and rows where that does not tell).
        format: ``csv``, ``tsv``, ``jsonl`` or ``parquet``; None goes by the extension.
        separator: between fields; None is a tab for ``tsv`` and a comma for ``csv``.
        quote: around fields that hold separators or line ends; empty for files that do not quote.
        header: whether the first row of a ``csv`` or ``tsv`` names the columns.
        columns: the names of the columns where there is no header.
        null_values: what stands for no value in ``csv`` and ``tsv``, spaces around it aside.

    Raises:
        ParamError: if a value cannot be, or two clash.
    """

    path: str | list[str]
    user: str
    item: str
    weight: str | None = None
    time: str | None = None
    combine: str = "sum"
    format: str | None = None
    separator: str | None = None
    quote: str = '"'
    header: bool = True
    columns: list[str] = field(default_factory=list)
    null_values: list[str] = field(default_factory=lambda: [""])

    def __post_init__(self) -> None:
        _params.one_of("combine", self.combine, COMBINE)
        named: dict[str, str] = {}
        for key in ("user", "item", "weight", "time"):
            column = getattr(self, key)
            if column is not None and column in named:
                raise ParamError(
                    f"{named[column]} and {key} both name the column {column!r}; name one for each"
                )
            if column is not None:
                named[column] = key
        self.rows()

    @property
    def keeps(self) -> tuple[str, ...]:
        """The columns that are kept."""
        return _meetings.KEPT

    def rows(self) -> table.Params:
        """The table of interactions as rows of their own."""
        weight = [] if self.weight is None else [self.weight]
        return table.Params(
            path=self.path,
            format=self.format,
            content=[self.user, self.item, *weight],
            event_time=self.time,
            separator=self.separator,
            quote=self.quote,
            header=self.header,
            columns=self.columns,
            null_values=self.null_values,
            types={self.user: "str", self.item: "str"} | dict.fromkeys(weight, "float"),
        )


def open(params: Params, root: Path, modality: Modality) -> Interactions:  # noqa: A001 - sources.open(...)
    """Open the files: read their headers.

    Raises:
        SourceError: if a file is missing or cannot be read.
        SourceUsageError: if a column is missing, or the modality is not interactions.
    """
    _params.check_modality(
        modality, ("interactions",), "interactions", "use one of kind 'table' for rows"
    )
    try:
        return Interactions(params, table.open(params.rows(), root, "tabular"))
    except SourceUsageError as error:
        # the keys of a table are none of this section
        told = str(error).replace("`content`", "`user`, `item` or `weight`")
        raise type(error)(told.replace("`event_time`", "`time`")) from error


class Interactions:
    """Users, then items, each in an order of its own."""

    def __init__(self, params: Params, rows: RowSource) -> None:
        self._params = params
        self._rows = rows
        self._newest = params.combine == "last"

    @property
    def kept(self) -> dict[str, pl.DataType]:
        """``side`` and ``entity``, the two halves of the id, and ``met``: how many it has met."""
        return _meetings.kept_schema()

    @property
    def types(self) -> dict[str, str]:
        """None: ids are text, and weights are numbers."""
        return {}

    def stamp(self) -> str | None:
        """See `flows.sources.base.Stamped`: of the names, sizes and times of all files."""
        return self._rows.stamp()

    def scan(self) -> Iterator[Chunk]:
        """Stream what is wrong with rows, then the users, then the items.

        Raises:
            SourceError: if a file is gone, damaged, or has other columns than when it was opened.
            SourceAwayError: if it is away, or changes while it is read.
        """
        import polars as pl

        held: list[pl.DataFrame] = []
        size = 0
        with Buckets(_BUCKETS) as users, Buckets(_BUCKETS) as items:
            parts: dict[Side, Buckets] = {"user": users, "item": items}
            spilt = False
            for rows, rejects in self._read():
                if rejects:
                    yield Chunk(_meetings.no_records(), rejects)
                held.append(rows)
                size += len(rows)
                if size >= _HELD:
                    _put(parts, held)
                    held, size, spilt = [], 0, True
            if not spilt:
                yield from self._both(pl.concat(held) if held else None)
                return
            _put(parts, held)
            for side, buckets in parts.items():
                for at in range(len(buckets)):
                    yield from self._records(buckets.bucket(at), (side,))

    def met(self, side: Side, entity: str) -> dict[str, float]:
        """Whom one user, or one item, has met, with their weights; empty where it is not there.

        Raises:
            SourceError: as `scan` does.
        """
        import polars as pl

        found = [rows.filter(pl.col(side) == entity) for rows, _ in self._read()]
        if not found:
            return {}
        pairs = _meetings.combined(pl.concat(found), newest=self._newest)
        return dict(pairs.select(OTHER[side], "weight").iter_rows())

    def _both(self, rows: pl.DataFrame | None) -> Iterator[Chunk]:
        yield from self._records(rows, ("user", "item"))

    def _records(self, rows: pl.DataFrame | None, sides: tuple[Side, ...]) -> Iterator[Chunk]:
        if rows is None:
            return
        pairs = _meetings.combined(rows, newest=self._newest)
        for side in sides:
            for records in _meetings.records(pairs, side):
                yield Chunk(records)

    def _read(self) -> Iterator[tuple[pl.DataFrame, list[Reject]]]:
        """The interactions, columns `_meetings.row_schema`, and those that cannot be taken."""
        import polars as pl

        params, read = self._params, 0
        for chunk in self._rows.rows():
            content = chunk.records["content"].struct
            weight = pl.lit(1.0) if params.weight is None else content.field(params.weight)
            rows = pl.select(
                user=content.field(params.user),
                item=content.field(params.item),
                weight=weight,
                time=chunk.records["event_time"],
                place=chunk.records["place"],
                seq=pl.int_range(read, read + len(chunk.records), dtype=pl.Int64),
            )
            read += len(rows)
            faults = rows.select(pl.coalesce(*self._faults())).to_series()
            # An interaction is no record: a name of its own keeps it from standing for one.
            rejects = [Reject(r.place, _told(r.reason), r.place, r.passes) for r in chunk.rejects]
            rejects += [
                Reject(place, reason, place)
                for place, reason in zip(rows["place"], faults, strict=True)
                if reason is not None
            ]
            yield rows.filter(faults.is_null()), rejects

    def _faults(self) -> Iterator[pl.Expr]:
        """What may be wrong with a row, in words; null where it is not."""
        import polars as pl

        for side in OTHER:
            blank = pl.col(side).is_null() | (pl.col(side).str.strip_chars() == "")
            column = getattr(self._params, side)
            yield pl.when(blank).then(pl.lit(f"no {side}: column {column!r} is blank"))
        column = self._params.weight
        yield pl.when(pl.col("weight").is_null()).then(
            pl.lit(
                f"no weight: column {column!r} is blank; mend it, or leave out the key weight to "
                "count each row as 1"
            )
        )
        yield pl.when(pl.col("weight").abs() > _MOST).then(
            pl.format(f"column {column!r} wants a number of at most 1e15 in size, got {{}}",
                      "weight")
        )  # fmt: skip


def _told(reason: str) -> str:
    """What is wrong with a row of the table, in words of this section, which has no types."""
    return reason.replace("set its type under `types`, or add", "mend it, or add")


def _put(parts: dict[Side, Buckets], held: list[pl.DataFrame]) -> None:
    import polars as pl

    if held:
        rows = pl.concat(held)
        for side, buckets in parts.items():
            buckets.add(rows, side)
