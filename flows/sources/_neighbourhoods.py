"""What is around a node, as an encoder is given it, and a hash that changes exactly when that does.

The hash is that of Weisfeiler and Lehman 1968 ("A reduction of a graph to a canonical form"): a
node's own hash first, then that with those of its neighbours, again and again. After k rounds it
has taken in all that is within k edges, and nothing beyond.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from storage.ids import DIGEST_BYTES

if TYPE_CHECKING:
    from collections.abc import Sequence

    import polars as pl
    from numpy.typing import NDArray

    from flows.sources._adjacency import Adjacency

_BLOCK = 65_536
"""Nodes that are hashed at a time, so that not the whole graph lies in memory once more."""
_ROOTS = 1024
"""Nodes whose neighbourhoods are gathered at a time."""


def hashes(own: Sequence[str], graph: Adjacency, hops: int) -> list[str]:
    """A hash of each node and of all within so many edges, 32 hex characters.

    Args:
        own: the hash of each node's id and features.
        graph: its neighbours.
        hops: how far to look, 1 or more.
    """
    degrees = graph.degrees.astype("<f8")
    digests = [
        blake2b(bytes.fromhex(text) + degree.tobytes(), digest_size=DIGEST_BYTES).digest()
        for text, degree in zip(own, degrees, strict=True)
    ]
    for _ in range(hops):
        digests = _round(digests, graph)
    return [digest.hex() for digest in digests]


def _round(digests: list[bytes], graph: Adjacency) -> list[bytes]:
    table = np.frombuffer(b"".join(digests), np.uint8).reshape(-1, DIGEST_BYTES)
    width = DIGEST_BYTES + 8
    found: list[bytes] = []
    for at in range(0, len(graph), _BLOCK):
        begins = graph.begins[at : at + _BLOCK + 1]
        span = slice(begins[0], begins[-1])
        weights = graph.weights[span].astype("<f8").view(np.uint8).reshape(-1, 8)
        around = np.hstack([table[graph.others[span]], weights]).tobytes()
        bounds = ((begins - begins[0]) * width).tolist()
        for own, start, end in zip(digests[at : at + _BLOCK], bounds, bounds[1:], strict=False):
            found.append(blake2b(own + around[start:end], digest_size=DIGEST_BYTES).digest())
    return found


class Around(NamedTuple):
    """The neighbourhoods of some nodes, one after another.

    A node within ``hops`` is in it once, the nearer ones first; an edge is in it where it begins
    at a node nearer than that. So all neighbours of such a node are there.
    """

    sizes: NDArray[np.int64]
    """Nodes in each."""
    nodes: NDArray[np.int64]
    counts: NDArray[np.int64]
    """Edges in each."""
    starts: NDArray[np.int64]
    """Of each edge the place of its nodes in the neighbourhood."""
    ends: NDArray[np.int64]
    entries: NDArray[np.int64]
    """Where each edge stands in the graph."""


def around(roots: NDArray[np.int64], graph: Adjacency, hops: int) -> Around:
    """The neighbourhoods of some nodes, each with itself first."""
    n = max(len(graph), 1)
    frontier: NDArray[np.int64] = np.arange(len(roots), dtype=np.int64) * n + roots
    keys, levels = frontier, np.zeros(len(roots), np.int64)
    begun: list[NDArray[np.int64]] = []
    led: list[NDArray[np.int64]] = []
    places: list[NDArray[np.int64]] = []
    for level in range(1, hops + 1):
        entries, owners = graph.entries(frontier % n)
        start = frontier[owners]
        end = start // n * n + graph.others[entries]
        begun.append(start)
        led.append(end)
        places.append(entries)
        frontier = np.setdiff1d(end, keys).astype(np.int64, copy=False)
        keys = np.r_[keys, frontier]
        levels = np.r_[levels, np.full(len(frontier), level)]
    order = np.lexsort((keys, levels, keys // n))
    keys = keys[order]
    owner = keys // n
    sizes = np.bincount(owner, minlength=len(roots))
    place = np.arange(len(keys)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    by_key = np.argsort(keys)
    start, end, entries = np.concatenate(begun), np.concatenate(led), np.concatenate(places)
    starts, ends = (place[by_key[np.searchsorted(keys[by_key], key)]] for key in (start, end))
    edges = np.lexsort((ends, starts, start // n))
    return Around(
        sizes,
        keys % n,
        np.bincount(start // n, minlength=len(roots)),
        starts[edges],
        ends[edges],
        entries[edges],
    )


def contents(
    roots: NDArray[np.int64], graph: Adjacency, hops: int, ids: pl.Series, features: pl.DataFrame
) -> pl.Series:
    """The content cells of some nodes: a Struct a node, the fields of `encoders._graphs`.

    Args:
        roots: the nodes.
        graph: all edges.
        hops: how far to look.
        ids: of all nodes.
        features: of all nodes; no column where they have none.
    """
    import polars as pl

    parts = [
        _cells(roots[at : at + _ROOTS], graph, hops, ids, features)
        for at in range(0, max(len(roots), 1), _ROOTS)
    ]
    return pl.concat(parts)


def _cells(
    roots: NDArray[np.int64], graph: Adjacency, hops: int, ids: pl.Series, features: pl.DataFrame
) -> pl.Series:
    import polars as pl

    found = around(roots, graph, hops)
    columns = {
        "node": ids[roots],
        "hops": pl.Series([hops] * len(roots), dtype=pl.UInt8),
        "ids": _lists(ids[found.nodes], found.sizes),
        "degrees": _lists(pl.Series(graph.degrees[found.nodes]), found.sizes),
        "starts": _lists(pl.Series(found.starts.astype(np.uint32)), found.counts),
        "ends": _lists(pl.Series(found.ends.astype(np.uint32)), found.counts),
        "weights": _lists(pl.Series(graph.weights[found.entries]), found.counts),
    }
    if features.width:
        cells = features[found.nodes].to_struct("features")
        columns["features"] = _lists(cells, found.sizes)
    return pl.DataFrame(columns).to_struct("content")


def _lists(values: pl.Series, sizes: NDArray[np.int64]) -> pl.Series:
    """One list after another, of these sizes."""
    import polars as pl
    import pyarrow as pa

    offsets = pa.array(np.r_[0, np.cumsum(sizes)], pa.int64())
    lists = pa.LargeListArray.from_arrays(offsets, values.rechunk().to_arrow())
    series = pl.Series(lists)
    return series.cast(pl.List(values.dtype))
