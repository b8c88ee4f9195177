"""Random Fourier features and the two-sample statistic that lives in them.

The Gaussian kernel ``exp(-|x - y|^2 / 2 s^2)`` is the mean over frequencies ``w ~ N(0, 1/s^2)`` of
``cos(w.(x - y))``, so with the complex features ``exp(i w.x)`` a sample's mean embedding is one
short vector (Rahimi & Recht 2007, "Random features for large-scale kernel machines"). Complex
features rather than cosines with random phases: their variance is lower (Sutherland & Schneider
2015), ``k(x, x)`` is exactly 1, and moving a sample by ``d`` turns its mean by ``exp(i w.d)``,
which needs no second look at the rows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from flows.monitors._rows import blocks

if TYPE_CHECKING:
    from numpy.typing import NDArray

BANDWIDTH_ROWS = 500
SPLITS_AT_A_TIME = 128


def median_distance(pool: NDArray[np.float64], rng: np.random.Generator) -> float:
    """The bandwidth: the median distance within the ``(n, dim)`` pool, over at most 500 rows.

    The rows are drawn from the pool without regard to which sample they belong to, so that a
    permutation test that uses this bandwidth stays exact (Gretton et al. 2012, section 8). Where
    most distances are zero, that of the distinct pairs counts; where all are, 1.
    """
    from scipy.spatial.distance import pdist

    rows = rng.choice(len(pool), size=min(len(pool), BANDWIDTH_ROWS), replace=False)
    distances = pdist(pool[rows])
    middle = float(np.median(distances)) if len(distances) else 0.0
    if middle > 0:
        return middle
    apart = distances[distances > 0]
    return float(np.median(apart)) if len(apart) else 1.0


def frequencies(
    dim: int, features: int, bandwidth: float, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Half as many frequencies as features, ``(dim, features // 2)``, of the Gaussian kernel."""
    return rng.standard_normal((dim, features // 2)) / bandwidth


def transform(
    rows: NDArray[np.float64], frequencies: NDArray[np.float64]
) -> NDArray[np.complex128]:
    """The features ``exp(i w.x) / sqrt(count)``, ``(n, count)``; every row has norm 1."""
    count = frequencies.shape[1]
    features = np.empty((len(rows), count), dtype=np.complex128)
    for block in blocks(len(rows)):
        angles = rows[block] @ frequencies
        features[block] = np.exp(1j * angles) / np.sqrt(count)
    return features


def split_sums(
    features: NDArray[np.complex128], n: int, splits: int, rng: np.random.Generator
) -> NDArray[np.complex128]:
    """Sums of the features of n rows: the first n, then n drawn at random, again and again.

    Args:
        features: ``(n + m, count)``, the reference's n rows first.
        n: rows of the reference.
        splits: how many random splits.
        rng: all chance.

    Returns:
        ``(1 + splits, count)``; row 0 is the true split.
    """
    # real and imaginary parts side by side: a real matrix product costs half a complex one
    flat = features.view(np.float64)
    sums = np.empty((1 + splits, flat.shape[1]), dtype=np.float64)
    sums[0] = flat[:n].sum(axis=0)
    chosen = np.zeros(len(flat), dtype=np.float64)
    chosen[:n] = 1.0
    for block in blocks(splits, SPLITS_AT_A_TIME):
        count = block.stop - block.start
        members = rng.permuted(np.broadcast_to(chosen, (count, len(flat))), axis=1)
        sums[1 + block.start : 1 + block.stop] = members @ flat
    return sums.view(np.complex128)


def mmd2(
    reference: NDArray[np.complex128], current: NDArray[np.complex128], n: int, m: int
) -> NDArray[np.float64]:
    """The unbiased estimate of the squared maximum mean discrepancy, split by split.

    Unbiased, because the biased one is lower for a current sample that is narrower than the
    reference when the sizes differ, and so blind to it (Gretton et al. 2012, lemma 6).

    Args:
        reference: ``(splits, count)`` sums over n rows.
        current: ``(splits, count)`` sums over m rows.
        n: rows behind each sum, at least 2.
        m: rows behind each sum, at least 2.
    """
    within_reference = (_inner(reference, reference) - n) / (n * (n - 1))
    within_current = (_inner(current, current) - m) / (m * (m - 1))
    return within_reference + within_current - 2 * _inner(reference, current) / (n * m)


def _inner(a: NDArray[np.complex128], b: NDArray[np.complex128]) -> NDArray[np.float64]:
    products: NDArray[np.float64] = np.einsum("sc,sc->s", a, b.conj()).real
    return products
