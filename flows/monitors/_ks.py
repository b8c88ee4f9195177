"""Kolmogorov-Smirnov distances along the principal components of a pool."""

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

BINS = 32
"""Bins a component, of about equally many rows of the pool: distances are taken between bins."""


def fit(coordinates: Values) -> Values:
    """The borders of the bins of each component, ``(31, components)``: quantiles of the pool."""
    borders: Values = np.quantile(coordinates, np.arange(1, BINS) / BINS, axis=0, method="lower")
    return borders


def bins(coordinates: Values, borders: Values) -> Values:
    """``(rows, components * 32)``: for each component, 1 in the row's bin and 0 elsewhere."""
    within = np.empty((len(coordinates), borders.shape[1], BINS))
    for component, edges in enumerate(borders.T):
        places = np.searchsorted(edges, coordinates[:, component], side="left")
        within[:, component] = places[:, None] == np.arange(BINS)
    return within.reshape(len(coordinates), -1)


def distances(ours: Values, theirs: Values, sizes: tuple[int, int]) -> Values:
    """The largest distance of both distribution functions, component by component, 0 to 1.

    Args:
        ours: ``(batch, components * 32)`` rows of a side in each bin.
        theirs: the same of the other side.
        sizes: rows of either side.

    Returns:
        ``(batch, components)``
    """
    apart = (ours / sizes[0] - theirs / sizes[1]).reshape(len(ours), -1, BINS)
    largest: Values = np.abs(np.cumsum(apart, axis=2)).max(axis=2)
    return largest


def scale(sizes: tuple[int, int]) -> float:
    """What makes of a distance a figure whose law does not depend on the sizes, if large."""
    n, m = sizes
    return math.sqrt(n * m / (n + m))


def scaled(apart: Values, sizes: tuple[int, int]) -> Values:
    """The largest of ``(batch, components)`` distances, scaled."""
    largest: Values = apart.max(axis=1) * scale(sizes)
    return largest


def p_values(apart: Values, sizes: tuple[int, int]) -> Values:
    """Kolmogorov's p-values of distances; on the safe side for small samples, ties and bins."""
    from scipy.special import kolmogorov

    # summed counts are off in the last digit, which the law of 0 would make a discovery of none
    return np.maximum(kolmogorov(scale(sizes) * apart), 1e-300)


@dataclass(frozen=True)
class Ks:
    """The largest scaled distance along any component: see `flows.monitors._splits.Statistic`.

    Attributes:
        counts: ``(rows, components * 32)`` bins of the pool's rows, or sums of bunches of them.
        borders: ``(31, components)`` of the bins.
        components: of the pool.
        sizes: rows of either side.
    """

    counts: Values
    borders: Values
    components: Components
    sizes: tuple[int, int]

    @classmethod
    def fit(cls, components: Components, most: int, sizes: tuple[int, int]) -> Ks:
        """The statistic of a pool along at most so many of its components."""
        coordinates = components.coordinates[:, :most]
        borders = fit(coordinates)
        return cls(bins(coordinates, borders), borders, components, sizes)

    def __call__(self, members: Values) -> Values:
        """The largest scaled distance of each split."""
        return scaled(self.apart(members), self.sizes)

    def apart(self, members: Values) -> Values:
        """The distance along each component, ``(splits, components)``."""
        ours = members @ self.counts
        return distances(ours, self._total - ours, self.sizes)

    @cached_property
    def _total(self) -> Values:
        total: Values = self.counts.sum(axis=0)
        return total

    def bunched(self, bunches: NDArray[np.intp], sizes: tuple[int, int]) -> Ks:
        """The same of bunches of rows."""
        return Ks(self.counts[bunches].sum(axis=1), self.borders, self.components, sizes)

    def planted(self, members: Values) -> Callable[[Values], Values]:
        """The largest scaled distance with the second side moved.

        To move rows up is to move the borders that they are counted between down, so the second
        sides are counted once, along each component in its order, and a shift looks up 31 places.
        """
        most = self.borders.shape[1]
        along = self.components.coordinates[:, :most]
        order = np.argsort(along, axis=0, kind="stable")
        ordered = np.take_along_axis(along, order, axis=0)
        theirs = np.ascontiguousarray(1 - members.T).astype(np.int32)
        below = [_below(theirs[places]) for places in order.T]
        counts = (members @ self.counts).reshape(len(members), most, BINS)
        ours = counts.cumsum(axis=2)[:, :, :-1].T / self.sizes[0]

        def moved(shift: Values) -> Values:
            places = ordered + self.components.along(shift)[:most]
            reached = [
                count[np.searchsorted(at, edges, side="right")]
                for count, at, edges in zip(below, places.T, self.borders.T, strict=True)
            ]
            apart = np.abs(ours - np.stack(reached, axis=1) / self.sizes[1])
            return scaled(apart.max(axis=0).T, self.sizes)

        return moved

    def strangeness(self, moved: NDArray[np.bool_]) -> Values:
        """How much more likely each row's bins are on the second side, ``(rows,)``.

        Over the components that moved, as were they independent; log ratios of shares.
        """
        n, m = self.sizes
        ours = self.counts[:n].sum(axis=0) + 0.5
        theirs = self._total - ours + 1.0
        ratios = np.log(theirs / m) - np.log(ours / n)
        likelier: Values = self.counts @ (ratios * np.repeat(moved, BINS))
        return likelier


def _below(members: NDArray[np.int32]) -> NDArray[np.int32]:
    """How many of the first 0, 1, ... rows are members, ``(rows + 1, splits)``."""
    found = np.zeros((len(members) + 1, members.shape[1]), np.int32)
    np.cumsum(members, axis=0, out=found[1:])
    return found
