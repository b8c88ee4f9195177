"""Rows of several tables under the ids that they share, each table at one published state.

Ids and hashes are joined in a scratch database, which goes to disk where it grows. Vectors are not
read for that: they are fetched afterwards, by the places of their rows, for the records that need
them.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from storage.damage import reading
from storage.vectors import SYSTEM_COLUMNS, THUMBNAIL, has_thumbnails
from storage.views import CURRENT

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import duckdb
    import pyarrow as pa
    from numpy.typing import NDArray

    from storage.vectors import Vectors

_MEMORY = "1GB"
_ROWS = 8192
_SIDE = """
CREATE TABLE side_{nth} AS
SELECT CASE WHEN trim(shared::VARCHAR) <> '' THEN shared::VARCHAR END AS id, record_id AS own,
       place, content_hash, event_time{kept}, 1 AS n FROM given {current}
"""
_CURRENT = f"QUALIFY row_number() OVER (PARTITION BY record_id ORDER BY {CURRENT}) = 1"
# Of several rows under one id the first stands for all, and n says that there are others.
_ONE_AN_ID = """
CREATE OR REPLACE TABLE side_{nth} AS SELECT * REPLACE (count(*) OVER (PARTITION BY id) AS n)
FROM side_{nth} QUALIFY id IS NULL OR row_number() OVER (PARTITION BY id ORDER BY place) = 1
"""
_ALL = "SELECT id FROM side_{nth} WHERE id IS NOT NULL"


@dataclass(frozen=True)
class Side:
    """One of the tables.

    Attributes:
        name: what it is called here.
        table: the vector table.
        lance_version: its state.
        key: the column that holds the shared id.
        kept: the columns to hand on.
        history: whether it keeps a history; the current row of each record counts then.
    """

    name: str
    table: str
    lance_version: int
    key: str = "record_id"
    kept: tuple[str, ...] = ()
    history: bool = False


@dataclass(frozen=True)
class Tally:
    """What came of a join, in records.

    Attributes:
        ids: how many there are in any table.
        lacking: table by table, how many of them it lacks.
        nameless: table by table, its rows without an id.
    """

    ids: int = 0
    lacking: Mapping[str, int] = field(default_factory=dict)
    nameless: Mapping[str, int] = field(default_factory=dict)


class Aligned:
    """Tables to read side by side; they stay at their states whatever is written meanwhile.

    Args:
        vectors: where the tables are.
        sides: the tables, one or more.

    Raises:
        StorageError: if a table or its state is not there.
    """

    def __init__(self, vectors: Vectors, sides: Sequence[Side]) -> None:
        self.sides = tuple(sides)
        self._data = {side.name: vectors.dataset(side.table, side.lance_version) for side in sides}
        self.tally = Tally()

    def columns(self, name: str) -> dict[str, pa.DataType]:
        """The columns of a table beside those that every table has, and their types."""
        schema = self._data[name].schema
        own = {*SYSTEM_COLUMNS, *([THUMBNAIL] if has_thumbnails(schema) else [])}
        return {column.name: column.type for column in schema if column.name not in own}

    def stream(self, *, every: bool) -> Iterator[pa.Table]:
        """The records, in the order of the first table, then of the others.

        Args:
            every: only records that all tables have; otherwise those of any.

        Yields:
            Columns id; for the table number i ``own_i`` (its record id), ``place_i``, ``hash_i``
            and ``n_i`` (how many of its rows have the id), null where it lacks the record;
            ``event_time`` of the first table; and the kept ones as ``kept_i_j``.
        """
        import duckdb
        import pyarrow as pa

        with (
            tempfile.TemporaryDirectory(prefix="vecmill-aligned-") as folder,
            duckdb.connect(config={"memory_limit": _MEMORY, "temp_directory": folder}) as con,
        ):
            con.execute("SET enable_progress_bar = false; SET TimeZone = 'UTC'")
            for nth, side in enumerate(self.sides):
                self._load(con, nth, side)
            self.tally = self._counted(con)
            for batch in con.sql(_joined(self.sides, every=every)).to_arrow_reader(_ROWS):
                yield pa.Table.from_batches([batch])

    def vectors(self, name: str, places: NDArray[np.int64]) -> NDArray[np.float32]:
        """The vectors of some rows of a table by their places, ``(n, dim)`` float32."""
        dim = self._data[name].schema.field("vector").type.list_size
        if not len(places):
            return np.empty((0, dim), np.float32)
        with reading(name):
            taken = self._data[name].take(places.tolist(), columns=["vector"])
        flat = taken.column("vector").combine_chunks().flatten().to_numpy(zero_copy_only=False)
        return np.asarray(flat, np.float32).reshape(-1, dim)

    def _load(self, con: duckdb.DuckDBPyConnection, nth: int, side: Side) -> None:
        con.register("given", self._numbered(side))
        kept = "".join(f", kept_{j} AS kept_{nth}_{j}" for j in range(len(side.kept)))
        current = _CURRENT if side.history else ""
        con.execute(_SIDE.format(nth=nth, kept=kept, current=current))
        con.unregister("given")
        if side.key != "record_id":
            con.execute(_ONE_AN_ID.format(nth=nth))

    def _numbered(self, side: Side) -> pa.RecordBatchReader:
        """All columns that are joined, with the place that `vectors` finds a row by."""
        import pyarrow as pa

        dataset = self._data[side.name]
        # By names of ours: a user's `place` must not meet it.
        read = {name: name for name in ("record_id", "content_hash", "event_time", "run_id")}
        read |= {"shared": side.key} | {f"kept_{j}": name for j, name in enumerate(side.kept)}
        columns = list(dict.fromkeys(read.values()))
        fields = [pa.field(ours, dataset.schema.field(name).type) for ours, name in read.items()]
        schema = pa.schema([*fields, pa.field("place", pa.int64())])

        def batches() -> Iterator[pa.RecordBatch]:
            at = 0
            with reading(side.table):
                for batch in dataset.to_batches(columns=columns, scan_in_order=True):
                    arrays = [batch.column(name) for name in read.values()]
                    places = pa.array(np.arange(at, at + len(batch)))
                    at += len(batch)
                    yield pa.RecordBatch.from_arrays([*arrays, places], schema=schema)

        return pa.RecordBatchReader.from_batches(schema, batches())

    def _counted(self, con: duckdb.DuckDBPyConnection) -> Tally:
        def count(what: str) -> int:
            return int(con.sql(f"SELECT count(*) FROM ({what})").fetchall()[0][0])

        every = [_ALL.format(nth=nth) for nth in range(len(self.sides))]
        ids = count(" UNION ".join(every))
        nameless = "FROM side_{nth} WHERE id IS NULL"
        return Tally(
            ids,
            {side.name: ids - count(every[nth]) for nth, side in enumerate(self.sides)},
            {side.name: count(nameless.format(nth=n)) for n, side in enumerate(self.sides)},
        )


def _joined(sides: Sequence[Side], *, every: bool) -> str:
    numbers = range(len(sides))
    per_side = "".join(
        f", s{i}.own AS own_{i}, s{i}.place AS place_{i}, s{i}.content_hash AS hash_{i}, "
        f"s{i}.n AS n_{i}" + "".join(f", s{i}.kept_{i}_{j}" for j in range(len(sides[i].kept)))
        for i in numbers
    )
    ids = " UNION ".join(_ALL.format(nth=i) for i in numbers)
    how = "JOIN" if every else "LEFT JOIN"
    joins = " ".join(f"{how} side_{i} s{i} ON s{i}.id = k.id" for i in numbers)
    order = ", ".join(f"place_{i} NULLS LAST" for i in numbers)
    return f"SELECT k.id, s0.event_time{per_side} FROM ({ids}) k {joins} ORDER BY {order}"


def _name(column: str) -> str:
    """A column's name as a SQL identifier; names come from records, so quotes must not end it."""
    return '"' + column.replace('"', '""') + '"'


def ids_by(vectors: Vectors, side: Side, own: Sequence[str]) -> set[str]:
    """The shared ids that some records of one table, named by their own, come under."""
    return _looked_up(vectors, side, side.key, "record_id", own)


def own_by(vectors: Vectors, side: Side, ids: Sequence[str]) -> set[str]:
    """The records of one table that come under some shared ids, by their own ids."""
    return _looked_up(vectors, side, "record_id", side.key, ids)


def _looked_up(
    vectors: Vectors, side: Side, wanted: str, by: str, values: Sequence[str]
) -> set[str]:
    import duckdb

    dataset: Any = vectors.state(side.table, side.lance_version)
    if not {wanted, by} <= {*dataset.schema.names}:
        return set()  # of a time before that column was kept
    wanted, by = _name(wanted), f"{_name(by)}::VARCHAR"
    sql = (
        f"SELECT DISTINCT {wanted}::VARCHAR FROM held WHERE {by} IN (SELECT unnest($1)) "
        f"AND trim({wanted}::VARCHAR) <> ''"
    )
    with duckdb.connect() as con, reading(side.table):
        con.register("held", dataset)
        return {row[0] for row in con.execute(sql, [list(values)]).fetchall()}
