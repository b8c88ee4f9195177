"""What share of a version's records is dead, however many rows and dead letters each has."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from storage._difference_sql import COUNT_KNOWN
from storage.database import number
from storage.parts import key

if TYPE_CHECKING:
    import pyarrow as pa

    from storage.pairs import State
    from storage.vectors import Vectors

_MEMORY = "1GB"
_LETTERS = "CREATE TABLE letters AS SELECT record_id, place, any_value(reason) AS reason"


def dead_share(vectors: Vectors, state: State, letters: pa.Table) -> float:
    """The dead records of a state as a share of its records and of those that have no row.

    A record that kept its last good vector counts once, and so does one of which several parts are
    dead. In a history each content counts, as each is a row.

    Args:
        vectors: where the state's table is.
        state: of the version.
        letters: the version's dead letters, columns as `storage.model.DeadLetter`.

    Raises:
        StorageError: if the state cannot be read.
    """
    import duckdb

    rows = vectors.dataset(state.table, state.lance_version)
    if not len(letters):
        return 0.0
    if state.history:
        n_rows: int = rows.count_rows()
        return len(letters) / (n_rows + len(letters))
    known = f"SELECT DISTINCT {key(chunked=state.chunked)} AS record_id FROM held"
    with (
        tempfile.TemporaryDirectory(prefix="vecmill-dead-") as folder,
        duckdb.connect(str(Path(folder) / "dead.duckdb")) as con,
    ):
        con.execute(f"SET memory_limit = '{_MEMORY}'")
        con.register("held", rows)
        con.register("given", letters)
        con.execute(f"{_LETTERS} FROM given GROUP BY record_id, place")
        found = number(con, COUNT_KNOWN.format(known=known))
        return number(con, "SELECT count(*) FROM letters") / found
