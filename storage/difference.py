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
        memory_limit: what DuckDB may hold before it goes to disk.

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
        memory_limit: str = "1GB",
    ) -> None:
        import duckdb

        scratch.parent.mkdir(parents=True, exist_ok=True)
        scratch.unlink(missing_ok=True)
        self._con = duckdb.connect(str(scratch))
        self._con.execute(f"SET memory_limit = '{memory_limit}'; SET TimeZone = 'UTC'")
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
        numbered = kept.empty_table().rename_columns(list(self._kept.values())).schema
        self._with_given(_empty_snapshot(numbered), "CREATE TABLE snapshot AS FROM given")
        self.rewrites = base is not None and self._columns_differ(base)
        self._load_base()

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
        self._with_given(
            contents,
            "INSERT INTO dead_content SELECT content_hash, any_value(reason), bool_or(lasting) "
            "FROM given "
            "WHERE content_hash NOT IN (SELECT content_hash FROM dead_content) "
            "AND content_hash NOT IN (SELECT content_hash FROM base) GROUP BY content_hash",
            "INSERT INTO known SELECT content_hash, 'dead' FROM dead_content "
            "WHERE content_hash NOT IN (SELECT content_hash FROM known)",
        )

    def know_staged(self, contents: pl.DataFrame) -> None:
        """Contents that an interrupted run has staged (column content_hash)."""
        self._with_given(
            contents,
            sql.NOTE_UNMET,
            "INSERT INTO known SELECT DISTINCT content_hash, 'staged' FROM given "
            "WHERE content_hash NOT IN (SELECT content_hash FROM known)",
        )

    def learn_dead(self, staged: Sequence[Path]) -> None:
        """Read from staged files which contents could not be encoded."""
        # Each statement looks through all contents, and most files have none that failed.
        for failed in gathered(_failed(staged)):
            self.know_dead(failed)

    def used(self, staged: Sequence[Path]) -> list[Path]:
        """Those of the staged files whose vectors go into rows to write."""
        if not staged:
            return []
        self._classify()
        found = fetch(self._con, sql.USED_STAGED.format(files=_listed(staged)))
        names = {row["filename"] for row in found}
        return [path for path in staged if str(path) in names]

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
        found = self._con.sql(
            f"SELECT {sql.DEAD} FROM before b WHERE place NOT IN (SELECT place FROM {self._seen}) "
            "AND place NOT IN (SELECT place FROM dead WHERE place IS NOT NULL) AND (record_id "
            f"IS NULL OR (record_id NOT IN (SELECT record_id FROM {self._seen}) AND "
            "record_id NOT IN (SELECT record_id FROM dead WHERE record_id IS NOT NULL)))"
        ).to_arrow_table()
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
        kept = "".join(f", o.{ours} AS {_name(name)}" for name, ours in self._kept.items())
        none = f", NULL::BLOB AS {THUMBNAIL}" if self._thumbnails else ""
        own = f", v.{THUMBNAIL}" if self._thumbnails else ""
        no_rows = (
            f"SELECT o.record_id, NULL::FLOAT[{dim:d}] AS vector, o.content_hash, o.event_time, "
            f"o.event_time AS encoded_at, $run_id::VARCHAR AS run_id{kept}{none} "
            "FROM snapshot o WHERE false"
        )
        parts = [no_rows]
        written = (
            "SELECT o.record_id, v.vector, o.content_hash, o.event_time, v.encoded_at, "
            "{run}{kept} FROM {vectors} v JOIN outcome o ON {on} WHERE o.outcome IN ({outcomes})"
        )
        fresh = {"run": "$run_id", "kept": kept + own, "outcomes": "'new', 'changed'"}
        by_content = "o.content_hash = v.content_hash"
        if staged:
            files = _listed(staged)
            self._con.execute(sql.CHOOSE_STAGED.format(files=files))
            vectors = (
                f"(SELECT content_hash, vector::FLOAT[{dim:d}] AS vector, encoded_at"
                f"{_staged_thumbnail(staged) if self._thumbnails else ''} FROM read_parquet("
                f"[{files}], filename = true, file_row_number = true, union_by_name = true) "
                "SEMI JOIN chosen USING (filename, file_row_number))"
            )
            parts.append(written.format(**fresh, vectors=vectors, on=by_content))
        if self._base is not None:
            thumbnail = THUMBNAIL if self._pictured else "NULL::BLOB"
            self._con.execute(sql.REUSE.format(thumbnail=thumbnail))
            parts.append(written.format(**fresh, vectors="reused", on=by_content))
            old = {"run": "v.run_id", "kept": kept + (own if self._pictured else none)}
            old["outcomes"] = "'updated'"
            by_key = " AND ".join(f"o.{column} = v.{column}" for column in self._key)
            parts.append(written.format(**old, vectors="published", on=by_key))
        if self.rewrites:
            parts.append(self._rows_that_stay(remove_vanished=remove_vanished))
        whole = " UNION ALL ".join(parts)
        # DuckDB takes the vectors for few, and would hold all of them to look records up in: joined
        # as it is written, they stream past the records. No query that comes after needs more.
        self._con.execute("SET disabled_optimizers = 'join_order,build_side_probe_side'")
        return self._con.sql(whole, params={"run_id": run_id}).to_arrow_reader(_BATCH)

    def _rows_that_stay(self, *, remove_vanished: bool) -> str:
        """Published rows without a readable record: what they have no value for is null."""
        vanished = self._vanished(remove_vanished=remove_vanished)
        gone = "" if vanished is None else f"AND record_id NOT IN ({vanished})"
        system = ", ".join(SYSTEM_COLUMNS)
        snapshot = self._con.table("snapshot")
        types = dict(zip(snapshot.columns, snapshot.types, strict=True))
        had = set(self._con.table("published").columns)
        kept = "".join(
            f", TRY_CAST({_name(name)} AS {types[ours]})" if name in had else ", NULL"
            for name, ours in self._kept.items()
        )
        if self._thumbnails:
            kept += f", {THUMBNAIL}" if self._pictured else ", NULL::BLOB"
        return (
            f"SELECT {system}{kept} FROM published ANTI JOIN (FROM outcome WHERE outcome IN "
            f"('new', 'changed', 'updated')) USING ({', '.join(self._key)}) WHERE true {gone}"
        )

    def _columns_differ(self, base: pyarrow.dataset.Dataset) -> bool:
        schema = self._con.table("snapshot").limit(0).to_arrow_table().schema
        published = [(f.name, f.type) for f in base.schema if f.name not in SYSTEM_COLUMNS]
        if self._pictured:
            published = [column for column in published if column[0] != THUMBNAIL]
        kept = [(k, schema.field(ours).type) for k, ours in self._kept.items()]
        return published != kept or self._thumbnails != self._pictured

    def _load_base(self) -> None:
        if self._base is None:
            self._con.execute("CREATE TABLE base AS SELECT *, false AS overtaken FROM snapshot")
            return
        self._con.register("published", self._base)
        columns = {} if self.rewrites else dict(self._kept)
        if self.parts:
            columns[self.parts.parent] = self._part_names["parent"]
        kept = "".join(f", {_name(name)} AS {ours}" for name, ours in columns.items())
        # What was written later for the same time counts, so to be what it was it is written again.
        overtaken = sql.OVERTAKEN if self._history else "false"
        self._con.execute(
            f"CREATE TABLE base AS SELECT record_id, content_hash, event_time{kept}, {overtaken} "
            "AS overtaken FROM published"
        )
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


def _staged_thumbnail(staged: Sequence[Path]) -> str:
    """The thumbnails of staged files; an earlier release has staged none."""
    import pyarrow.parquet as pq

    held = any(THUMBNAIL in pq.read_schema(path).names for path in staged)
    return f", {THUMBNAIL}" if held else f", NULL::BLOB AS {THUMBNAIL}"


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
