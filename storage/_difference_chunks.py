"""Chunks of a source taken into a difference: numbered, refused where they repeat, told apart."""

from __future__ import annotations

from typing import TYPE_CHECKING

from storage import _difference_parts as of_parts
from storage import _difference_sql as sql
from storage._difference_scratch import Scratch
from storage.database import fetch
from storage.entries import dead_table
from storage.frames import gathered
from storage.staging import staged_hashes

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    import polars as pl
    import pyarrow as pa

    from storage.model import DeadLetter


class Chunks(Scratch):
    """The part of a difference that takes in its source."""

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


def _failed(staged: Sequence[Path]) -> Iterator[pl.DataFrame]:
    for contents in staged_hashes(staged):
        yield contents.filter(contents["reason"].is_not_null())
