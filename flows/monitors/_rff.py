"""Random Fourier features and the two-sample statistic that lives in them.

The Gaussian kernel ``exp(-|x - y|^2 / 2 s^2)`` is the mean over frequencies ``w ~ N(0, 1/s^2)`` of
``cos(w.(x - y))``, so with the complex features ``exp(i w.x)`` a sample's mean embedding is one
short vector (Rahimi & Recht 2007, "Random features for large-scale kernel machines"). Complex
features rather than cosines with random phases: their variance is lower (Sutherland & Schneider
2015), ``k(x, x)`` is exactly 1, and moving a sample by ``d`` turns its mean by ``exp(i w.d)``,
which needs no second look at the rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from flows.monitors._rows import blocks

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

BANDWIDTH_ROWS = 500


def fit(
    pool: NDArray[np.float64], sizes: tuple[int, int], features: int, rng: np.random.Generator
) -> tuple[Mmd, float]:
    """The statistic of a ``(n + m, dim)`` pool, and its bandwidth."""
    bandwidth = median_distance(pool, rng)
    drawn = frequencies(pool.shape[1], features, bandwidth, rng)
    return Mmd(transform(pool, drawn), drawn, sizes), bandwidth


def check_features(features: int) -> None:
    """See that there can be so many.

    Raises:
        ValueError: if not.
    """
    if features < 2 or features % 2:  # noqa: PLR2004 - a sine and a cosine
        raise ValueError(f"features must be even and at least 2, got {features}; try 1024")


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
    """Half as many frequencies as features, ``(dim, features // 2)``, of the Gaussian kernel.

    Each is normally distributed by itself, but up to ``dim`` of them at a time are orthogonal: the
    kernel that they give is nearer to the exact one than that of independent ones (Yu et al. 2016,
    "Orthogonal random features").
    """
    count = features // 2
    sizes = [min(dim, count - start) for start in range(0, count, dim)]
    directions = [np.linalg.qr(rng.standard_normal((dim, size)))[0] for size in sizes]
    lengths = np.sqrt(rng.chisquare(dim, count))
    return np.concatenate(directions, axis=1) * (lengths / bandwidth)


def transform(
    rows: NDArray[np.float64], frequencies: NDArray[np.float64]
) -> NDArray[np.complex128]:
    """The features ``exp(i w.x) / sqrt(count)``, ``(n, count)``; every row has norm 1."""
    count = frequencies.shape[1]
    features = np.empty((len(rows), count), dtype=np.complex128)
    for block in blocks(len(rows)):
        angles = rows[block] @ frequencies
        # half the time of the exponential of a complex number
        np.cos(angles, out=features.real[block])
        np.sin(angles, out=features.imag[block])
    features /= np.sqrt(count)
    return features


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


@dataclass(frozen=True)
class Mmd:
    """The statistic of a permutation test, see `flows.monitors._splits.Statistic`.

    Attributes:
        features: ``(rows, count)`` of the pool, or of bunches of its rows.
        frequencies: ``(dim, count)`` behind them.
        sizes: rows of either side.
    """

    features: NDArray[np.complex128]
    frequencies: NDArray[np.float64]
    sizes: tuple[int, int]

    def __call__(self, members: NDArray[np.float64]) -> NDArray[np.float64]:
        """MMD², split by split."""
        return mmd2(*self.sums(members), *self.sizes)

    def sums(
        self, members: NDArray[np.float64]
    ) -> tuple[NDArray[np.complex128], NDArray[np.complex128]]:
        """The features summed over both sides of each split, ``(splits, count)`` each."""
        # real and imaginary parts side by side: a real matrix product costs half a complex one
        ours = (members @ self.features.view(np.float64)).view(np.complex128)
        return ours, self._total - ours

    @cached_property
    def _total(self) -> NDArray[np.complex128]:
        total: NDArray[np.complex128] = self.features.sum(axis=0)
        return total

    def bunched(self, bunches: NDArray[np.intp], sizes: tuple[int, int]) -> Mmd:
        """The same of bunches of rows."""
        return Mmd(self.features[bunches].sum(axis=1), self.frequencies, sizes)

    def planted(
        self, members: NDArray[np.float64]
    ) -> Callable[[NDArray[np.float64]], NDArray[np.float64]]:
        """MMD² with the second side moved: a shift turns the features, which costs little."""
        ours, theirs = self.sums(members)

        def moved(shift: NDArray[np.float64]) -> NDArray[np.float64]:
            return mmd2(ours, theirs * np.exp(1j * (shift @ self.frequencies)), *self.sizes)

        return moved

    def witness(self) -> NDArray[np.float64]:
        """How much more each row looks like the second side than like the first, ``(rows,)``."""
        n, m = self.sizes
        ours = self.features[:n].sum(axis=0)
        away: NDArray[np.float64] = (
            self.features @ ((self._total - ours) / m - ours / n).conj()
        ).real
        return away


def _inner(a: NDArray[np.complex128], b: NDArray[np.complex128]) -> NDArray[np.float64]:
    products: NDArray[np.float64] = np.einsum("sc,sc->s", a, b.conj()).real
    return products
