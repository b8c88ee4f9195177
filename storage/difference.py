"""What stands between a source and a published version, worked out in SQL on disk.

A run streams its source once through `Difference.add`. It keeps ids, hashes, event times and kept
columns in a scratch DuckDB file, so that memory stays flat however many records there are, and it
answers which contents have to go through the encoder. When these are staged, it gives the rows to
write, the ids to remove, and the counts.
"""

from __future__ import annotations

from dataclasses import asdict
from itertools import pairwise
from typing import TYPE_CHECKING, cast

from storage import _difference_parts as of_parts
from storage import _difference_sql as sql
from storage.assembly import FILE, StagedRows, fitted, numbered, published_rows, rows_at_once
from storage.database import fetch
from storage.entries import dead_table
from storage.frames import gathered
from storage.model import Counts
from storage.staging import staged_hashes
from storage.vectors import HISTORY_KEY, KEY, SYSTEM_COLUMNS, THUMBNAIL, has_thumbnails

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import datetime
    from pathlib import Path

    import polars as pl
    import pyarrow as pa
    import pyarrow.dataset

    from storage.model import DeadLetter
    from storage.parts import Parts

_BATCH = 8192
_ROOMY = 2**28
"""Bytes to compare from which on DuckDB may hold more: some million records."""
_ROW = 200
"""Bytes that a published row takes here, more or less."""


