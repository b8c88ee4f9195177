"""Rows of one state of a table by their places or ids, a few at a time.

A reader can be sent to another process: it opens the table there, when it is first asked.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from storage.damage import reading

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa
    from numpy.typing import NDArray

    from storage.vectors import Vectors

_ROWS = 65_536


@dataclass(frozen=True)
class Reader:
    """Reads rows of one state.

    Attributes:
        vectors: where the table is.
        table: its name.
        lance_version: the state; it stays readable until `vecmill gc` or `vecmill erase` takes it.
        history: whether the table keeps a history; its current rows alone are read then.
    """

    vectors: Vectors
    table: str
    lance_version: int
    history: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "_opened", None)

    def __reduce__(self) -> tuple[Any, ...]:
        """Without the open table, which belongs to one process."""
        return (type(self), (self.vectors, self.table, self.lance_version, self.history))

    def places(self, but_null: str | None = None) -> NDArray[np.int64]:
        """The places of all rows, in order; but those where a column is null.

        Args:
            but_null: the column.
        """
        columns = ["record_id", *([] if but_null is None else [but_null])]
        if self.history:
            columns += ["event_time", "run_id", "content_hash"]
        found, at = [], 0
        with reading(self.table):
            for batch in self._scan(list(dict.fromkeys(columns))):
                there = np.ones(len(batch), np.bool_)
                if but_null is not None:
                    there = batch.column(but_null).is_valid().to_numpy(zero_copy_only=False)
                found.append(at + np.flatnonzero(there))
                at += len(batch)
        every = np.concatenate(found) if found else np.empty(0, np.int64)
        return np.intersect1d(every, self._current()) if self.history else every

    def places_of(self, ids: Sequence[str]) -> NDArray[np.int64]:
        """Where the row of each record stands, ``(n,)``; -1 where there is none."""
        import pyarrow as pa
        import pyarrow.compute as pc

        wanted = pa.array(list(dict.fromkeys(ids)), pa.string())
        where = np.full(len(wanted), -1, np.int64)
        allowed = self._current() if self.history else None
        at = 0
        with reading(self.table):
            for batch in self._scan(["record_id"]):
                met = pc.index_in(batch.column("record_id"), value_set=wanted)
                here = np.flatnonzero(met.is_valid().to_numpy(zero_copy_only=False))
                if allowed is not None:
                    here = here[np.isin(here + at, allowed)]
                where[met.take(pa.array(here)).to_numpy(zero_copy_only=False)] = here + at
                at += len(batch)
        number = {one: nth for nth, one in enumerate(wanted.to_pylist())}
        return where[[number[one] for one in ids]] if len(ids) else np.empty(0, np.int64)

    def take(self, places: Sequence[int] | NDArray[np.int64], columns: Sequence[str]) -> pa.Table:
        """Some rows by their places, in the order asked for."""
        asked = np.asarray(places, np.int64)
        with reading(self.table):
            return self._dataset().take(asked.tolist(), columns=list(columns))

    def names(self) -> list[str]:
        """All columns of the table."""
        return list(self._dataset().schema.names)

    def different(self, column: str, most: int) -> list[Any]:
        """The values of a column, in order and without null; no more are looked for than ``most``.

        Returns:
            At most one more than asked for, which says that there are too many.
        """
        import pyarrow.compute as pc

        found: set[Any] = set()
        with reading(self.table):
            for batch in self._scan([column]):
                found |= set(pc.unique(batch.column(column)).to_pylist()) - {None}
                if len(found) > most:
                    break
        return sorted(found)[: most + 1]

    def _scan(self, columns: list[str]) -> Any:  # noqa: ANN401 - lance ships no types
        return self._dataset().to_batches(columns=columns, batch_size=_ROWS, scan_in_order=True)

    def _current(self) -> NDArray[np.int64]:
        from storage import currents

        columns = ["record_id", "event_time", "run_id", "content_hash"]
        with reading(self.table):
            rows = self._dataset().to_table(columns=columns, scan_in_order=True)
        return np.flatnonzero(currents.current(rows))

    def _dataset(self) -> Any:  # noqa: ANN401 - as above
        opened = self.__dict__["_opened"]
        if opened is None:
            opened = self.vectors.dataset(self.table, self.lance_version)
            object.__setattr__(self, "_opened", opened)
        return opened
