"""What a difference comes to: its counts, what is gone, and what is dead."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, cast

from storage import _difference_parts as of_parts
from storage import _difference_sql as sql
from storage._difference_scratch import Scratch
from storage.database import number
from storage.model import Counts

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    import pyarrow as pa

_BATCH = 8192


class Told(Scratch):
    """The part of a difference that tells what was found."""

    def counts(self, *, remove_vanished: bool) -> Counts:
        """The counts as they stand; final once `learn_dead` has seen every staged file."""
        self._classify()
        tally = self._tally(sql.TALLY)
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

    def row_change(self, *, remove_vanished: bool) -> int:
        """By how many rows the table grows (or shrinks, below 0) when the difference is applied."""
        self._classify()
        added = "SELECT count(*) FROM outcome WHERE added AND outcome IN ('new', 'changed')"
        grown = number(self._con, added)
        vanished = self._vanished(remove_vanished=remove_vanished)
        if vanished is None:
            return grown
        gone = f"SELECT count(*) FROM base WHERE record_id IN ({vanished})"
        return grown - number(self._con, gone)

    def published_ids(self) -> int:
        """How many records are published; a history, or a table of parts, has more rows."""
        record = self._part_names["parent"] if self.parts else "record_id"
        return number(self._con, f"SELECT count(DISTINCT {record}) FROM base")

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
        return number(con, sql.COUNT_KNOWN.format(known=known))

    def gone_records(self) -> int:
        """How many published records the source no longer has, with all their parts."""
        if self._nameless:
            return 0
        return self._seem_gone()

    def _seem_gone(self) -> int:
        statement = of_parts.GONE.format(**self._part_names) if self.parts else sql.VANISHED
        return number(self._con, f"SELECT count(*) FROM ({statement})")

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
        return number(self._con, "SELECT count(*) FROM dead_content WHERE NOT lasting")

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
        same = " AND ".join(f"dead.{c} = s.{c}" for c in self._identity)
        self._con.execute(sql.NAME_FIRST.format(seen=self._seen, same=same))
        record, reason = "record_id", "d.reason"
        if self.parts:
            record = self._part_names["parent"]
            reason = of_parts.REASON.format(**self._part_names)
        return self._con.sql(
            f"SELECT {sql.DEAD} FROM dead UNION ALL "
            f"SELECT s.{record}, s.place, {reason}, CASE WHEN d.lasting THEN 'encode' "
            "ELSE 'read' END, s.content_hash FROM outcome o JOIN snapshot s USING (seq) "
            "JOIN dead_content d ON s.content_hash = d.content_hash WHERE o.outcome = 'dead'"
        ).to_arrow_table()
