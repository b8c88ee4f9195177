"""Two-sample tests on sketches: the statistics of the row-wise ones, with p-values from formulas.

The squared distance of two mean embeddings, or of two means, is a quadratic form in what is nearly
normal where both samples are large, so where nothing changed it is a sum of weighted squares of
normals (Gretton et al. 2009, "A fast, consistent kernel two-sample test"); the weights are the
eigenvalues of the covariance within the samples, and `flows.monitors._tails` has its tail. Counts
are held against each other by chi squared (Pearson 1900), and by the limit law of Kolmogorov &
Smirnov, whose p-value is too large, if anything, where a distribution is only known at the borders
of bins.

These are limits. Below `LEAST` contents on either side they are not relied on: there a draw from
the larger side loses next to nothing, and the permutation test of it is exact.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from flows.monitors import _gaussians, _tails

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from flows.monitors._sketch import Sketch

    Values = NDArray[np.float64]
    Planted = Callable[[float, Values], tuple[float, float]]

LEAST = 200
"""Contents on either side from which a formula takes the place of permutations."""

POWER = 0.8
_QUANTILE = 0.8416212335729143
_SHIFTS = np.geomspace(1e-4, 10.0, 256)
_DIRECTIONS = 3
_EXPECTED = 5.0
_MOST_EXCESS = 3.0
_ROUNDING = 1e-12


@dataclass(frozen=True)
class Distance:
    """An unbiased squared distance of two samples, and how it varies where nothing changed.

    Attributes:
        statistic: below 0 about as often as above where nothing changed.
        weights: of the squares whose sum, less its mean, it is then; ``(k,)``.
        planted: the mean and the variance of the statistic if the second sample were moved by a
            length along a direction ``(dim,)``.
        directions: ``(at most 3, dim)``, along which the samples spread most.
        spread: the first sample's total standard deviation.
    """

    statistic: float
    weights: Values
    planted: Planted
    directions: Values
    spread: float

    @property
    def p_value(self) -> float:
        """How likely a statistic as large is where nothing changed."""
        total = float(self.weights.sum())
        if total <= _ROUNDING:  # no spread: what there is of it is rounding
            return 1.0 if self.statistic <= _ROUNDING else _tails.LEAST_P
        return _tails.weighted_chi2(self.statistic + total, self.weights)

    @property
    def effect(self) -> float:
        """The distance, 0 where the estimate of its square is below."""
        return math.sqrt(max(self.statistic, 0.0))

    def threshold(self, alpha: float) -> float:
        """The largest statistic that is no alarm."""
        return _tails.quantile(alpha, self.weights) - float(self.weights.sum())

    def smallest_visible(self, alpha: float) -> float | None:
        """The smallest shift of the mean that is flagged in 8 of 10 runs, in units of ``spread``.

        As in `flows.monitors._power`, along the directions in which the samples spread most. None
        where there is no spread, or not even ten times it would be seen.
        """
        if self.spread <= 0:
            return None
        threshold = self.threshold(alpha)

        def power(shift: float) -> float:
            seen = []
            for direction in self.directions:
                mean, variance = self.planted(shift * self.spread, direction)
                seen.append(_tails.normal((threshold - mean) / math.sqrt(variance)))
            return float(np.mean(seen))

        low, high = -1, len(_SHIFTS) - 1
        if not len(self.weights) or power(_SHIFTS[high]) < POWER:
            return None
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if power(_SHIFTS[middle]) >= POWER else (middle, high)
        return float(_SHIFTS[high])


def mmd(reference: Sketch, current: Sketch) -> Distance:
    """The squared maximum mean discrepancy, as `flows.monitors._rff.mmd2` has it, of two sketches.

    Raises:
        ValueError: if they are not taken over one basis.
    """
    n, m = _sizes(reference, current)
    ours, theirs = reference.features / n, current.features / m
    # the squared norm of every row's features is 1, up to rounding
    within = _scatter(reference.products, reference.features, n)
    within_current = _scatter(current.products, current.features, m)
    apart = float(((ours - theirs) ** 2).sum())
    statistic = apart - _own(within, n) - _own(within_current, m)
    noise = _pooled(within, within_current, n, m)
    weights = _eigenvalues(noise)
    mean = ours.view(np.complex128)
    frequencies = reference.basis.frequencies

    def planted(shift: float, direction: Values) -> tuple[float, float]:
        moved = mean * np.exp(1j * shift * (direction @ frequencies))
        way = (moved - mean).view(np.float64)
        spread = 2 * float((weights**2).sum()) + 4 * float(way @ noise @ way)
        return float(way @ way), spread

    return Distance(statistic, weights, planted, _leading(reference), total_sd(reference))


def mean_shift(reference: Sketch, current: Sketch) -> Distance:
    """The squared distance of the means in units of the pool's variance, of two sketches.

    The covariance is known along the components of the basis, and beyond them by its trace alone:
    there the spectrum is taken to have the shape that the basis found. Where it found no spread and
    there is some now, all of it is taken to lie along one direction: no other shape has large
    values by chance as often.

    Raises:
        ValueError: if they are not taken over one basis.
    """
    n, m = _sizes(reference, current)
    unit = _pool_variance(reference, current) or 1.0
    squares = [_deviations(side) for side in (reference, current)]
    apart = float(((reference.total / n - current.total / m) ** 2).sum())
    statistic = apart - sum(s / (k * (k - 1)) for s, k in zip(squares, (n, m), strict=True))
    components = reference.basis.components
    within = _scatter(reference.cross, reference.total @ components, n)
    within_current = _scatter(current.cross, current.total @ components, m)
    noise = _pooled(within, within_current, n, m)
    trace = sum(squares) / (n + m - 2) * (1 / n + 1 / m)
    rest = reference.basis.rest * (1 / n + 1 / m)
    beyond = _beyond(rest, trace, trace - float(np.trace(noise)))
    weights = np.concatenate([_eigenvalues(noise), beyond])

    def planted(shift: float, direction: Values) -> tuple[float, float]:
        way = direction @ components
        spread = 2 * float((weights**2).sum()) + 4 * shift**2 * float(way @ noise @ way)
        return shift**2 / unit, spread / unit**2

    spread = total_sd(reference)
    return Distance(statistic / unit, weights / unit, planted, _leading(reference), spread)


def frechet(reference: Sketch, current: Sketch, components: int) -> Distance:
    """The squared Fréchet distance in units of the pool's variance, less that of chance.

    Args:
        reference: a sketch.
        current: one of other contents.
        components: in which it is measured, at most; never more than 16.

    Raises:
        ValueError: if the sketches are not taken over one basis.
    """
    reference.check(current)
    ours, theirs = (_gaussians.Moments.of(side, components) for side in (reference, current))
    unit = (ours + theirs).variance or 1.0
    weights, noise = _gaussians.weights(ours, theirs), _gaussians.noise(ours, theirs)
    within = reference.basis.components[:, : len(ours.sums)]

    def planted(shift: float, direction: Values) -> tuple[float, float]:
        way = shift * (direction @ within)
        length, varied = float(way @ way), float(way @ noise[: len(way), : len(way)] @ way)
        spread = 2 * float((weights**2).sum()) + 4 * varied
        return length / unit, spread / unit**2

    statistic = _gaussians.distance2(ours, theirs) - float(weights.sum())
    spread = total_sd(reference)
    return Distance(statistic / unit, weights / unit, planted, _leading(reference), spread)


def nearly_normal(pair: tuple[Sketch | None, Sketch | None], components: int) -> bool:
    """Whether tails are light enough for the p-value of `frechet`; arguments as there."""
    reference, current = pair
    if reference is None or current is None or min(reference.count, current.count) < LEAST:
        return False
    reference.check(current)
    moments = (_gaussians.Moments.of(side, components) for side in (reference, current))
    return _gaussians.excess(*moments) <= _MOST_EXCESS


@dataclass(frozen=True)
class Counts:
    """Two rows of counts held against each other.

    Attributes:
        statistic: chi squared over ``kinds`` - 1 degrees of freedom.
        p_value: its upper tail.
        kinds: how many kinds are left once rare ones are put together.
    """

    statistic: float
    p_value: float
    kinds: int

    def threshold(self, alpha: float) -> float:
        """The largest statistic that is no alarm."""
        from scipy.special import chdtri

        return float(chdtri(self.kinds - 1, alpha)) if self.kinds > 1 else 0.0


def counts(ours: NDArray[np.int64], theirs: NDArray[np.int64]) -> Counts:
    """Whether two counts over the same kinds, ``(kinds,)`` each, are of one distribution.

    Kinds of which fewer than 5 are to be expected on either side are put together.
    """
    from scipy.special import chdtrc

    both = np.stack([ours, theirs]).astype(np.float64)
    merged = _merged(both)
    expected = _expected(merged)
    statistic = float(((merged - expected) ** 2 / np.where(expected > 0, expected, 1)).sum())
    kinds = merged.shape[1]
    p_value = float(chdtrc(kinds - 1, statistic)) if kinds > 1 else 1.0
    return Counts(statistic, max(p_value, _tails.LEAST_P), kinds)


def kolmogorov_smirnov(reference: Sketch, current: Sketch) -> tuple[Values, Values]:
    """The Kolmogorov-Smirnov statistic of each component, ``(k,)``, and its p-values.

    Raises:
        ValueError: if the sketches are not taken over one basis.
    """
    from scipy.special import kolmogorov

    n, m = _sizes(reference, current)
    ours, theirs = (side.bins.cumsum(axis=1) / side.count for side in (reference, current))
    apart = np.abs(ours - theirs).max(axis=1)
    p_values = kolmogorov(apart * math.sqrt(n * m / (n + m)))
    return apart, np.clip(p_values, _tails.LEAST_P, 1.0)


def kolmogorov_threshold(alpha: float) -> float:
    """The largest statistic, times the root of ``nm / (n + m)``, that is no alarm."""
    from scipy.special import kolmogi

    return float(kolmogi(alpha))


def total_sd(sketch: Sketch) -> float:
    """The root of the trace of the covariance."""
    found = _deviations(sketch)
    largest = float(sketch.squares.sum()) + sketch.count * float((sketch.basis.centre**2).sum())
    return math.sqrt(found / (sketch.count - 1)) if found > _ROUNDING * largest else 0.0


def mean_distance(reference: Sketch, current: Sketch) -> float:
    """The distance of the means, less what two samples of one distribution would show."""
    unit = _pool_variance(reference, current)
    return mean_shift(reference, current).effect * math.sqrt(unit or 1.0)


def usable(
    pair: tuple[Sketch | None, Sketch | None], max_rows: int
) -> tuple[Sketch, Sketch] | None:
    """Two sketches to be tested; None where a permutation test of rows does as well or better.

    It does where a basis was learned from rows without spread: without components a sketch shows
    no change of a covariance, or along one.

    Args:
        pair: of the reference and of the current sample.
        max_rows: rows that the permutation test would look at on either side.
    """
    reference, current = pair
    if reference is None or current is None or not reference.basis.components.size:
        return None
    fewer, more = sorted((reference.count, current.count))
    return (reference, current) if fewer >= LEAST and more > max_rows else None


def _sizes(reference: Sketch, current: Sketch) -> tuple[int, int]:
    reference.check(current)
    return reference.count, current.count


def _scatter(products: Values, sums: Values, n: int) -> Values:
    """The sum of the outer products of deviations from the mean."""
    return products - np.outer(sums, sums) / n


def _own(scatter: Values, n: int) -> float:
    """By how much a squared distance of means is too large for one side's chance."""
    return float(np.trace(scatter)) / (n * (n - 1))


