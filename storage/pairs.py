"""Two versions side by side: which records both hold, and a sample of these with both vectors.

Both tables are streamed at pinned states through a scratch DuckDB file on disk, so that memory
stays flat however many rows they have. Of a history, the current row of each record counts. Where
rows are parts of records (`storage.parts`), records are counted, and vectors paired whose content
is the same, be it that of a part or of a whole record.
"""

from __future__ import annotations

import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from storage.database import fetch
from storage.parts import PARTS, key

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import duckdb
    from numpy.typing import NDArray

    from storage.vectors import Vectors

    Matrix: TypeAlias = NDArray[np.float32]

_MEMORY = "1GB"
_CURRENT = """
CREATE TABLE {side} AS SELECT record_id, content_hash, event_time FROM {side}_rows
QUALIFY row_number() OVER (PARTITION BY record_id ORDER BY event_time DESC NULLS LAST, run_id DESC)
    = 1
"""
_PLAIN = "CREATE TABLE {side} AS SELECT record_id, content_hash, event_time FROM {side}_rows"
_PARTS = f"""
CREATE TABLE {{side}} AS SELECT record_id, content_hash, event_time, {PARTS.parent} AS parent,
    {PARTS.whole} AS whole FROM {{side}}_rows
"""
# A record of which a part could not be encoded again is of two contents, and like neither.
_WHOLES = """
CREATE TABLE {side}_whole AS
SELECT parent AS record_id, CASE WHEN min(whole) = max(whole) THEN min(whole) END AS content_hash
FROM {side} GROUP BY parent
"""
_SAME = "CREATE VIEW {side}_whole AS SELECT record_id, content_hash FROM {side}"
_COUNT = """
SELECT count(a.record_id) AS first, count(b.record_id) AS second,
       count(*) FILTER (a.record_id = b.record_id) AS both,
       count(*) FILTER (a.record_id = b.record_id AND a.content_hash = b.content_hash) AS same
FROM a_whole a FULL JOIN b_whole b ON a.record_id = b.record_id
"""
# Drawn by a salted hash: the same salt draws the same, whatever order the rows stand in.
_CHOOSE = """
CREATE TABLE chosen AS
SELECT row_number() OVER (ORDER BY drawn, a_id) AS nr, * FROM (
    SELECT a.record_id AS a_id, b.record_id AS b_id, a.event_time AS a_time,
           b.event_time AS b_time, md5($1 || a.content_hash) AS drawn
    FROM a JOIN b ON a.{a} = b.{b} AND a.content_hash = b.content_hash
    QUALIFY row_number() OVER (PARTITION BY a.content_hash ORDER BY a.record_id, b.record_id) = 1
    ORDER BY drawn, a.record_id LIMIT $2)
"""


@dataclass(frozen=True)
class State:
    """A version's table at one published state.

    Attributes:
        chunked: whether its rows are parts of records.
    """

    table: str
    lance_version: int
    history: bool = False
    chunked: bool = False


@dataclass(frozen=True)
class Shared:
    """What two states hold, in records.

    Attributes:
        first, second: the records that each holds.
        both: those that both hold, by record id.
        same: those of them whose content is the same in both.
        missing: some record ids that the second lacks.
    """

    first: int
    second: int
    both: int
    same: int
    missing: tuple[str, ...] = ()


@dataclass(frozen=True)
class Pairs:
    """Records that two states hold with the same content, each content once.

    Where rows are parts of records, they go by the ids of the first version's rows.

    ``first`` is ``(n, d1)`` and ``second`` ``(n, d2)`` float32, row by row of the same record.
    """

    record_ids: list[str]
    first: Matrix
    second: Matrix


