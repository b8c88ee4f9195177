"""What stands between a source and a published version, worked out in SQL on disk.

A run streams its source once through `Difference.add`. It keeps ids, hashes, event times and kept
columns in a scratch DuckDB file, so that memory stays flat however many records there are, and it
answers which contents have to go through the encoder. When these are staged, it gives the rows to
write, the ids to remove, and the counts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from storage.catalog import dead_table
from storage.database import fetch
from storage.model import Counts
from storage.staging import staged_hashes
from storage.vectors import SYSTEM_COLUMNS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    import polars as pl
    import pyarrow as pa
    import pyarrow.dataset

    from storage.model import DeadLetter

_BATCH = 8192
_DEAD = "record_id, place, reason, stage, content_hash"
_SCHEMA = """
CREATE TABLE known (content_hash VARCHAR, origin VARCHAR);
CREATE TABLE dead (record_id VARCHAR, place VARCHAR, reason VARCHAR, stage VARCHAR,
                   content_hash VARCHAR);
CREATE TABLE dead_content (content_hash VARCHAR, reason VARCHAR, lasting BOOLEAN);
"""
# Each looks up a chunk's few thousand rows in all that came before, so the larger table is filtered
# by the chunk first: DuckDB then streams it past a small hash table, and builds no large one.
_NUMBER_CONTENT_IDS = """
CREATE OR REPLACE TEMP TABLE given AS
WITH seen AS (
    SELECT content_hash, count(*) AS n FROM snapshot
    WHERE content_hash IN (SELECT content_hash FROM chunk WHERE record_id = content_hash)
    GROUP BY content_hash),
numbered AS (SELECT *, row_number() OVER (PARTITION BY record_id ORDER BY seq) AS nth FROM chunk)
SELECT g.* EXCLUDE (nth) REPLACE (CASE
    WHEN g.record_id <> g.content_hash OR g.nth + coalesce(s.n, 0) = 1 THEN g.record_id
    ELSE g.record_id || '#' || (g.nth + coalesce(s.n, 0)) END AS record_id)
FROM numbered g LEFT JOIN seen s ON g.content_hash = s.content_hash
"""
_FIND_REPEATED = """
CREATE OR REPLACE TEMP TABLE repeated AS
WITH before AS (
    SELECT record_id, place FROM snapshot WHERE record_id IN (SELECT record_id FROM given)),
first AS (
    SELECT record_id, min(seq) AS seq, arg_min(place, seq) AS place FROM given GROUP BY record_id)
SELECT g.seq, coalesce(b.place, f.place) AS first_place
FROM given g LEFT JOIN before b ON b.record_id = g.record_id
JOIN first f ON f.record_id = g.record_id
WHERE b.record_id IS NOT NULL OR g.seq > f.seq
"""
_REFUSE_REPEATED = f"""
INSERT INTO dead ({_DEAD})
SELECT g.record_id, g.place, 'duplicate id, first seen at ' || r.first_place, 'read', g.content_hash
FROM given g JOIN repeated r USING (seq)
"""
_FIND_WANTED = """
CREATE OR REPLACE TEMP TABLE wanted AS
WITH had AS (
    SELECT content_hash FROM known WHERE content_hash IN (SELECT content_hash FROM given))
SELECT min(seq) AS seq, content_hash FROM given ANTI JOIN repeated USING (seq)
WHERE content_hash NOT IN (SELECT content_hash FROM had) GROUP BY content_hash
"""
_VANISHED = """
SELECT record_id FROM base WHERE record_id NOT IN (SELECT record_id FROM snapshot)
AND record_id NOT IN (SELECT record_id FROM dead WHERE record_id IS NOT NULL)
ORDER BY record_id
"""
_CLASSIFY = """
CREATE OR REPLACE TABLE outcome AS
SELECT s.*, CASE
    WHEN d.content_hash IS NOT NULL THEN 'dead'
    WHEN b.record_id IS NULL THEN 'new'
    WHEN b.content_hash <> s.content_hash THEN 'changed'
    WHEN {differs} THEN 'updated'
    ELSE 'unchanged' END AS outcome
FROM snapshot s
LEFT JOIN base b ON s.record_id = b.record_id
LEFT JOIN dead_content d ON s.content_hash = d.content_hash
"""
# A content may be staged twice, by a task that outlived its run. And what a run staged that died
# after it had published stands in the base already.
_CHOOSE_STAGED = """
CREATE OR REPLACE TEMP TABLE chosen AS
SELECT filename, file_row_number
FROM read_parquet([{files}], filename = true, file_row_number = true)
WHERE reason IS NULL
AND content_hash NOT IN (SELECT content_hash FROM known WHERE origin = 'base')
QUALIFY row_number() OVER (PARTITION BY content_hash ORDER BY filename, file_row_number) = 1
"""
_REUSE = """
CREATE OR REPLACE TEMP TABLE reused AS
SELECT content_hash, arg_min(vector, record_id) AS vector, min(encoded_at) AS encoded_at
FROM published
WHERE content_hash IN (
    SELECT content_hash FROM outcome WHERE outcome IN ('new', 'changed')
    INTERSECT SELECT content_hash FROM known WHERE origin = 'base')
