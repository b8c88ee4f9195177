"""Groups of vectors: k-means by mini-batches, and HDBSCAN. Pure functions over NumPy matrices.

All rows here are comparable by Euclidean distance (`flows.matrices.comparable`): of norm 1 where
the metric is an angle, and then centres are of norm 1 too (spherical k-means, Dhillon & Modha
2001).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import chain
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np

from flows.matrices import unit

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from numpy.typing import NDArray

    Rows: TypeAlias = NDArray[np.float32]
    Labels: TypeAlias = NDArray[np.int64]

Method: TypeAlias = Literal["kmeans", "hdbscan"]

NOISE = -1

TRIED = (2, 3, 4, 5, 6, 8, 10, 12, 16, 20, 24, 32)
"""The numbers of clusters among which one is chosen."""

_A_CLUSTER = 10
"""Rows that a cluster must have on average, for its number of clusters to be tried."""

_JUDGED, _STARTS, _BATCH = 2_000, 4, 1_024
_DIRECTIONS = 20
"""Dimensions in which HDBSCAN still finds dense places; of more, the principal ones are kept."""

_REACH = 0.95
_NEIGHBOUR_ROWS = 512


@dataclass(frozen=True)
class Model:
    """What rows are assigned to clusters by.

    Attributes:
        spherical: whether centres are directions.
        centres: ``(k, dim)``; NaN where nothing is assigned to a cluster any more.
        middle: ``(dim,)``, taken away before rows are turned; HDBSCAN alone, as all that follows.
        directions: ``(p, dim)``, the principal directions.
        cores: ``(m, p)``, labelled rows of the sample, turned.
        labels: ``(m,)``, their clusters.
        reach: ``(k,)``, how far a row may be from the nearest core of each cluster.
    """

    spherical: bool
    centres: Rows
    middle: Rows | None = None
    directions: Rows | None = None
    cores: Rows | None = None
    labels: Labels | None = None
    reach: NDArray[np.float64] | None = None

    def assign(self, rows: Rows) -> Labels:
        """The cluster of each row, ``(n,)``; -1 of one that belongs to none."""
        if self.cores is None or self.labels is None or self.reach is None:
            return nearest(rows, self.centres)[0]
        if not len(self.cores):
            return np.full(len(rows), NOISE)
        places, far = nearest(self._turned(rows), self.cores)
        labels = self.labels[places]
        return np.where(far <= self.reach[labels] ** 2 * (1 + 1e-6), labels, NOISE)

    def distances(self, rows: Rows, labels: Labels) -> Rows:
        """How far each row is from the centre of its cluster, ``(n,)``; NaN where it has none.

        As `storage.vectors.Vectors.nearest` has it: 1 - cosine, or the squared Euclidean distance.
        """
        far = np.full(len(rows), np.nan, np.float32)
        inside = labels != NOISE
        gaps = rows[inside].astype(np.float64) - self.centres[labels[inside]]
        far[inside] = np.einsum("ij,ij->i", gaps, gaps) / (2 if self.spherical else 1)
        return far

    def arrays(self) -> dict[str, NDArray[Any]]:
        """What has to be kept of it: no row of a record, `with_cores` gives these back."""
        found: dict[str, NDArray[Any]] = {"centres": self.centres}
        for name in ("middle", "directions", "reach"):
            if (value := getattr(self, name)) is not None:
                found[name] = value
        return found

    def with_cores(self, rows: Rows, labels: Labels) -> Model:
        """The model with the labelled rows of its sample, ``(m, dim)``."""
        if self.directions is None:
            return self
        known = labels != NOISE
        return replace(self, cores=self._turned(rows[known]), labels=labels[known])

    def _turned(self, rows: Rows) -> Rows:
        if self.middle is None or self.directions is None:
            return rows
        return np.asarray((rows - self.middle) @ self.directions.T, np.float32)


def of_arrays(arrays: Mapping[str, NDArray[Any]], *, spherical: bool) -> Model:
    """The model that `Model.arrays` gave, without cores."""
    return Model(spherical, **arrays)


def nearest(rows: Rows, centres: Rows) -> tuple[Labels, NDArray[np.float64]]:
    """The nearest centre of each row ``(n,)``, and the squared distance; NaN centres are no one's.

    Of centres equally near the first.
    """
    there = np.flatnonzero(np.isfinite(centres).all(axis=1))
    if not len(there):
        return np.full(len(rows), NOISE), np.full(len(rows), np.inf)
    chosen = centres[there].astype(np.float64)
    squares = np.einsum("ij,ij->i", chosen, chosen)
    places, far = np.empty(len(rows), np.int64), np.empty(len(rows))
    for start in range(0, len(rows), _NEIGHBOUR_ROWS):
        block = rows[start : start + _NEIGHBOUR_ROWS].astype(np.float64)
        gaps = squares - 2 * (block @ chosen.T)
        best = gaps.argmin(axis=1)
        stop = start + len(block)
        places[start:stop] = there[best]
        own = np.einsum("ij,ij->i", block, block)
        far[start:stop] = np.maximum(gaps[np.arange(len(block)), best] + own, 0)
    return places, far


def choose_k(sample: Rows, rng: np.random.Generator) -> tuple[int, dict[int, float]]:
    """The number of clusters with the highest mean silhouette on a sample, and each that was tried.

    Rousseeuw 1987. k-means from a few starts on at most 2,000 rows, for each of `TRIED` that gives
    a cluster 10 rows on average; of equal ones the smallest.
    """
    from sklearn.cluster import KMeans
    from sklearn.metrics import silhouette_score

    rows = sample[np.sort(rng.permutation(len(sample))[:_JUDGED])]
    different = len(np.unique(rows, axis=0))
    tried: dict[int, float] = {}
    for k in TRIED:
        if k * _A_CLUSTER > len(rows) or k > different - 1:
            break
        found = KMeans(k, n_init=_STARTS, random_state=_state(rng)).fit_predict(rows)
        if len(np.unique(found)) > 1:
            tried[k] = float(silhouette_score(rows, found))
    if not tried:
        return 1, {}
    return max(tried, key=lambda k: (round(tried[k], 6), -k)), tried


def kmeans(
    sample: Rows, blocks: Iterable[Rows], k: int, rng: np.random.Generator, *, spherical: bool
) -> Model:
    """k-means by mini-batches (Sculley 2010): begun on an even sample, then moved by all rows once.

    The sample goes first so that the order in which rows are stored, often by what they are, does
    not decide where clusters lie.

    Args:
        sample: ``(n, dim)``, drawn evenly from all rows; n at least k.
        blocks: all rows, some at a time.
        k: how many clusters.
        rng: all chance comes from here.
        spherical: whether rows are directions.
    """
    from sklearn.cluster import KMeans, MiniBatchKMeans

    begun = KMeans(k, n_init=_STARTS, random_state=_state(rng)).fit(sample)
    model = MiniBatchKMeans(
        k, init=begun.cluster_centers_, n_init=1, random_state=_state(rng), reassignment_ratio=0.0
    )
    for block in chain([sample], blocks):
        for rows in _batches(block[rng.permutation(len(block))], k):
            model.partial_fit(rows)
    centres = model.cluster_centers_.astype(np.float32)
    return Model(spherical, unit(centres) if spherical else centres)


def _batches(rows: Rows, k: int) -> Iterable[Rows]:
    """Rows a batch at a time; a rest that is smaller than k goes with the batch before."""
    starts = list(range(0, len(rows), _BATCH)) or [0]
    if len(starts) > 1 and len(rows) - starts[-1] < k:
        starts.pop()
    for start, stop in zip(starts, [*starts[1:], len(rows)], strict=True):
        if stop > start:
            yield rows[start:stop]


def hdbscan(sample: Rows, least: int, *, spherical: bool) -> tuple[Labels, Model]:
    """Clusters of any shape and size, and noise: HDBSCAN (Campello, Moulavi & Sander 2013).

    Of rows that were not in the sample each goes with the nearest labelled one, where that is no
    farther than 95 % of the cluster's rows are from their own nearest.

    Args:
        sample: ``(n, dim)``; of more than 20 dimensions the 20 principal ones are taken.
        least: rows that make a cluster.
        spherical: whether rows are directions.

    Returns:
        ``(n,)`` the cluster of each row, the largest 0, noise -1; and the model.
    """
    from sklearn.cluster import HDBSCAN

    middle = sample.mean(axis=0, dtype=np.float64).astype(np.float32)
    directions = np.eye(sample.shape[1], dtype=np.float32)
    if sample.shape[1] > _DIRECTIONS:
        _, axes = np.linalg.eigh(np.cov(sample, rowvar=False))
        directions = np.ascontiguousarray(axes[:, ::-1][:, :_DIRECTIONS].T.astype(np.float32))
    turned = (sample - middle) @ directions.T
    found = HDBSCAN(min_cluster_size=least, copy=True).fit_predict(turned.astype(np.float64))
    labels = _by_size(np.where(found < 0, NOISE, found))
    k = int(labels.max(initial=NOISE)) + 1
    centres = [sample[labels == c].mean(axis=0, dtype=np.float64) for c in range(k)]
    matrix = np.asarray(centres, np.float32).reshape(k, sample.shape[1])
    reach = np.array([_reach(turned[labels == c]) for c in range(k)])
    bare = Model(spherical, unit(matrix) if spherical else matrix, middle, directions, reach=reach)
    return labels, bare.with_cores(sample, labels)


def _by_size(labels: Labels) -> Labels:
    """Clusters numbered anew, the largest first; noise stays."""
    numbers, sizes = np.unique(labels[labels != NOISE], return_counts=True)
    order = numbers[np.argsort(-sizes, kind="stable")]
    again = {int(old): new for new, old in enumerate(order)}
    return np.array([again.get(int(label), NOISE) for label in labels], np.int64)


def _reach(rows: Rows) -> float:
    """How far 95 % of rows are from the nearest other one at most."""
    from sklearn.neighbors import NearestNeighbors

    far, _ = NearestNeighbors(n_neighbors=2).fit(rows).kneighbors(rows)
    return float(np.quantile(far[:, 1], _REACH))


def _state(rng: np.random.Generator) -> int:
    return int(rng.integers(2**31))
