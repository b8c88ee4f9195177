"""Chunks of a source taken into a difference: numbered, refused where they repeat, told apart."""

from __future__ import annotations

from typing import TYPE_CHECKING

from storage import _difference_parts as of_parts
from storage import _difference_sql as sql
from storage._difference_met import Keyed, keyed, keys_in, seqs_in
from storage._difference_scratch import HELD, Scratch
from storage.database import number
from storage.entries import dead_table
from storage.frames import gathered
from storage.keys import Keys, key, keys_of
from storage.staging import staged_hashes

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    import numpy as np
    import polars as pl
    import pyarrow as pa
    from numpy.typing import NDArray

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
        self._con.register("given", contents)
        self._con.execute(sql.KNOW_DEAD)
        self._know("dead", staged=staged)

    def know_staged(self, contents: pl.DataFrame) -> None:
        """Contents that an interrupted run has staged (column content_hash)."""
        self._con.register("given", contents)
        self._know("staged", staged=True)

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
        import pyarrow as pa

        offset, self._rows = self._rows, self._rows + len(records)
        self._take_rejects(rejects)
        self._con.register("chunk", self._given(records, offset).to_arrow())
        if self.parts:
            self._con.execute(of_parts.HEADS.format(**self._part_names))
        self._number("heads" if self.parts else "chunk")
        ids = self._refuse()
        self._count_given(len(records))
        contents = self._find_wanted()
        if limit is not None:
            self._leave_out(limit)
        self._take(ids, contents)
        self._con.execute("DROP TABLE given")
        self._con.unregister("chunk")
        self._classified = False
        pa.default_memory_pool().release_unused()  # else it keeps what chunks before have left
        if self._put_down > HELD:
            self.let_go()  # nothing reads it before all is read
            self._put_down = 0
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

    @property
    def goes_on(self) -> bool:
        """Whether a record was met whose content an interrupted run had dealt with."""
        return len(self._met.again) > 0

    def _know(self, origin: str, *, staged: bool) -> None:
        """Put down contents of `given` that were not known, and let go of it."""
        statement = f"SELECT content_hash, {key('content_hash')} AS key FROM ({sql.GIVEN_CONTENTS})"
        found = self._con.sql(statement).to_arrow_table()
        self._con.unregister("given")
        keys = keys_of(found["key"])
        unknown = self._met.contents.count(keys) == 0
        self._met.contents.add(keys[unknown])
        if staged:
            self._met.staged.add(keys[unknown])
        new = found.filter(unknown).select(["content_hash"])
        self._with_given(new, f"INSERT INTO known SELECT content_hash, '{origin}' FROM given")

    def _take_rejects(self, rejects: Sequence[DeadLetter]) -> None:
        self._rejected += len(rejects)
        self._nameless += sum(letter.record_id is None for letter in rejects)
        if rejects:
            letters = f"INSERT INTO dead ({sql.DEAD}) SELECT {sql.DEAD} FROM given"
            self._with_given(dead_table(rejects), letters)

    def _given(self, records: pl.DataFrame, offset: int) -> pl.DataFrame:
        """The records as they go in here: numbered over all chunks, and without their contents."""
        import polars as pl

        seq = pl.int_range(offset, offset + len(records), dtype=pl.Int64).alias("seq")
        kept = [records[name].alias(ours) for name, ours in self._kept.items()]
        given = records.select(seq, "record_id", "place", "content_hash", "event_time", *kept)
        size = int(given.estimated_size())
        self._allow(size)
        self._put_down += size
        if self.parts:
            begins = pl.col(self._part_names["number"]) == 0
            given = given.with_columns(head=pl.when(begins).then("seq").forward_fill())
        return given

    def _number(self, chunk: str) -> None:
        """Make `given` of the chunk, with equal contents that are their own ids numbered."""
        import pyarrow as pa

        asked = self._con.sql(sql.BY_CONTENT.format(chunk=chunk, key=key("content_hash")))
        found = asked.to_arrow_table()
        if not len(found):
            self._con.execute(sql.GIVEN.format(chunk=chunk))
            return
        counted = pa.array(self._numbered().count(keys_of(found["key"])))
        self._con.register("counted", found.select(["content_hash"]).append_column("n", counted))
        self._con.execute(sql.NUMBER_CONTENT_IDS.format(chunk=chunk))
        self._con.unregister("counted")

    def _numbered(self) -> Keys:
        """The contents of what was taken so far."""
        if self._met.numbered is None:
            self._met.numbered = Keys(self._folder)
            taken = f"SELECT {key('content_hash')} FROM {self._seen}"
            for some in keys_in(self._con, taken):
                self._met.numbered.add(some)
        return self._met.numbered

    def _refuse(self) -> Keyed:
        """Refuse of `given` what came before; what is refused for its id stands in `repeated`."""
        if self._history:
            self._con.execute(sql.REFUSE_TIMELESS)
        times = ["epoch_us(event_time)::VARCHAR"] if self._history else []
        ids = keyed(self._con, "given", key("record_id", *times))
        self._answer("before", ids.seqs[self._met.ids.count(ids.keys) > 0])
        at_one_time = " and event time" if self._history else ""
        self._con.execute(sql.FIND_REPEATED.format(identity=", ".join(self._identity)))
        self._con.execute(sql.REFUSE_REPEATED.format(at_one_time=at_one_time))
        return ids

    def _find_wanted(self) -> Keyed:
        contents = keyed(self._con, "given", key("content_hash"))
        self._answer("had", contents.seqs[self._met.contents.count(contents.keys) > 0])
        self._con.execute(sql.FIND_WANTED)
        return contents

    def _leave_out(self, limit: int) -> None:
        leave_out = of_parts.LEAVE_OUT if self.parts else sql.LEAVE_OUT
        names = {**self._part_names, "limit": max(limit, 0)}
        self._records -= len(self._con.execute(leave_out.format(**names)).fetchall())

    def _take(self, ids: Keyed, contents: Keyed) -> None:
        """Put down what is left of the chunk, and what of it is new to the version."""
        columns = ", ".join(self._con.table("snapshot").columns)
        self._con.execute(
            f"INSERT INTO snapshot SELECT {columns} FROM given ANTI JOIN repeated USING (seq) "
            "ORDER BY seq"
        )
        taken = sql.TAKEN
        if self.parts:
            self._con.execute(of_parts.TAKE.format(**self._part_names))
            taken = of_parts.TAKEN.format(**self._part_names)
        self._met.ids.add(ids.of(seqs_in(self._con, f"SELECT seq FROM ({taken})")))
        if self._met.numbered is not None:
            for some in keys_in(self._con, f"SELECT {key('content_hash')} FROM ({taken})"):
                self._met.numbered.add(some)
        self._con.execute("INSERT INTO known SELECT content_hash, 'run' FROM wanted")
        self._met.contents.add(contents.of(seqs_in(self._con, "SELECT seq FROM wanted")))
        self._find_fresh(contents)

    def _find_fresh(self, contents: Keyed) -> None:
        staged, again = self._met.staged, self._met.again
        waiting = (staged.count(contents.keys) > 0) & (again.count(contents.keys) == 0)
        self._answer("waiting", contents.seqs[waiting])
        self._con.execute(sql.FIND_FRESH)
        found = seqs_in(self._con, "SELECT seq FROM fresh SEMI JOIN waiting USING (seq)")
        again.add(contents.of(found))

    def _answer(self, name: str, seqs: NDArray[np.int64]) -> None:
        """Let statements over the chunk read which of its rows were found."""
        import pyarrow as pa

        self._con.register(name, pa.table({"seq": pa.array(seqs, pa.int64())}))

    def _count_given(self, rows: int) -> None:
        """Count what a chunk of the source holds, and spread records over their parts."""
        if not self.parts:
            self._records += rows
            return
        count = "SELECT count(*) FROM {}"
        self._wholes += number(self._con, count.format("given"))
        self._records += number(self._con, count.format("repeated"))
        self._con.execute(of_parts.SPREAD.format(**self._part_names))
        self._records += number(self._con, count.format("given"))


def _failed(staged: Sequence[Path]) -> Iterator[pl.DataFrame]:
    for contents in staged_hashes(staged):
        yield contents.filter(contents["reason"].is_not_null())