class SideBySide:
    """Two states, opened to be compared; made by `side_by_side`."""

    def __init__(self, con: duckdb.DuckDBPyConnection, first: State, second: State) -> None:
        self._con = con
        self._parent = {}
        for side, state in (("a", first), ("b", second)):
            rows = _PARTS if state.chunked else _CURRENT if state.history else _PLAIN
            con.execute(rows.format(side=side))
            con.execute((_WHOLES if state.chunked else _SAME).format(side=side))
            self._parent[side] = "parent" if state.chunked else "record_id"

    def shared(self, examples: int = 5) -> Shared:
        """Count what both hold."""
        [counts] = fetch(self._con, _COUNT)
        missing = (
            "SELECT record_id FROM a_whole WHERE record_id NOT IN (SELECT record_id FROM b_whole) "
            "ORDER BY record_id LIMIT ?"
        )
        ids = tuple(row["record_id"] for row in fetch(self._con, missing, examples))
        return Shared(**counts, missing=ids)

    def sample(self, size: int, rng: np.random.Generator) -> Pairs:
        """An even sample without replacement of the contents that both hold.

        A content that several records share comes once: its copies would be each other's nearest
        neighbours in any space.

        Args:
            size: how many at most.
            rng: all chance comes from here.
        """
        self._con.execute("DROP TABLE IF EXISTS chosen")
        self._con.execute(_CHOOSE.format(**self._parent), [rng.bytes(8).hex(), size])
        ids = [row["a_id"] for row in fetch(self._con, "SELECT a_id FROM chosen ORDER BY nr")]
        return Pairs(ids, self._vectors("a", len(ids)), self._vectors("b", len(ids)))

    def _vectors(self, side: str, n: int) -> Matrix:
        """The chosen records' vectors, in their order."""
        table = self._con.sql(
            f"SELECT r.vector FROM {side}_rows r JOIN chosen c ON r.record_id = c.{side}_id "
            f"AND r.event_time IS NOT DISTINCT FROM c.{side}_time ORDER BY c.nr"
        ).to_arrow_table()
        column = table.column("vector").combine_chunks()
        flat: NDArray[Any] = column.flatten().to_numpy(zero_copy_only=False)
        matrix: Matrix = flat.astype(np.float32, copy=False).reshape(n, column.type.list_size)
        return matrix


@contextmanager
def side_by_side(vectors: Vectors, first: State, second: State) -> Iterator[SideBySide]:
    """Open two states to be compared.

    Raises:
        StorageError: if one of them cannot be read.
    """
    import duckdb

    sides = [vectors.dataset(s.table, s.lance_version) for s in (first, second)]
    with tempfile.TemporaryDirectory(prefix="vecmill-pairs-") as folder:
        con = duckdb.connect(str(Path(folder) / "pairs.duckdb"))
        try:
            con.execute(f"SET memory_limit = '{_MEMORY}'; SET TimeZone = 'UTC'")
            for name, dataset in zip(("a_rows", "b_rows"), sides, strict=True):
                con.register(name, dataset)
            yield SideBySide(con, first, second)
        finally:
            con.close()


def rows_of(vectors: Vectors, state: State, record_id: str) -> list[dict[str, Any]]:
    """What a state holds of one record, without the vectors: the current row first.

    Where rows are parts, all of the record's in order; or the one that goes by this id, where no
    record does.
    """
    import pyarrow.compute as pc

    dataset = vectors.dataset(state.table, state.lance_version)
    columns = [name for name in dataset.schema.names if name != "vector"]
    if state.chunked:
        of_record = dataset.to_table(columns=columns, filter=pc.field(PARTS.parent) == record_id)
        if len(of_record):
            parts: list[dict[str, Any]] = of_record.sort_by(PARTS.number).to_pylist()
            return parts
    table = dataset.to_table(columns=columns, filter=pc.field("record_id") == record_id)
    found = table.sort_by([("event_time", "descending"), ("run_id", "descending")])
    rows: list[dict[str, Any]] = found.to_pylist()
    return rows


def nearest_ids(vectors: Vectors, state: State, record_id: str, k: int = 3) -> Sequence[str]:
    """The record ids that are written most like one that is not there."""
    import duckdb

    dataset = vectors.dataset(state.table, state.lance_version)
    record = key(chunked=state.chunked)
    with duckdb.connect() as con:
        con.register("held", dataset)
        found = fetch(
            con,
            f"SELECT record_id FROM (SELECT DISTINCT {record} AS record_id FROM held) ORDER BY "
            "jaro_winkler_similarity(record_id, $1) DESC, record_id LIMIT $2",
            record_id,
            k,
        )
    return [row["record_id"] for row in found]
