"""What a difference has met so far, by keys: what a chunk is held against."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from storage.keys import Keys, keys_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import duckdb
    from numpy.typing import NDArray

    from storage.keys import Bytes16

_BATCH = 65_536


@dataclass
class Met:
    """All that came before a chunk.

    Attributes:
        folder: where keys lie that memory is not to hold.
        ids: what was taken goes by; in a history with its time.
        contents: what need not be encoded: published, staged, failed, or asked for already.
        staged: contents that an interrupted run has dealt with and that are not published.
        again: those of them that were met in this run.
        numbered: contents of what was taken, each as often as it was; None until a record goes by
            its content, since only these are numbered.
    """

    folder: Path
    ids: Keys = field(init=False)
    contents: Keys = field(init=False)
    staged: Keys = field(init=False)
    again: Keys = field(init=False)
    numbered: Keys | None = None

    def __post_init__(self) -> None:
        """Begin with nothing."""
        self.ids, self.contents, self.staged, self.again = (Keys(self.folder) for _ in range(4))


@dataclass(frozen=True)
class Keyed:
    """Rows of a chunk with their keys.

    Attributes:
        seqs: (n,) int64, the numbers of the rows, ascending.
        keys: (n,) their keys.
    """

    seqs: NDArray[np.int64]
    keys: Bytes16

    def of(self, seqs: NDArray[np.int64]) -> Bytes16:
        """The keys of some of the rows, by their numbers."""
        found: Bytes16 = self.keys[np.searchsorted(self.seqs, seqs)]
        return found


def keyed(con: duckdb.DuckDBPyConnection, table: str, key: str) -> Keyed:
    """The rows of a chunk's table with a key of each, a SQL expression."""
    found = con.sql(f"SELECT seq, {key} AS key FROM {table} ORDER BY seq").to_arrow_table()
    return Keyed(found["seq"].to_numpy(), keys_of(found["key"]))


def keys_in(con: duckdb.DuckDBPyConnection, statement: str) -> Iterator[Bytes16]:
    """The keys in the only column that a statement gives, some at a time."""
    import pyarrow as pa

    for batch in con.sql(statement).to_arrow_reader(_BATCH):
        yield keys_of(pa.chunked_array([batch.column(0)]))


def seqs_in(con: duckdb.DuckDBPyConnection, statement: str) -> NDArray[np.int64]:
    """The numbers of rows, the column `seq` that a statement gives, ascending."""
    found: NDArray[np.int64] = np.sort(con.sql(statement).to_arrow_table()["seq"].to_numpy())
    return found
