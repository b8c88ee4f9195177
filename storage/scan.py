"""Nearest rows of a table whose vectors are codes, exactly.

LanceDB searches no column of int8 by a vector of float32, and one of bits by Hamming distance
alone; that of signs is their cosine, product and squared distance but for a factor.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from storage.codes import BYTE
from storage.damage import reading
from storage.within import chosen_rows, rows_at

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pyarrow as pa
    from numpy.typing import NDArray

    from storage.codes import Codes
    from storage.decoded import Decoded

    Floats = NDArray[np.float64]

_ROWS = 8192


def nearest(
    dataset: Decoded,
    table: str,
    query: NDArray[Any],
    k: int,
    metric: str,
    *,
    history: bool = False,
    where: str | None = None,
) -> pa.Table:
    """The k rows nearest to a vector, as `storage.vectors.Vectors.nearest` gives them.

    Of rows equally near the one that stands first comes first.

    Args:
        dataset: the table.
        table: its name.
        query: ``(dim,)``.
        k: how many rows.
        metric: ``cosine``, ``l2`` or ``dot``.
        history: whether it keeps a history; only current rows are found then.
        where: a condition on rows.
    """
    with reading(table):
        wanted = chosen_rows(dataset, history=history, where=where)
    places, distances = np.empty(0, np.int64), np.empty(0)
    at = 0
    for held in _streamed(dataset, table):
        found = _distances(held, dataset.codes, query, metric)
        there = np.arange(at, at + len(held))
        if wanted is not None:
            kept = wanted[at : at + len(held)]
            there, found = there[kept], found[kept]
        at += len(held)
        places, distances = np.append(places, there), np.append(distances, found)
        best = np.argsort(distances, kind="stable")[:k]
        places, distances = places[best], distances[best]
    return rows_at(dataset, table, places, distances)


def _streamed(dataset: Decoded, table: str) -> Iterator[NDArray[Any]]:
    """The codes as they are held, ``(n, width)``."""
    more = {"columns": ["vector"], "batch_size": _ROWS, "scan_in_order": True}
    with reading(table):
        for batch in dataset.held.to_batches(**more):
            column = batch.column("vector")
            flat = column.flatten().to_numpy(zero_copy_only=False)
            yield flat.reshape(-1, column.type.list_size)


def _distances(held: NDArray[Any], codes: Codes, query: NDArray[Any], metric: str) -> Floats:
    """The distances of rows of codes from a vector, ``(n,)``, as LanceDB defines them."""
    if codes.bits != BYTE:
        return _of_signs(held, codes, query, metric)
    wanted = np.asarray(query, np.float64)
    # By the codes themselves in float32: twice as fast as by values in float64.
    origin = codes.zero + wanted / codes.scale if metric == "l2" else codes.zero
    rows = held.astype(np.float32)
    rows -= origin.astype(np.float32)
    rows *= codes.scale.astype(np.float32)
    if metric == "l2":
        return _squares(rows)
    products: Floats = (rows @ wanted.astype(np.float32)).astype(np.float64)
    if metric == "dot":
        return 1 - products
    norms = np.sqrt(_squares(rows)) * float(np.linalg.norm(wanted))
    return 1 - products / np.where(norms > 0, norms, 1.0)


def _squares(rows: NDArray[np.float32]) -> Floats:
    found: Floats = np.einsum("ij,ij->i", rows, rows).astype(np.float64)
    return found


def _of_signs(held: NDArray[Any], codes: Codes, query: NDArray[Any], metric: str) -> Floats:
    """As `_distances`, by the number of signs that differ."""
    asked = codes.packed(np.asarray(query, np.float32)[None])
    differ: Floats = np.bitwise_count(held ^ asked).sum(axis=1).astype(np.float64)
    if metric == "l2":
        return 4 * differ
    if metric == "dot":
        return 1 - (codes.dim - 2 * differ)
    return 2 * differ / codes.dim
