"""The rows that a difference has written: put together from what was compared and from vectors."""

from __future__ import annotations

from typing import TYPE_CHECKING

from storage import _difference_sql as sql
from storage._difference_scratch import Scratch, quoted
from storage.assembly import FILE, StagedRows, fitted, published_rows, rows_at_once
from storage.database import fetch
from storage.ordering import PLACE, in_order, joined
from storage.vectors import SYSTEM_COLUMNS, THUMBNAIL

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    import pyarrow as pa

_BATCH = 8192


class Written(Scratch):
    """The part of a difference that gives the rows to write and the places of those to go."""

    def used(self, staged: Sequence[Path]) -> list[Path]:
        """Those of the staged files whose vectors go into rows to write."""
        self._choose(staged)
        found = fetch(self._con, f"SELECT DISTINCT nth >> {FILE} AS file FROM chosen ORDER BY file")
        return [staged[row["file"]] for row in found]

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
        kept = "".join(f", {ours} AS {quoted(name)}" for name, ours in self._kept.items())
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
        con = self._con.cursor()
        con.execute(sql.PLACE.format(rows=statement, place=PLACE))
        count = int(fetch(con, "SELECT count(*) AS n FROM placed")[0]["n"])
        placed = con.sql(sql.PLACED.format(place=PLACE)).to_arrow_reader(_BATCH)
        columns = ", ".join(
            ["seq", "record_id", "content_hash", "event_time", *self._kept.values()]
        )
        taken = self._con.cursor().sql(f"SELECT {columns} FROM snapshot").to_arrow_reader(_BATCH)
        for table in in_order(joined(taken, placed), self._folder, 0, count):
            for start in range(0, len(table), at_once):
                yield table.slice(start, at_once)

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
            f", TRY_CAST({quoted(name) if name in had else 'NULL'} AS {types[ours]}) AS {ours}"
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


def _listed(paths: Sequence[Path]) -> str:
    return ", ".join("'" + str(path).replace("'", "''") + "'" for path in paths)