def _pooled(ours: Values, theirs: Values, n: int, m: int) -> Values:
    """The covariance of the difference of the means of two samples of one distribution."""
    return (ours + theirs) / (n + m - 2) * (1 / n + 1 / m)


def _eigenvalues(matrix: Values) -> Values:
    return np.asarray(np.maximum(np.linalg.eigvalsh(matrix), 0.0))


def _beyond(rest: Values, every: float, beyond: float) -> Values:
    """Weights that sum to what of a trace lies beyond the components, ``(any number,)``."""
    total = float(rest.sum())
    if beyond <= _ROUNDING * every:
        return np.empty(0)
    return rest * (beyond / total) if total > _ROUNDING * beyond else np.array([beyond])


def _deviations(sketch: Sketch) -> float:
    """The sum of the squared deviations from the mean, over all dimensions."""
    found = float(sketch.squares.sum()) - float((sketch.total**2).sum()) / sketch.count
    return max(found, 0.0)


def _pool_variance(reference: Sketch, current: Sketch) -> float:
    return _deviations(reference + current) / (reference.count + current.count)


def _leading(sketch: Sketch) -> Values:
    """Unit vectors, ``(at most 3, dim)``, along which it spreads most, among the components."""
    if not len(sketch.cross):
        return np.empty((0, sketch.basis.dim))
    sums = sketch.total @ sketch.basis.components
    _, vectors = np.linalg.eigh(_scatter(sketch.cross, sums, sketch.count))
    return np.asarray(sketch.basis.components @ vectors[:, ::-1][:, :_DIRECTIONS]).T


def _merged(both: Values) -> Values:
    """The columns with those put together of which too few are expected."""
    seen = both[:, both.sum(axis=0) > 0]
    order = np.argsort(seen.sum(axis=0))
    seen = seen[:, order]
    while seen.shape[1] > 1 and _expected(seen).min() < _EXPECTED:
        joined = seen[:, :2].sum(axis=1, keepdims=True)
        seen = np.concatenate([joined, seen[:, 2:]], axis=1)
        seen = seen[:, np.argsort(seen.sum(axis=0))]
    return seen


def _expected(both: Values) -> Values:
    expected: Values = np.outer(both.sum(axis=1), both.sum(axis=0)) / max(both.sum(), 1.0)
    return expected
