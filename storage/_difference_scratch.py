"""The scratch file of a difference: what is published, what was taken of the source so far."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import asdict
from typing import TYPE_CHECKING, cast

from storage import _difference_parts as of_parts
from storage import _difference_sql as sql
from storage._difference_met import Met, keys_in
from storage.assembly import numbered
from storage.keys import key
from storage.vectors import HISTORY_KEY, KEY, SYSTEM_COLUMNS, THUMBNAIL, has_thumbnails

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import polars as pl
    import pyarrow as pa
    import pyarrow.dataset

    from storage.parts import Parts

_ROOMY = 2**28
"""Bytes to compare from which on DuckDB may hold more: some million records."""
HELD = 2**24
"""Bytes of chunks that DuckDB may hold while more are read."""
_LEAST = 16
"""MiB that DuckDB gets by with for a moment."""
_ROW = 200
"""Bytes that a published row takes here, more or less."""


class Scratch:
    """A DuckDB file that holds both sides of a difference, as `storage.difference` says.

    Its arguments and attributes are those of `storage.difference.Difference`.
    """

    def __init__(
        self,
        scratch: Path,
        base: pyarrow.dataset.Dataset | None,
        kept: pa.Schema,
        *,
        history: bool = False,
        parts: Parts | None = None,
        thumbnails: bool = False,
        memory: int = 96,
    ) -> None:
        import duckdb

        scratch.parent.mkdir(parents=True, exist_ok=True)
        scratch.unlink(missing_ok=True)
        self._con = duckdb.connect(str(scratch))
        self._memory, self._size, self._put_down = memory, 0, 0
        self._allow(0)
        # Each thread holds some of it for itself, and most of a plan's work is not DuckDB's.
        self._con.execute("SET threads = 2; SET GLOBAL TimeZone = 'UTC'")
        # What is thrown away need not be made whole first.
        self._con.execute("PRAGMA disable_checkpoint_on_shutdown")
        # DuckDB draws its bar over ours where it takes the process for a shell.
        self._con.execute("SET enable_progress_bar = false")
        self._con.execute(sql.SCHEMA)
        if parts:
            self._con.execute(of_parts.SCHEMA)
        self._base = base
        self._history = history
        self._key = HISTORY_KEY if history else KEY
        # Kept columns go by their number in here: a user's `seq` must not meet ours.
        self._kept = {name: f"kept_{i}" for i, name in enumerate(kept.names)}
        self._thumbnails = thumbnails
        self._pictured = thumbnails and base is not None and has_thumbnails(base.schema)
        self.parts = parts
        self._part_names = _part_names(parts, self._kept)
        self._seen = "wholes" if parts else "snapshot"
        self._rows = self._records = self._wholes = self._rejected = self._nameless = 0
        self._classified = False
        self._chosen_from: Sequence[Path] | None = None
        self._identity = ("record_id", "event_time") if history else ("record_id",)
        self._folder = scratch.parent
        self._met = Met(self._folder)
        empty = kept.empty_table().rename_columns(list(self._kept.values())).schema
        self._with_given(_empty_snapshot(empty), "CREATE TABLE snapshot AS FROM given")
        self.rewrites = base is not None and self._columns_differ(base)
        self._allow(0 if base is None else _ROW * base.count_rows())
        self._load_base()

    def _allow(self, size: int) -> None:
        """Let DuckDB hold what so many bytes more to compare call for."""
        self._size += size
        limit = self._memory * max(1.0, (self._size / _ROOMY) ** 0.5)
        self._con.execute(f"SET memory_limit = '{limit:.0f}MiB'")

    def let_go(self) -> None:
        """Have DuckDB drop what it holds of the file in memory; what it needs it reads again."""
        import duckdb

        with suppress(duckdb.OutOfMemoryException):  # it keeps what it cannot drop
            self._con.execute(f"SET memory_limit = '{_LEAST}MiB'")
        self._allow(0)

    def close(self) -> None:
        """Let go of the scratch file."""
        self._con.close()

    def _vanished(self, *, remove_vanished: bool) -> str | None:
        everything = remove_vanished and not self._nameless
        if self.parts:
            statement = of_parts.VANISHED if everything else of_parts.SHORTENED
            return statement.format(**self._part_names)
        return sql.VANISHED if everything else None

    def _classify(self) -> None:
        if self._classified:
            return
        compared = ["event_time", *([] if self.rewrites else self._kept.values())]
        differs = " OR ".join(f"b.{c} IS DISTINCT FROM s.{c}" for c in compared)
        seen = "CASE WHEN s.record_id IN (SELECT record_id FROM base) THEN 'changed' ELSE 'new' END"
        self._con.execute(
            sql.CLASSIFY.format(
                differs="true" if self.rewrites else differs,
                unmatched=seen if self._history else "'new'",
                same=" AND ".join(f"s.{column} = b.{column}" for column in self._key),
            )
        )
        self._classified = True
        self._chosen_from = None

    def _tally(self, statement: str) -> dict[str, int]:
        return dict(cast("list[tuple[str, int]]", self._con.execute(statement).fetchall()))

    def _with_given(self, given: pa.Table | pl.DataFrame, *statements: str) -> None:
        self._con.register("given", given)
        for statement in statements:
            self._con.execute(statement)
        self._con.unregister("given")
        self._classified = False

    def _published_columns(self) -> list[str]:
        """The kept columns that are published already."""
        return [] if self._base is None else [n for n in self._kept if n in self._base.schema.names]

    def _columns_differ(self, base: pyarrow.dataset.Dataset) -> bool:
        schema = self._con.table("snapshot").limit(0).to_arrow_table().schema
        published = [(f.name, f.type) for f in base.schema if f.name not in SYSTEM_COLUMNS]
        if self._pictured:
            published = [column for column in published if column[0] != THUMBNAIL]
        kept = [(k, schema.field(ours).type) for k, ours in self._kept.items()]
        return published != kept or self._thumbnails != self._pictured

    def _load_base(self) -> None:
        if self._base is None:
            self._con.execute(
                "CREATE TABLE base AS SELECT *, false AS overtaken, 0::BIGINT AS nth FROM snapshot"
            )
            return
        needed = {name: name for name in ("record_id", "content_hash", "event_time")}
        if not self.rewrites:
            needed |= {ours: name for name, ours in self._kept.items()}
        elif self.parts:
            needed[self._part_names["parent"]] = self.parts.parent
        if self._history:
            needed["run_id"] = "run_id"
        # What was written later for the same time counts, so to be what it was it is written again.
        overtaken = sql.OVERTAKEN if self._history else "false"
        self._con.register("published", numbered(self._base, needed))
        columns = ", ".join(name for name in needed if name != "run_id")
        self._con.execute(
            f"CREATE TABLE base AS SELECT {columns}, {overtaken} AS overtaken, nth FROM published"
        )
        self._con.unregister("published")
        self._con.execute("INSERT INTO known SELECT DISTINCT content_hash, 'base' FROM base")
        for some in keys_in(self._con, f"SELECT {key('content_hash')} FROM known"):
            self._met.contents.add(some)


def _part_names(parts: Parts | None, kept: Mapping[str, str]) -> dict[str, str]:
    """The columns of parts by what they are, as they go in here."""
    if parts is None:
        return {}
    columns = asdict(parts)
    unit = columns.pop("unit")
    return {what: kept[name] for what, name in columns.items()} | {"unit": unit}


def _empty_snapshot(kept: pa.Schema) -> pa.Table:
    import pyarrow as pa

    fields = [
        pa.field("seq", pa.int64()),
        pa.field("record_id", pa.string()),
        pa.field("place", pa.string()),
        pa.field("content_hash", pa.string()),
        pa.field("event_time", pa.timestamp("us", tz="UTC")),
    ]
    return pa.schema([*fields, *kept]).empty_table()


def quoted(column: str) -> str:
    """A column's name as a SQL identifier; names come from records, so quotes must not end it."""
    return '"' + column.replace('"', '""') + '"'