class Difference:
    """The difference between a source and the published rows of a version.

    Args:
        scratch: the file to work in, made anew.
        base: the published rows, None where nothing is published yet.
        kept: the kept columns of the source and their types.
        history: whether the version keeps every content that a record ever had. A row then goes by
            `storage.vectors.HISTORY_KEY`, and what a record was before is left as it stands.
        parts: where rows are parts of records, the kept columns that say so; not in a history.
            Records are then numbered, refused and limited as a whole, and a record that was read
            loses the parts that it has no more.
        thumbnails: whether the table keeps small copies of images (`storage.vectors.THUMBNAIL`).
            Where it did not before, rows get one when their content is encoded.
        memory: MiB that DuckDB may hold before it goes to disk. Where it has far more to compare
            it may hold more, by the root of how much: a join on disk needs that.

    Attributes:
        rewrites: whether the kept columns are others than published, so that every row of the
            table has to be written again.
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
        memory: int = 128,
    ) -> None:
        import duckdb

        scratch.parent.mkdir(parents=True, exist_ok=True)
        scratch.unlink(missing_ok=True)
        self._con = duckdb.connect(str(scratch))
        self._memory, self._size = memory, 0
        self._allow(0)
        # Each thread holds some of it for itself, and most of a plan's work is not DuckDB's.
        self._con.execute("SET threads = 2; SET GLOBAL TimeZone = 'UTC'")
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

    def close(self) -> None:
        """Let go of the scratch file."""
        self._con.close()

    def know_dead(self, contents: pa.Table | pl.DataFrame, *, staged: bool = False) -> None:
        """Contents that this encoder failed on, not to be tried again in this run.

        Args:
            contents: columns content_hash, reason and lasting: whether to expect the same failure
                of any later run.
            staged: whether it was an interrupted run that failed on them, not a published one.
        """
        if staged:
            self._with_given(contents, sql.NOTE_UNMET)
        self._with_given(contents, sql.KNOW_DEAD)

    def know_staged(self, contents: pl.DataFrame) -> None:
        """Contents that an interrupted run has staged (column content_hash)."""
        self._with_given(contents, sql.NOTE_UNMET, sql.KNOW_STAGED)

    def learn_dead(self, staged: Sequence[Path]) -> None:
        """Read from staged files which contents could not be encoded."""
        # Each statement looks through all contents, and most files have none that failed.
        for failed in gathered(_failed(staged)):
            self.know_dead(failed)

    def used(self, staged: Sequence[Path]) -> list[Path]:
        """Those of the staged files whose vectors go into rows to write."""
        self._choose(staged)
        found = fetch(self._con, f"SELECT DISTINCT nth >> {FILE} AS file FROM chosen ORDER BY file")
        return [staged[row["file"]] for row in found]

    def add(
        self, records: pl.DataFrame, rejects: Sequence[DeadLetter], limit: int | None = None
    ) -> pl.DataFrame:
        """Take in a chunk of the source.

        Records that go by their content (the id is the content hash) are numbered where a content
        comes again: ``HASH``, ``HASH#2``, and so on. Other ids that come again are dead letters;
        in a history, those that come again with the same event time.

        Args:
            records: columns record_id, place, content, content_hash, event_time, kept ones.
            rejects: the records of the chunk that could not be read.
            limit: how many contents to encode at most; records that would need more are left out,
                as if they were not in the source, so nothing may count as gone then. Of parts, the
                record that reaches the limit is taken whole.

        Returns:
            The records of the chunk whose content has to be encoded: each content once, and none
            that the version, the staging area or an earlier chunk has already.
        """
        import polars as pl

        offset, self._rows = self._rows, self._rows + len(records)
        self._rejected += len(rejects)
        self._nameless += sum(letter.record_id is None for letter in rejects)
        if rejects:
            self._with_given(dead_table(rejects), f"INSERT INTO dead SELECT {sql.DEAD} FROM given")
        seq = pl.int_range(offset, offset + len(records), dtype=pl.Int64).alias("seq")
        columns = ", ".join(self._con.table("snapshot").columns)
        kept = [records[name].alias(ours) for name, ours in self._kept.items()]
        given = records.select(seq, "record_id", "place", "content_hash", "event_time", *kept)
        self._allow(int(given.estimated_size()))
        if self.parts:
            begins = pl.col(self._part_names["number"]) == 0
            given = given.with_columns(head=pl.when(begins).then("seq").forward_fill())
        identity = "record_id, event_time" if self._history else "record_id"
        at_one_time = " and event time" if self._history else ""
        self._con.register("chunk", given.to_arrow())
        chunk = "heads" if self.parts else "chunk"
        if self.parts:
            self._con.execute(of_parts.HEADS.format(**self._part_names))
        self._con.execute(sql.NUMBER_CONTENT_IDS.format(chunk=chunk, seen=self._seen))
        if self._history:
            self._con.execute(sql.REFUSE_TIMELESS)
        self._con.execute(sql.FIND_REPEATED.format(identity=identity, seen=self._seen))
        self._con.execute(sql.REFUSE_REPEATED.format(at_one_time=at_one_time))
        self._count_given(len(records))
        self._con.execute(sql.FIND_WANTED)
        if limit is not None:
            leave_out = of_parts.LEAVE_OUT if self.parts else sql.LEAVE_OUT
            names = {**self._part_names, "limit": max(limit, 0)}
            self._records -= len(self._con.execute(leave_out.format(**names)).fetchall())
        if self.parts:
            self._con.execute(of_parts.TAKE.format(**self._part_names))
        self._con.execute(
            f"INSERT INTO snapshot SELECT {columns} FROM given ANTI JOIN repeated USING (seq)"
        )
        self._con.execute(sql.FIND_FRESH)
        self._con.execute("INSERT INTO known SELECT content_hash, 'run' FROM wanted")
        self._con.execute("DROP TABLE given")
        self._con.unregister("chunk")
        self._classified = False
        wanted = self._con.sql("SELECT seq FROM wanted ORDER BY seq").to_arrow_table()
        chosen: pl.DataFrame = records[wanted.column("seq").to_numpy() - offset]
        return chosen

    def fresh(self, records: pl.DataFrame) -> pl.DataFrame:
        """Of the chunk that `add` was given last, the contents that are new to the version.

        Each content once over all chunks, by the first of its records. They are those that `add`
        gave, and those that an interrupted run has staged or failed on: however often a run was
        broken off, all its chunks together give the same.

        Args:
            records: as `add` was given them.
        """
        offset = self._rows - len(records)
        found = self._con.sql("SELECT seq FROM fresh ORDER BY seq").to_arrow_table()
        rows: pl.DataFrame = records[found.column("seq").to_numpy() - offset]
        return rows

    def _count_given(self, rows: int) -> None:
        """Count what a chunk of the source holds, and spread records over their parts."""
        if not self.parts:
            self._records += rows
            return
        count = "SELECT count(*) AS n FROM {}"
        self._wholes += int(fetch(self._con, count.format("given"))[0]["n"])
        self._records += int(fetch(self._con, count.format("repeated"))[0]["n"])
        self._con.execute(of_parts.SPREAD.format(**self._part_names))
        self._records += int(fetch(self._con, count.format("given"))[0]["n"])

    def counts(self, *, remove_vanished: bool) -> Counts:
        """The counts as they stand; final once `learn_dead` has seen every staged file."""
        self._classify()
        tally = self._tally("SELECT outcome, count(*) FROM outcome GROUP BY ALL")
        origins = self._tally(
            "SELECT origin, count(*) FROM known WHERE content_hash IN (SELECT content_hash "
            "FROM outcome WHERE outcome IN ('new', 'changed')) GROUP BY ALL"
        )
        new, changed = tally.get("new", 0), tally.get("changed", 0)
        encoded, resumed = origins.get("run", 0), origins.get("staged", 0)
        return Counts(
            records=self._records + self._rejected,
            new=new,
            changed=changed,
            updated=tally.get("updated", 0),
            unchanged=tally.get("unchanged", 0),
            deleted=sum(1 for _ in self.vanished(remove_vanished=remove_vanished)),
            deduplicated=new + changed - encoded - resumed,
            encoded=encoded,
            resumed=resumed,
            dead=len(self.dead_letters()),
        )

    def vanished(self, *, remove_vanished: bool = True) -> Iterator[str]:
        """The ids of the version that the source no longer has.

        A record that can be read no more is not gone: it keeps its last good vector. While the
        source holds rows whose id cannot be read nothing counts as gone, since these may be it
        (see `held_back`). Parts that a record which was read has no more are gone in any case.

        Args:
            remove_vanished: whether what was not read counts as gone.
        """
        gone = self._vanished(remove_vanished=remove_vanished)
        if gone is None:
            return
        # A cursor of its own, since the rows to write stream from the connection meanwhile.
        for batch in self._con.cursor().sql(gone).to_arrow_reader(_BATCH):
            yield from batch.column("record_id").to_pylist()

    def _vanished(self, *, remove_vanished: bool) -> str | None:
        everything = remove_vanished and not self._nameless
        if self.parts:
            statement = of_parts.VANISHED if everything else of_parts.SHORTENED
            return statement.format(**self._part_names)
        return sql.VANISHED if everything else None

    def row_change(self, *, remove_vanished: bool) -> int:
        """By how many rows the table grows (or shrinks, below 0) when the difference is applied."""
        self._classify()
        added = "SELECT count(*) AS n FROM outcome WHERE added AND outcome IN ('new', 'changed')"
        grown = int(fetch(self._con, added)[0]["n"])
        vanished = self._vanished(remove_vanished=remove_vanished)
        if vanished is None:
            return grown
        gone = f"SELECT count(*) AS n FROM base WHERE record_id IN ({vanished})"
        return grown - int(fetch(self._con, gone)[0]["n"])

    def published_ids(self) -> int:
        """How many records are published; a history, or a table of parts, has more rows."""
        record = self._part_names["parent"] if self.parts else "record_id"
        return int(fetch(self._con, f"SELECT count(DISTINCT {record}) AS n FROM base")[0]["n"])

    def given_records(self) -> int:
        """How many records the source gave, readable or not, however many parts each has."""
        return self._rejected + (self._wholes if self.parts else self._records)

    def known_records(self, dead: pa.Table) -> int:
        """How many records are published, were read or are dead letters, each of them once.

        Args:
            dead: the dead letters, one a record, columns as `DeadLetter`.
        """
        record = self._part_names["parent"] if self.parts else "record_id"
        known = f"SELECT record_id FROM {self._seen} UNION SELECT {record} FROM base"
        con = self._con.cursor()
        con.register("letters", dead)
        (found,) = fetch(con, sql.COUNT_KNOWN.format(known=known))
        return int(found["n"])

    def gone_records(self) -> int:
        """How many published records the source no longer has, with all their parts."""
        if self._nameless:
            return 0
        return self._seem_gone()

    def _seem_gone(self) -> int:
        statement = of_parts.GONE.format(**self._part_names) if self.parts else sql.VANISHED
        return int(fetch(self._con, f"SELECT count(*) AS n FROM ({statement})")[0]["n"])

    def by_window(self, bounds: Sequence[datetime]) -> list[tuple[int, int]]:
        """Records, and contents to encode, of each window between two bounds that follow.

        A content that comes in several windows counts in the earliest.
        """
        self._classify()
        con = self._con.cursor()
        con.execute("CREATE TEMP TABLE bounds (nth INTEGER, since TIMESTAMPTZ, until TIMESTAMPTZ)")
        pairs = enumerate(pairwise(bounds))
        con.executemany("INSERT INTO bounds VALUES (?, ?, ?)", [(n, *pair) for n, pair in pairs])
        found = con.execute(sql.COUNT_BY_WINDOW).fetchall()
        return cast("list[tuple[int, int]]", found)

    def passing(self) -> int:
        """How many contents failed for a reason that may be gone the next time."""
        (row,) = fetch(self._con, "SELECT count(*) AS n FROM dead_content WHERE NOT lasting")
        return int(row["n"])

    def still_dead(self, before: pa.Table) -> pa.Table:
        """The dead letters of earlier runs (columns as `DeadLetter`) that this one has not met.

        A run over a part of the source can say nothing of the rest.
        """
        self._con.register("before", before)
        found = self._con.sql(sql.STILL_DEAD.format(seen=self._seen)).to_arrow_table()
        self._con.unregister("before")
        return found

    def held_back(self) -> int:
        """How many ids seem gone, but are kept because some rows have no readable id."""
        return self._seem_gone() if self._nameless else 0

    def dead_letters(self) -> pa.Table:
        """All dead letters of the version as of this run (columns as `DeadLetter`).

        That of a part is one of its record, and names the part in its reason.
        """
        self._classify()
        record, reason = "record_id", "d.reason"
        if self.parts:
            record = self._part_names["parent"]
            reason = of_parts.REASON.format(**self._part_names)
        return self._con.sql(
            f"SELECT {sql.DEAD} FROM dead UNION ALL "
            f"SELECT o.{record}, o.place, {reason}, CASE WHEN d.lasting THEN 'encode' "
            "ELSE 'read' END, o.content_hash FROM outcome o "
            "JOIN dead_content d USING (content_hash) WHERE o.outcome = 'dead'"
        ).to_arrow_table()

    def rows(
        self, staged: Sequence[Path], dim: int, run_id: str, *, remove_vanished: bool
    ) -> pa.RecordBatchReader:
        """The rows to write, with their vectors.

        New, changed and updated records; with `rewrites`, also the published rows that stay. An
        updated record keeps the run and the time that made its vector.

        Args:
            staged: the staged files; with the published rows they hold every content needed.
            dim: the width of the vectors.
            run_id: the run that new and changed records are put down to.
            remove_vanished: whether vanished records are left out of what stays.
        """
        import pyarrow as pa

        self._choose(staged)
        schema = self._row_schema(dim)
        put_together = self._put_together(staged, schema, run_id, remove_vanished=remove_vanished)
        return pa.RecordBatchReader.from_batches(schema, put_together)

    def gone(self, *, remove_vanished: bool) -> Iterator[int]:
        """The places of the published rows that are to go, ascending: replaced, or vanished.

        Args:
            remove_vanished: as in `vanished`.
        """
        self._classify()
        vanished = self._vanished(remove_vanished=remove_vanished)
        of_those = "false" if vanished is None else f"record_id IN ({vanished})"
        going = sql.GOING.format(vanished=of_those)
        # A cursor of its own, since the rows to write stream meanwhile.
        for batch in self._con.cursor().sql(going).to_arrow_reader(_BATCH):
            yield from batch.column("nth").to_pylist()

    def _choose(self, staged: Sequence[Path]) -> None:
        """Say of each content of the rows to write where its vector lies."""
        self._classify()
        if self._chosen_from == staged:
            return
        self._con.execute(sql.CHOOSE)
        if staged:
            files = _listed(staged)
            self._con.execute(sql.CHOOSE_STAGED.format(files=files, file_bits=FILE))
        self._chosen_from = staged

    def _row_schema(self, dim: int) -> pa.Schema:
        kept = "".join(f", {ours} AS {_name(name)}" for name, ours in self._kept.items())
        none = f", NULL::BLOB AS {THUMBNAIL}" if self._thumbnails else ""
        return (
            self._con.sql(
                f"SELECT record_id, NULL::FLOAT[{dim:d}] AS vector, content_hash, event_time, "
                f"event_time AS encoded_at, record_id AS run_id{kept}{none} FROM snapshot LIMIT 0"
            )
            .to_arrow_table()
            .schema
        )

    def _put_together(
        self, staged: Sequence[Path], schema: pa.Schema, run_id: str, *, remove_vanished: bool
    ) -> Iterator[pa.RecordBatch]:
        """All rows to write: those with staged vectors first, then by their published places."""
        import pyarrow as pa
        import pyarrow.compute as pc

        at_once = rows_at_once(schema.field("vector").type.list_size)
        thumbnail = [THUMBNAIL] if self._thumbnails else []
        fields = [schema.field(name) for name in ("vector", "encoded_at", *thumbnail)]
        files = StagedRows(staged, pa.schema(fields), at_once)
        for known in self._known(sql.FROM_STAGED, at_once):
            found = files.take(known["nth"].to_numpy())
            own = {name: found[name] for name in found.column_names}
            ours = pa.repeat(run_id, len(known))
            yield from fitted({**self._named(known), **own, "run_id": ours}, schema)
        if self._base is None:
            return
        for known in self._known(sql.FROM_PUBLISHED, at_once):
            found = self._published(known, ["vector", "encoded_at", "run_id"])
            own = {name: found[name] for name in found.column_names}
            own["run_id"] = pc.if_else(known["fresh"], run_id, found["run_id"])
            yield from fitted({**self._named(known), **own}, schema)
        if self.rewrites:
            yield from self._rows_that_stay(schema, at_once, remove_vanished=remove_vanished)

    def _known(self, statement: str, at_once: int) -> Iterator[pa.Table]:
        """What is known of rows, without vectors, by the places of these; some rows at a time."""
        kept = "".join(f", o.{ours}" for ours in self._kept.values())
        con = self._con.cursor()
        con.execute("CREATE OR REPLACE TABLE placed AS " + statement.format(kept=kept))
        parts = [
            (batch["nth"][0], batch["seq"][0], batch["nth"][-1], batch["seq"][-1])
            for batch in con.sql(sql.ORDER).to_arrow_reader(at_once)
        ]
        for part in parts:
            first, start, last, end = (bound.as_py() for bound in part)
            bounds = {"first": first, "from": start, "last": last, "to": end}
            yield con.sql(sql.PART, params=bounds).to_arrow_table()

    def _named(self, known: pa.Table) -> dict[str, pa.ChunkedArray]:
        """The columns of rows under the names that their table has."""
        system = {name: known[name] for name in ("record_id", "content_hash", "event_time")}
        return system | {name: known[ours] for name, ours in self._kept.items()}

    def _published(self, known: pa.Table, columns: Sequence[str]) -> pa.Table:
        """Columns of the published rows at the places of these."""
        import pyarrow as pa

        pictured = [THUMBNAIL] if self._pictured else []
        found = published_rows(self._base, known["nth"].to_numpy(), [*columns, *pictured])
        if self._thumbnails and not pictured:
            found = found.append_column(THUMBNAIL, pa.nulls(len(found), pa.binary()))
        return found

    def _rows_that_stay(
        self, schema: pa.Schema, at_once: int, *, remove_vanished: bool
    ) -> Iterator[pa.RecordBatch]:
        """Published rows without a readable record: what they have no value for is null."""
        import pyarrow as pa

        vanished = self._vanished(remove_vanished=remove_vanished)
        stays = "" if vanished is None else f"ANTI JOIN ({vanished}) USING (record_id)"
        staying = sql.STAYING.format(key=", ".join(self._key), stays=stays)
        snapshot = self._con.table("snapshot")
        types = dict(zip(snapshot.columns, snapshot.types, strict=True))
        had = self._published_columns()
        kept = "".join(
            f", TRY_CAST({_name(name) if name in had else 'NULL'} AS {types[ours]}) AS {ours}"
            for name, ours in self._kept.items()
        )
        con = self._con.cursor()
        for batch in self._con.cursor().sql(staying).to_arrow_reader(at_once):
            known = pa.Table.from_batches([batch])
            found = self._published(known, [*SYSTEM_COLUMNS, *had])
            con.register("staying", found)
            cast = con.sql(f"SELECT record_id{kept} FROM staying").to_arrow_table()
            con.unregister("staying")
            given = {name: cast[ours] for name, ours in self._kept.items()}
            own = {name: found[name] for name in found.column_names if name not in had}
            yield from fitted({**own, **given}, schema)

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


def _failed(staged: Sequence[Path]) -> Iterator[pl.DataFrame]:
    for contents in staged_hashes(staged):
        yield contents.filter(contents["reason"].is_not_null())


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


def _listed(paths: Sequence[Path]) -> str:
    return ", ".join("'" + str(path).replace("'", "''") + "'" for path in paths)


def _name(column: str) -> str:
    """A column's name as a SQL identifier; names come from records, so quotes must not end it."""
    return '"' + column.replace('"', '""') + '"'
