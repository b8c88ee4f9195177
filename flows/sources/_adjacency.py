"""The edges of a graph in memory: of each node its neighbours, one row after another.

Rows of a compressed sparse matrix, 12 bytes an entry: an undirected edge has two. Nodes are
numbered in the order of their ids, so that neither the order of the files nor that of their rows
shows.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

_ODD = np.uint64(0x9E3779B97F4A7C15)
_MIX = (np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB))


@dataclass(frozen=True)
class Adjacency:
    """The neighbours of n nodes.

    Attributes:
        begins: ``(n + 1,)`` int64: those of node i are ``others[begins[i]:begins[i + 1]]``.
        others: int32, in the order of their numbers; no node is its own neighbour.
        weights: float64, of the edge to each.
        degrees: ``(n,)`` float64: the sum of the weights of all edges, also of those cut.
        loops: how many edges led from a node to itself, and were left out.
        repeated: how many edges said again what another said.
        cut: how many nodes had more neighbours than the fanout.
    """

    begins: NDArray[np.int64]
    others: NDArray[np.int32]
    weights: NDArray[np.float64]
    degrees: NDArray[np.float64]
    loops: int = 0
    repeated: int = 0
    cut: int = 0

    def __len__(self) -> int:
        """The number of nodes."""
        return len(self.degrees)

    def entries(self, nodes: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Where the neighbours of some nodes stand, and for each of them the place in ``nodes``."""
        counts = self.begins[nodes + 1] - self.begins[nodes]
        owners = np.repeat(np.arange(len(nodes)), counts)
        inner = np.arange(len(owners)) - np.repeat(np.cumsum(counts) - counts, counts)
        return self.begins[nodes][owners] + inner, owners


@dataclass(frozen=True)
class Ends:
    """Edges as they were read.

    Attributes:
        start, end: numbers of nodes, int64.
        weight: float64, above 0; None where all weigh alike.
    """

    start: NDArray[np.int64]
    end: NDArray[np.int64]
    weight: NDArray[np.float64] | None = None


def adjacency(ids: Sequence[str], ends: Ends, *, directed: bool, fanout: int) -> Adjacency:
    """Put edges in rows.

    An edge that stands more than once counts once, and with weights by their sum. A node is no
    neighbour of its own. Of a node with more than ``fanout`` neighbours (0: any number) those are
    kept whose hash with it is lowest, and their weights are raised to the same sum.
    """
    n = len(ids)
    start, end = ends.start, ends.end
    weight = np.ones(len(start)) if ends.weight is None else ends.weight
    plain = start != end
    start, end, weight = start[plain], end[plain], weight[plain]
    if not directed:
        start, end, weight = np.r_[start, end], np.r_[end, start], np.r_[weight, weight]
    pair = start * n + end
    # also by weight, since a sum in another order would be another number
    order = np.lexsort((weight, pair))
    pairs, inverse = np.unique(pair[order], return_inverse=True)
    summed = np.bincount(inverse, weight[order], len(pairs)).astype(np.float64)
    if ends.weight is None:
        summed = np.ones(len(pairs))
    rows, others = pairs // max(n, 1), pairs % max(n, 1)
    degrees = np.bincount(rows, summed, n).astype(np.float64)
    repeated = (len(pair) - len(pairs)) // (1 if directed else 2)
    loops = int((~plain).sum())
    counts = np.bincount(rows, minlength=n)
    cut = int((counts > fanout).sum()) if fanout else 0
    if cut:
        kept = _lowest(_numbers(ids), rows, others, fanout)
        rows, others, summed = rows[kept], others[kept], summed[kept]
        share = degrees / np.maximum(np.bincount(rows, summed, n), np.finfo(float).tiny)
        wide = counts[rows] > fanout  # so that others keep the very number that they had
        summed = np.where(wide, summed * share[rows], summed)
    begins = np.r_[0, np.cumsum(np.bincount(rows, minlength=n))].astype(np.int64)
    return Adjacency(begins, others.astype(np.int32), summed, degrees, loops, repeated, cut)


def _numbers(ids: Sequence[str]) -> NDArray[np.uint64]:
    """A hash of each id, 64 bits."""
    joined = b"".join(blake2b(i.encode("utf-8", "surrogatepass"), digest_size=8).digest()
                      for i in ids)  # fmt: skip
    return np.frombuffer(joined, "<u8").astype(np.uint64)


def _lowest(
    numbers: NDArray[np.uint64], rows: NDArray[np.int64], others: NDArray[np.int64], most: int
) -> NDArray[np.bool_]:
    """Which entries are among the ``most`` of their row with the lowest hash."""
    mixed = numbers[rows] * _ODD + numbers[others]
    for shift, factor in zip((30, 27), _MIX, strict=True):  # splitmix64, Steele et al. 2014
        mixed = (mixed ^ (mixed >> np.uint64(shift))) * factor
    mixed ^= mixed >> np.uint64(31)
    order = np.lexsort((mixed, rows))
    first = np.searchsorted(rows, rows)
    rank = np.empty(len(rows), np.int64)
    rank[order] = np.arange(len(rows)) - first[order]
    return rank < most
