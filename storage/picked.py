"""The vectors of some records, by their ids."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np

from storage.currents import current
from storage.damage import reading
from storage.vectors import _literal

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import pyarrow as pa
    from numpy.typing import NDArray

    from storage.vectors import Vectors

_IDS = 1_000


def vectors_of(
    vectors: Vectors,
    state: tuple[str, int],
    ids: Iterable[str],
    by: str = "record_id",
    *,
    history: bool = False,
) -> dict[str, NDArray[np.float32]]:
    """The vectors ``(dim,)`` of those of some records that a table has.

    Args:
        vectors: the tables.
        state: a table, and the Lance version of it to read.
        ids: the records.
        by: the column that these are ids of.
        history: whether the table keeps a history; the current row of each record counts then.
    """
    table, lance_version = state
    dataset = vectors.dataset(table, lance_version)
    found: dict[str, NDArray[np.float32]] = {}
    left = iter(ids)
    while some := list(islice(left, _IDS)):
        with reading(table):
            rows = _current(dataset, some, by) if history else _rows(dataset, some, by, [by])
        column = rows["vector"].combine_chunks()
        flat = column.flatten().to_numpy(zero_copy_only=False)
        values = np.asarray(flat, np.float32).reshape(len(rows), column.type.list_size)
        found |= dict(zip(rows[by].to_pylist(), values, strict=True))
    return found


def _rows(dataset: Any, ids: Sequence[str], by: str, columns: Sequence[str]) -> pa.Table:  # noqa: ANN401 - pyarrow ships no types
    where = f"{by} IN ({', '.join(map(_literal, ids))})"
    return dataset.to_table(columns=list(dict.fromkeys([*columns, "vector"])), filter=where)


def _current(dataset: Any, ids: Sequence[str], by: str) -> pa.Table:  # noqa: ANN401 - as above
    """The current rows that have one of some ids now, whatever they had before."""
    import pyarrow as pa
    import pyarrow.compute as pc

    where = f"{by} IN ({', '.join(map(_literal, ids))})"
    own = dataset.to_table(columns=["record_id"], filter=where)["record_id"].unique().to_pylist()
    keys = ["record_id", "event_time", "run_id", "content_hash", by]
    rows = _rows(dataset, own, "record_id", keys) if own else dataset.schema.empty_table()
    rows = rows.filter(pa.array(current(rows))) if own else rows
    return rows.filter(pc.is_in(rows[by], value_set=pa.array(ids, pa.string())))
