"""Nearest rows by direction, found exactly, block against block."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from flows.matrices import unit
from flows.monitors._rows import blocks, norms

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from flows.monitors.base import Sample

_BLOCK = 512
# of squared distances: float32 vectors hold them no better, and equal rows must come out as equal
_DIGITS = 12


def directions(
    sample: Sample, rows: NDArray[np.intp]
) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """Some rows of a sample at norm 1, ``(n, dim)``, and where they stand; rows of zeros left out.

    The distance of two such rows ranks as their cosine does.
    """
    rows = rows[norms(sample.vectors[rows]) > 0]
    return unit(sample.vectors[rows].astype(np.float64)), rows


def nearest(
    rows: NDArray[np.float64], pool: NDArray[np.float64], k: int, *, own: bool = False
) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """The k nearest rows of a pool, nearest first; the first of the pool where several tie.

    Args:
        rows: ``(n, dim)``, norm 1.
        pool: ``(p, dim)``, norm 1.
        k: how many; where the pool has fewer, the rest is infinitely far.
        own: whether the rows are those of the pool, in order, and none is its own neighbour.

    Returns:
        ``(n, k)`` squared distances, from 0 to 4, and ``(n, k)`` places in the pool.
    """
    far = np.full((len(rows), k), np.inf)
    places = np.zeros((len(rows), k), dtype=np.intp)
    some = min(k, len(pool))
    if not some:
        return far, places
    for block in blocks(len(rows), _BLOCK):
        apart = distances(rows[block], pool)
        if own:
            at = np.arange(block.start, block.stop)
            apart[at - block.start, at] = np.inf
        chosen = np.argpartition(apart, some - 1, axis=1)[:, :some]
        # of ties at the border any may have been taken, which changes no distance
        order = np.lexsort((chosen, np.take_along_axis(apart, chosen, axis=1)), axis=1)
        places[block, :some] = np.take_along_axis(chosen, order, axis=1)
        far[block, :some] = np.take_along_axis(apart, places[block, :some], axis=1)
    return far, places


def distances(rows: NDArray[np.float64], pool: NDArray[np.float64]) -> NDArray[np.float64]:
    """Squared distances of rows of norm 1, ``(n, p)``."""
    return np.maximum(np.round(2 - 2 * (rows @ pool.T), _DIGITS), 0.0)