GROUP BY content_hash
"""


class Difference:
    """The difference between a source and the published rows of a version.

    Args:
        scratch: the file to work in, made anew.
        base: the published rows, None where nothing is published yet.
        kept: the kept columns of the source and their types.
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
        memory_limit: str = "1GB",
    ) -> None:
        import duckdb

        scratch.parent.mkdir(parents=True, exist_ok=True)
        scratch.unlink(missing_ok=True)
        self._con = duckdb.connect(str(scratch))
        self._con.execute(f"SET memory_limit = '{memory_limit}'; SET TimeZone = 'UTC'")
        self._con.execute(_SCHEMA)
        self._base = base
        # Kept columns go by their number in here: a user's `seq` must not meet ours.
        self._kept = {name: f"kept_{i}" for i, name in enumerate(kept.names)}
        self._records = self._rejected = self._nameless = 0
        self._classified = False
        numbered = kept.empty_table().rename_columns(list(self._kept.values())).schema
        self._with_given(_empty_snapshot(numbered), "CREATE TABLE snapshot AS FROM given")
        self.rewrites = base is not None and self._columns_differ(base)
        self._load_base()

    def close(self) -> None:
        """Let go of the scratch file."""
        self._con.close()

    def know_dead(self, contents: pa.Table | pl.DataFrame) -> None:
        """Contents that this encoder failed on, not to be tried again in this run.

        Args:
            contents: columns content_hash, reason and lasting: whether to expect the same failure
                of any later run.
        """
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
            "INSERT INTO known SELECT DISTINCT content_hash, 'staged' FROM given "
            "WHERE content_hash NOT IN (SELECT content_hash FROM known)",
        )

    def learn_dead(self, staged: Sequence[Path]) -> None:
        """Read from staged files which contents could not be encoded."""
        for contents in staged_hashes(staged):
            self.know_dead(contents.filter(contents["reason"].is_not_null()))

    def add(self, records: pl.DataFrame, rejects: Sequence[DeadLetter]) -> pl.DataFrame:
        """Take in a chunk of the source.

        Records that go by their content (the id is the content hash) are numbered where a content
        comes again: ``HASH``, ``HASH#2``, and so on. Other ids that come again are dead letters.

        Args:
            records: columns record_id, place, content, content_hash, event_time, kept ones.
            rejects: the records of the chunk that could not be read.

        Returns:
            The records of the chunk whose content has to be encoded: each content once, and none
            that the version, the staging area or an earlier chunk has already.
        """
        import polars as pl

        offset, self._records = self._records, self._records + len(records)
        self._rejected += len(rejects)
        self._nameless += sum(letter.record_id is None for letter in rejects)
        if rejects:
            self._with_given(dead_table(rejects), f"INSERT INTO dead SELECT {_DEAD} FROM given")
        seq = pl.int_range(offset, offset + len(records), dtype=pl.Int64).alias("seq")
        columns = ", ".join(self._con.table("snapshot").columns)
        kept = [records[name].alias(ours) for name, ours in self._kept.items()]
        given = records.select(seq, "record_id", "place", "content_hash", "event_time", *kept)
        self._con.register("chunk", given.to_arrow())
        for statement in (
            _NUMBER_CONTENT_IDS,
            _FIND_REPEATED,
            _REFUSE_REPEATED,
            f"INSERT INTO snapshot SELECT {columns} FROM given ANTI JOIN repeated USING (seq)",
            _FIND_WANTED,
            "INSERT INTO known SELECT content_hash, 'run' FROM wanted",
            "DROP TABLE given",
        ):
            self._con.execute(statement)
        self._con.unregister("chunk")
        self._classified = False
        wanted = self._con.sql("SELECT seq FROM wanted ORDER BY seq").to_arrow_table()
        chosen: pl.DataFrame = records[wanted.column("seq").to_numpy() - offset]
        return chosen

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
            deleted=sum(1 for _ in self.vanished()) if remove_vanished else 0,
            deduplicated=new + changed - encoded - resumed,
            encoded=encoded,
            resumed=resumed,
            dead=len(self.dead_letters()),
        )

    def vanished(self) -> Iterator[str]:
        """The ids of the version that the source no longer has.

        A record that can be read no more is not gone: it keeps its last good vector. While the
        source holds rows whose id cannot be read nothing counts as gone, since these may be it
        (see `held_back`).
        """
        if self._nameless:
            return
        # A cursor of its own, since the rows to write stream from the connection meanwhile.
        for batch in self._con.cursor().sql(_VANISHED).to_arrow_reader(_BATCH):
            yield from batch.column("record_id").to_pylist()

    def held_back(self) -> int:
        """How many ids seem gone, but are kept because some rows have no readable id."""
        if not self._nameless:
            return 0
        return int(fetch(self._con, f"SELECT count(*) AS n FROM ({_VANISHED})")[0]["n"])

    def dead_letters(self) -> pa.Table:
        """All dead letters of the version as of this run (columns as `DeadLetter`)."""
        self._classify()
        return self._con.sql(
            f"SELECT {_DEAD} FROM dead UNION ALL "
            "SELECT o.record_id, o.place, d.reason, CASE WHEN d.lasting THEN 'encode' "
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
        no_rows = (
            f"SELECT o.record_id, NULL::FLOAT[{dim:d}] AS vector, o.content_hash, o.event_time, "
            f"o.event_time AS encoded_at, $run_id::VARCHAR AS run_id{kept} "
            "FROM snapshot o WHERE false"
        )
        parts = [no_rows]
        written = (
            "SELECT o.record_id, v.vector, o.content_hash, o.event_time, v.encoded_at, "
            "{run}{kept} FROM outcome o JOIN {vectors} v ON {on} WHERE o.outcome IN ({outcomes})"
        )
        fresh = {"run": "$run_id", "kept": kept, "outcomes": "'new', 'changed'"}
        by_content = "o.content_hash = v.content_hash"
        if staged:
            files = ", ".join("'" + str(path).replace("'", "''") + "'" for path in staged)
            self._con.execute(_CHOOSE_STAGED.format(files=files))
            vectors = (
                f"(SELECT content_hash, vector::FLOAT[{dim:d}] AS vector, encoded_at FROM "
                f"read_parquet([{files}], filename = true, file_row_number = true) "
                "SEMI JOIN chosen USING (filename, file_row_number))"
            )
            parts.append(written.format(**fresh, vectors=vectors, on=by_content))
        if self._base is not None:
            self._con.execute(_REUSE)
            parts.append(written.format(**fresh, vectors="reused", on=by_content))
            old = {"run": "v.run_id", "kept": kept, "outcomes": "'updated'"}
            by_id = "o.record_id = v.record_id"
            parts.append(written.format(**old, vectors="published", on=by_id))
        if self.rewrites:
            parts.append(self._rows_that_stay(remove_vanished=remove_vanished))
        sql = " UNION ALL ".join(parts)
        return self._con.sql(sql, params={"run_id": run_id}).to_arrow_reader(_BATCH)

    def _rows_that_stay(self, *, remove_vanished: bool) -> str:
        """Published rows without a readable record: what they have no value for is null."""
        gone = ""
        if remove_vanished and not self._nameless:
            gone = f"AND record_id NOT IN ({_VANISHED})"
        system = ", ".join(SYSTEM_COLUMNS)
        snapshot = self._con.table("snapshot")
        types = dict(zip(snapshot.columns, snapshot.types, strict=True))
        had = set(self._con.table("published").columns)
        kept = "".join(
            f", TRY_CAST({_name(name)} AS {types[ours]})" if name in had else ", NULL"
            for name, ours in self._kept.items()
        )
        return (
            f"SELECT {system}{kept} FROM published WHERE record_id NOT IN (SELECT record_id "
            f"FROM outcome WHERE outcome IN ('new', 'changed', 'updated')) {gone}"
        )

    def _columns_differ(self, base: pyarrow.dataset.Dataset) -> bool:
        schema = self._con.table("snapshot").limit(0).to_arrow_table().schema
        published = [(f.name, f.type) for f in base.schema if f.name not in SYSTEM_COLUMNS]
        return published != [(k, schema.field(ours).type) for k, ours in self._kept.items()]

    def _load_base(self) -> None:
        if self._base is None:
            self._con.execute("CREATE TABLE base AS FROM snapshot")
            return
        self._con.register("published", self._base)
        columns = {} if self.rewrites else self._kept
        kept = "".join(f", {_name(name)} AS {ours}" for name, ours in columns.items())
        self._con.execute(
            f"CREATE TABLE base AS SELECT record_id, content_hash, event_time{kept} FROM published"
        )
        self._con.execute("INSERT INTO known SELECT DISTINCT content_hash, 'base' FROM base")

    def _classify(self) -> None:
        if self._classified:
            return
        compared = ["event_time", *([] if self.rewrites else self._kept.values())]
        differs = " OR ".join(f"b.{c} IS DISTINCT FROM s.{c}" for c in compared)
        self._con.execute(_CLASSIFY.format(differs="true" if self.rewrites else differs))
        self._classified = True

    def _tally(self, sql: str) -> dict[str, int]:
        return dict(cast("list[tuple[str, int]]", self._con.execute(sql).fetchall()))

    def _with_given(self, given: pa.Table | pl.DataFrame, *statements: str) -> None:
        self._con.register("given", given)
        for statement in statements:
            self._con.execute(statement)
        self._con.unregister("given")
        self._classified = False


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


def _name(column: str) -> str:
    """A column's name as a SQL identifier; names come from records, so quotes must not end it."""
    return '"' + column.replace('"', '""') + '"'
