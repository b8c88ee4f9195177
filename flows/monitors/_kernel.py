"""The exact two-sample statistic of the Gaussian kernel, from its matrix."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from flows.monitors._rows import blocks

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Values = NDArray[np.float64]

_BLOCK = 256


def distances2(rows: Values) -> Values:
    """The squared distances of ``(rows, dim)`` from each other, ``(rows, rows)``.

    From differences, not from products: those would lose what lies far from the origin and close
    together.
    """
    from scipy.spatial.distance import cdist

    apart = np.empty((len(rows), len(rows)))
    for block in blocks(len(rows), _BLOCK):
        apart[block] = cdist(rows[block], rows, "sqeuclidean")
    return apart


def gaussian(apart: Values, bandwidth: float) -> Values:
    """The kernel ``exp(-d / 2 s^2)`` of squared distances d, block by block."""
    kernel = np.empty_like(apart)
    for block in blocks(len(apart), _BLOCK):
        np.exp(apart[block] / (-2 * bandwidth**2), out=kernel[block])
    return kernel


@dataclass(frozen=True)
class ExactMmd:
    """Unbiased MMD² (Gretton et al. 2012, lemma 6): see `flows.monitors._splits.Statistic`.

    Attributes:
        kernel: ``(rows, rows)`` of the pool, or of bunches of its rows.
        pool: ``(rows, dim)``; empty for bunches.
        bandwidth: of the kernel.
        sizes: rows of either side.
    """

    kernel: Values
    pool: Values
    bandwidth: float
    sizes: tuple[int, int]

    @classmethod
    def of(cls, pool: Values, sizes: tuple[int, int], bandwidth: float) -> ExactMmd:
        """The statistic of a ``(n + m, dim)`` pool."""
        return cls(gaussian(distances2(pool), bandwidth), pool, bandwidth, sizes)

    def __call__(self, members: Values) -> Values:
        """MMD² of each split: all of them in one matrix product."""
        within, others, between = self._sums(members)
        return self._unbiased(within, others, between)

    def _sums(self, members: Values) -> tuple[Values, Values, Values]:
        """Sums of the kernel over pairs within the first side, the second, and between them."""
        towards = members @ self.kernel
        within = np.einsum("sr,sr->s", towards, members)
        between = towards.sum(axis=1) - within
        return within, self.kernel.sum() - within - 2 * between, between

    def _unbiased(self, within: Values, others: Values, between: Values) -> Values:
        n, m = self.sizes
        return (within - n) / (n * (n - 1)) + (others - m) / (m * (m - 1)) - 2 * between / (n * m)

    def bunched(self, bunches: NDArray[np.intp], sizes: tuple[int, int]) -> ExactMmd:
        """The same of bunches of rows."""
        flat, shape = bunches.ravel(), (len(bunches), bunches.shape[1])
        kernel = self.kernel[np.ix_(flat, flat)].reshape(shape + shape).sum(axis=(1, 3))
        return ExactMmd(kernel, self.pool[:0], self.bandwidth, sizes)

    def planted(self, members: Values) -> Callable[[Values], Values]:
        """MMD² with the second side moved: only the kernel between the sides changes."""
        within, others, _ = self._sums(members)
        apart = distances2(self.pool)

        def moved(shift: Values) -> Values:
            along = self.pool @ shift
            between = np.zeros(len(members))
            for block in blocks(len(along), _BLOCK):
                further = apart[block] - 2 * (along[block, None] - along) + shift @ shift
                kernel = np.exp(further / (-2 * self.bandwidth**2))
                between += np.einsum("sr,sr->s", members[:, block], (1 - members) @ kernel.T)
            return self._unbiased(within, others, between)

        return moved

    def witness(self) -> Values:
        """How much more each row looks like the second side than like the first, ``(rows,)``."""
        n, m = self.sizes
        likelier: Values = self.kernel[:, n:].sum(axis=1) / m - self.kernel[:, :n].sum(axis=1) / n
        return likelier
