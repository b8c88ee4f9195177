"""How many rows lie in each cell of a space, and the statistics of such counts.

The cells are the clusters of a pool. All that is said of two samples needs their counts alone, so
it can be had from merged sketches too.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from flows.monitors._components import Components

    Values = NDArray[np.float64]
    Rows = NDArray[np.intp]

_ROUNDS = 20
_ROWS_A_CELL = 10


def number(most: int, rows: int) -> int:
    """How many cells so many rows can fill, by the tenth row at least one; never below 2."""
    return max(2, min(most, rows // _ROWS_A_CELL))


def fit(coordinates: Values, k: int, rng: np.random.Generator) -> Values:
    """The centres ``(at most k, dim)`` of the clusters of ``(rows, dim)``, the largest first.

    Lloyd's k-means from seeds that lie apart (Arthur & Vassilvitskii 2007, "k-means++"). Clusters
    that lose all their rows are no clusters.
    """
    centres = _seeds(coordinates, k, rng)
    nearest = assign(coordinates, centres)
    for _ in range(_ROUNDS):
        found, nearest = np.unique(nearest, return_inverse=True)
        members = one_hot(nearest, len(found))
        centres = (members.T @ coordinates) / members.sum(axis=0)[:, None]
        before, nearest = nearest, assign(coordinates, centres)
        if (nearest == before).all():
            break
    counts = np.bincount(nearest, minlength=len(centres))
    order = np.argsort(-counts, kind="stable")
    return centres[order[counts[order] > 0]]


def _seeds(coordinates: Values, k: int, rng: np.random.Generator) -> Values:
    seeds = [int(rng.integers(len(coordinates)))]
    away = ((coordinates - coordinates[seeds[0]]) ** 2).sum(axis=1)
    while len(seeds) < k and away.sum() > 0:
        seeds.append(int(rng.choice(len(coordinates), p=away / away.sum())))
        away = np.minimum(away, ((coordinates - coordinates[seeds[-1]]) ** 2).sum(axis=1))
    return coordinates[seeds]


def distances2(coordinates: Values, centres: Values) -> Values:
    """Squared distances ``(rows, k)``, less the squared length of the row."""
    apart: Values = (centres**2).sum(axis=1) - 2 * (coordinates @ centres.T)
    return apart


def assign(coordinates: Values, centres: Values) -> Rows:
    """The nearest centre of each row, ``(rows,)``."""
    nearest: Rows = np.argmin(distances2(coordinates, centres), axis=1)
    return nearest


def one_hot(cells: Rows, k: int) -> Values:
    """``(rows, k)``, 1 in the row's cell and 0 elsewhere."""
    places: Values = (cells[:, None] == np.arange(k)).astype(np.float64)
    return places


def chi2(ours: Values, theirs: Values) -> Values:
    """Pearson's χ² of the counts of two samples, ``(batch, k)`` each, to ``(batch,)``."""
    n, m = ours.sum(axis=1, keepdims=True), theirs.sum(axis=1, keepdims=True)
    totals = ours + theirs
    apart: Values = (ours * m - theirs * n) ** 2 / np.maximum(totals, 1.0)
    summed: Values = apart.sum(axis=1) / (n * m)[:, 0]
    return summed


def residuals(ours: Values, theirs: Values) -> Values:
    """The adjusted residual of each of ``(k,)`` counts: above 0 where the second side has more.

    In standard deviations of what equal shares would give (Haberman 1973).
    """
    n, m, totals = ours.sum(), theirs.sum(), ours + theirs
    expected = m * totals / (n + m)
    variance = expected * (1 - totals / (n + m)) * n / (n + m)
    return np.where(variance > 0, (theirs - expected) / np.sqrt(np.maximum(variance, 1e-300)), 0.0)


def p_values(ours: Values, theirs: Values) -> Values:
    """Two-sided p-values of each of ``(k,)`` counts: exact, as those of Fisher's test of one cell.

    Over all splits of a pool the rows of a cell on one side are hypergeometric; twice the smaller
    tail.
    """
    from scipy.stats import hypergeom

    total, m = round(float((ours + theirs).sum())), round(float(theirs.sum()))
    law = hypergeom(total, np.round(ours + theirs).astype(np.intp), m)
    tails = np.minimum(law.cdf(theirs), law.sf(theirs - 1))
    doubled: Values = np.clip(2 * tails, 1e-300, 1.0)
    return doubled


def cramers_v(ours: Values, theirs: Values) -> float:
    """Cramér's V of ``(k,)`` counts, as were both samples of one size, less what chance gives.

    0 for equal shares and 1 where no cell holds rows of both.
    """
    n, m = ours.sum(), theirs.sum()
    shares, others = ours / n, theirs / m
    either = shares + others
    squared = 0.5 * float((((shares - others) ** 2)[either > 0] / either[either > 0]).sum())
    chance = (int((either > 0).sum()) - 1) / 4 * (1 / n + 1 / m)
    return math.sqrt(max(squared - chance, 0.0))


def psi(ours: Values, theirs: Values) -> float:
    """The population stability index of ``(k,)`` counts; half a row more in each cell, for logs."""
    shares, others = ((s + 0.5) / (s.sum() + 0.5 * len(s)) for s in (ours, theirs))
    return float(((others - shares) * np.log(others / shares)).sum())


@dataclass(frozen=True)
class Occupancy:
    """χ² of the counts in cells: see `flows.monitors._splits.Statistic`.

    Attributes:
        counts: ``(rows, k)`` one-hot cells of the pool's rows, or sums of bunches of them.
        centres: ``(k, components)`` of the cells.
        components: of the pool.
    """

    counts: Values
    centres: Values
    components: Components

    @classmethod
    def fit(cls, components: Components, k: int, rng: np.random.Generator) -> Occupancy:
        """Cells of a pool."""
        centres = fit(components.coordinates, k, rng)
        cells = assign(components.coordinates, centres)
        return cls(one_hot(cells, len(centres)), centres, components)

    def __call__(self, members: Values) -> Values:
        """χ² of each split."""
        ours = members @ self.counts
        return chi2(ours, self._total - ours)

    @cached_property
    def _total(self) -> Values:
        total: Values = self.counts.sum(axis=0)
        return total

    def bunched(self, bunches: Rows, sizes: tuple[int, int]) -> Occupancy:  # noqa: ARG002 - counted
        """The same of bunches of rows."""
        return Occupancy(self.counts[bunches].sum(axis=1), self.centres, self.components)

    def planted(self, members: Values) -> Callable[[Values], Values]:
        """χ² with the second side moved, each row to the cell that it then lies in."""
        ours = members @ self.counts

        def moved(shift: Values) -> Values:
            coordinates = self.components.coordinates + self.components.along(shift)
            counts = one_hot(assign(coordinates, self.centres), len(self.centres))
            return chi2(ours, counts.sum(axis=0) - members @ counts)

        return moved
