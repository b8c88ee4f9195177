"""What fewer dimensions would keep of vectors: pure functions over NumPy matrices.

Two ways to have fewer: the first k of each vector, as Matryoshka models are trained for (Kusupati
et al. 2022) and as kinds of nested dimensions allow, and k principal directions, learned on one
half of the rows. Both are measured on the other half, against the whole vectors.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np

from flows.lifecycle import similarity

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    Matrix: TypeAlias = NDArray[np.float64]

How: TypeAlias = Literal["whole", "first", "principal"]

K = 10
"""Neighbours that are compared."""

LEAST = 4 * (K + 1)
"""Rows below which half of them are hardly more than a row's neighbours."""

_SEARCHED, _QUERIES, _REPEATS = 20_000, 64, 5


@dataclass(frozen=True)
class Width:
    """One width of vectors, reached in one way.

    Attributes:
        how: ``whole`` vectors, the ``first`` dimensions, or ``principal`` directions.
        overlap: the mean share of a row's nearest `K` that are those of the whole vectors.
        overlap_error: its standard error.
        accuracy: of a linear probe for the label, on rows it has not seen; None without a label.
        speed: of an exact search, as a multiple of that over whole vectors.
    """

    how: How
    dim: int
    overlap: float
    overlap_error: float
    accuracy: float | None
    speed: float

    @property
    def vector_bytes(self) -> int:
        """What a vector takes as float32."""
        return 4 * self.dim


def widths(
    vectors: Matrix,
    metric: str,
    wanted: Sequence[int],
    rng: np.random.Generator,
    labels: NDArray[Any] | None = None,
) -> Iterator[Width]:
    """Measure whole vectors, then each way to each width; the widest first.

    Principal directions are left out where the half that they are learned on has fewer rows.

    Args:
        vectors: ``(n, d)``, finite, no content twice; `LEAST` rows or more.
        metric: ``cosine``, ``l2`` or ``dot``.
        wanted: the widths, each 1 to d.
        rng: which rows are in which half.
        labels: ``(n,)``, what a probe is to tell; None for no probe.

    Raises:
        ValueError: if there are too few rows, or a width is out of range.
    """
    n, whole = vectors.shape
    if n < LEAST:
        raise ValueError(f"{LEAST} rows or more are needed, got {n}")
    if not all(1 <= k <= whole for k in wanted):
        raise ValueError(f"widths must be 1 to {whole}, got {list(wanted)}")
    learn, measure = _halves(np.zeros(n) if labels is None else labels, rng)
    truth = similarity.neighbours(vectors[measure], metric, K)

    def measured(how: How, reduced: Matrix) -> Width:
        found = similarity.neighbours(reduced[measure], metric, K)
        same = similarity.overlap(truth, found, K)
        accuracy = None if labels is None else probe(reduced, labels, learn, measure)
        error = float(same.std(ddof=1) / np.sqrt(len(same)))
        speed = 1.0 if how == "whole" else base / search_seconds(reduced)
        return Width(how, reduced.shape[1], float(same.mean()), error, accuracy, speed)

    base = search_seconds(vectors)
    yield measured("whole", vectors)
    for k in sorted({k for k in wanted if k < whole}, reverse=True):
        yield measured("first", first(vectors, k, metric))
        if k <= len(learn):
            yield measured("principal", principal(vectors, learn, k, metric))


def _halves(
    labels: NDArray[Any], rng: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows to learn from and rows to measure on: half of each label, the odd one to learn from.

    A probe must have seen every label, however rare.
    """
    order = rng.permutation(len(labels))
    groups = [order[labels[order] == label] for label in np.unique(labels)]
    learn, measure = (np.concatenate([group[part::2] for group in groups]) for part in (0, 1))
    return learn, measure


def first(vectors: Matrix, k: int, metric: str) -> Matrix:
    """The first k dimensions; of norm 1 where the metric is cosine, as the whole ones count."""
    cut = vectors[:, :k]
    return _unit(cut) if metric == "cosine" else cut


def principal(vectors: Matrix, learn: NDArray[np.int64], k: int, metric: str) -> Matrix:
    """The vectors by the k main directions of some of their rows.

    Distances do not mind where the middle lies, angles and products do: only for ``l2`` are the
    vectors centred first.
    """
    rows = _unit(vectors) if metric == "cosine" else vectors
    if metric == "l2":
        rows = rows - rows[learn].mean(axis=0)
    _, _, directions = np.linalg.svd(rows[learn], full_matrices=False)
    reduced: Matrix = rows @ directions[:k].T
    return _unit(reduced) if metric == "cosine" else reduced


def probe(
    vectors: Matrix, labels: NDArray[Any], learn: NDArray[np.int64], measure: NDArray[np.int64]
) -> float:
    """The accuracy of logistic regression learned on some rows, on others."""
    from sklearn.linear_model import LogisticRegression

    size = np.sqrt(np.einsum("ij,ij->i", vectors[learn], vectors[learn]).mean())
    rows = vectors / (size or 1.0)
    model = LogisticRegression(max_iter=1000).fit(rows[learn], labels[learn])
    return float(model.score(rows[measure], labels[measure]))


def search_seconds(vectors: Matrix, clock: Callable[[], float] = time.perf_counter) -> float:
    """How long an exact search among some ten thousand such vectors takes, the best of a few."""
    rows = np.resize(vectors.astype(np.float32), (_SEARCHED, vectors.shape[1]))
    queries = rows[:_QUERIES]
    times = []
    for _ in range(_REPEATS):
        started = clock()
        np.argpartition(queries @ rows.T, -K, axis=1)
        times.append(clock() - started)
    return min(times)


def _unit(rows: Matrix) -> Matrix:
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    unit: Matrix = rows / np.where(norms > 0, norms, 1.0)
    return unit
