"""The vectors of some records, by their ids."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

import numpy as np

from storage.damage import reading
from storage.vectors import _literal

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from storage.vectors import Vectors

_IDS = 1_000


def vectors_of(
    vectors: Vectors, state: tuple[str, int], ids: Iterable[str], by: str = "record_id"
) -> dict[str, NDArray[np.float32]]:
    """The vectors ``(dim,)`` of those of some records that a table has.

    Args:
        vectors: the tables.
        state: a table that keeps no history, and the Lance version of it to read.
        ids: the records.
        by: the column that these are ids of.
    """
    table, lance_version = state
    dataset = vectors.dataset(table, lance_version)
    found: dict[str, NDArray[np.float32]] = {}
    left = iter(ids)
    while some := list(islice(left, _IDS)):
        where = f"{by} IN ({', '.join(map(_literal, some))})"
        with reading(table):
            rows = dataset.to_table(columns=[by, "vector"], filter=where)
        column = rows["vector"].combine_chunks()
        flat = column.flatten().to_numpy(zero_copy_only=False)
        values = np.asarray(flat, np.float32).reshape(len(rows), column.type.list_size)
        found |= dict(zip(rows[by].to_pylist(), values, strict=True))
    return found
