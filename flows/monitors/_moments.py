"""Distances of two samples that their moments tell: counts, sums and sums of products.

Moments of parts of a sample add up to those of the whole, so these distances can be had from
merged sketches too, and every function takes a batch of them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from flows.monitors._rows import blocks

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Values = NDArray[np.float64]
    Sums = tuple[int, Values, Values]


def shift(reference: Values, current: Values) -> float:
    """The distance of the means of ``(n, dim)`` and ``(m, dim)`` rows, less that of chance."""
    sums = (
        (len(s), s.sum(axis=0)[None], np.array([float((s**2).sum())])) for s in (reference, current)
    )
    return math.sqrt(max(float(shift2(*sums)[0]), 0.0))


def shift2(ours: Sums, theirs: Sums) -> Values:
    """The squared distance of the means, less what two samples of one distribution would show.

    It is an unbiased estimate, and so below 0 about as often as above where nothing changed.

    Args:
        ours: how many rows, at least 2; their sums ``(batch, dim)``; and their sums of squares
            over all dimensions, ``(batch,)``.
        theirs: the same of the other side.

    Returns:
        ``(batch,)``
    """
    apart: Values = ((ours[1] / ours[0] - theirs[1] / theirs[0]) ** 2).sum(axis=1)
    for count, sums, squares in (ours, theirs):
        scatter = squares - (sums**2).sum(axis=1) / count
        apart = apart - scatter / (count * (count - 1))
    return apart


@dataclass(frozen=True)
class MeanShift:
    """`shift2` in units of the pool's variance: see `flows.monitors._splits.Statistic`.

    Attributes:
        rows: ``(rows, dim)`` of the pool, or the sums of bunches of its rows.
        squares: ``(rows,)`` their squares summed.
        sizes: rows of either side.
        unit: what the squared distance is divided by, above 0.
    """

    rows: Values
    squares: Values
    sizes: tuple[int, int]
    unit: float

    @classmethod
    def of(cls, pool: Values, sizes: tuple[int, int]) -> MeanShift:
        """The statistic of a ``(n + m, dim)`` pool."""
        squares = np.empty(len(pool))
        for block in blocks(len(pool)):
            squares[block] = (pool[block] ** 2).sum(axis=1)
        alike = bool((pool == pool[0]).all())
        return cls(pool, squares, sizes, 1.0 if alike else float(squares.mean()))

    def __call__(self, members: Values) -> Values:
        """The squared shift of each split."""
        ours, theirs = self._sums(members)
        return shift2(ours, theirs) / self.unit

    def _sums(self, members: Values) -> tuple[Sums, Sums]:
        n, m = self.sizes
        ours = members @ self.rows, members @ self.squares
        total, squares = self._totals
        return (n, *ours), (m, total - ours[0], squares - ours[1])

    @cached_property
    def _totals(self) -> tuple[Values, float]:
        return self.rows.sum(axis=0), float(self.squares.sum())

    def bunched(self, bunches: NDArray[np.intp], sizes: tuple[int, int]) -> MeanShift:
        """The same of bunches of rows."""
        rows, squares = self.rows[bunches].sum(axis=1), self.squares[bunches].sum(axis=1)
        return MeanShift(rows, squares, sizes, self.unit)

    def planted(self, members: Values) -> Callable[[Values], Values]:
        """The squared shift with the second side moved."""
        ours, (m, sums, squares) = self._sums(members)

        def moved(by: Values) -> Values:
            longer = squares + 2 * (sums @ by) + m * float(by @ by)
            return shift2(ours, (m, sums + m * by, longer)) / self.unit

        return moved

    def witness(self) -> Values:
        """How far each row lies towards the mean of the second side, ``(rows,)``."""
        (n, ours, _), (m, theirs, _) = self._sums(np.repeat([[1.0, 0.0]], self.sizes, axis=1))
        away: Values = self.rows @ (theirs / m - ours / n)[0]
        return away
