"""The Fréchet distance of two Gaussians, from the moments of samples."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from flows.monitors._components import Components

    Values = NDArray[np.float64]
    Sums = tuple[int, Values, Values]


def frechet2(ours: Sums, theirs: Sums) -> Values:
    """The squared Fréchet distance, or Wasserstein-2, of the Gaussians with these moments.

    ``|a - b|^2 + tr(A + B - 2 (A^½ B A^½)^½)`` (Dowson & Landau 1982). Of samples it is above 0
    even where nothing changed.

    Args:
        ours: how many rows, at least 2; their sums ``(batch, k)``; and their sums of products
            ``(batch, k, k)``.
        theirs: the same of the other side.

    Returns:
        ``(batch,)``
    """
    (mean, covariance), (other, another) = _gaussian(*ours), _gaussian(*theirs)
    root = _root(covariance)
    cross = np.sqrt(np.linalg.eigvalsh(root @ another @ root).clip(0)).sum(axis=1)
    traces = np.trace(covariance + another, axis1=1, axis2=2)
    distance: Values = ((mean - other) ** 2).sum(axis=1) + traces - 2 * cross
    return distance


def _gaussian(count: int, sums: Values, products: Values) -> tuple[Values, Values]:
    mean = sums / count
    scatter: Values = products - count * mean[:, :, None] * mean[:, None, :]
    return mean, scatter / (count - 1)


def _root(matrices: Values) -> Values:
    """The symmetric roots of ``(batch, k, k)`` symmetric matrices without negative eigenvalues."""
    values, vectors = np.linalg.eigh(matrices)
    roots: Values = (vectors * np.sqrt(values.clip(0))[:, None, :]) @ vectors.transpose(0, 2, 1)
    return roots


def log_ratio(rows: Values, ours: Sums, theirs: Sums, floor: float) -> Values:
    """How much likelier each of ``(rows, k)`` is under the second Gaussian, in logs, ``(rows,)``.

    Args:
        rows: where it is asked.
        ours: count, sums ``(1, k)`` and sums of products ``(1, k, k)``.
        theirs: the same of the other side.
        floor: a variance, above 0, that is added in every direction.
    """
    logs = []
    for mean, covariance in (_gaussian(*ours), _gaussian(*theirs)):
        sound = covariance[0] + floor * np.eye(rows.shape[1])
        away = rows - mean
        within = (away * np.linalg.solve(sound, away.T).T).sum(axis=1)
        logs.append(-0.5 * (within + np.linalg.slogdet(sound)[1]))
    ratio: Values = logs[1] - logs[0]
    return ratio


@dataclass(frozen=True)
class Frechet:
    """`frechet2` in units of the pool's variance: see `flows.monitors._splits.Statistic`.

    Attributes:
        rows: ``(rows, k)`` coordinates of the pool, or sums over bunches of its rows.
        products: ``(rows, k * k)`` of coordinates with each other.
        components: of the pool.
        sizes: rows of either side.
        unit: what the squared distance is divided by, above 0.
    """

    rows: Values
    products: Values
    components: Components
    sizes: tuple[int, int]
    unit: float

    @classmethod
    def of(cls, components: Components, sizes: tuple[int, int]) -> Frechet:
        """The statistic of a pool."""
        unit = float((components.coordinates**2).sum(axis=1).mean()) or 1.0
        rows = components.coordinates
        return cls(rows, _products(rows), components, sizes, unit)

    def __call__(self, members: Values) -> Values:
        """The squared distance of each split."""
        return frechet2(*self.sums(members)) / self.unit

    def sums(self, members: Values) -> tuple[Sums, Sums]:
        """The moments of both sides of each split."""
        (n, m), k = self.sizes, self.rows.shape[1]
        totals, products = self._totals
        ours, crossed = members @ self.rows, members @ self.products
        return (
            (n, ours, crossed.reshape(-1, k, k)),
            (m, totals - ours, (products - crossed).reshape(-1, k, k)),
        )

    @cached_property
    def _totals(self) -> tuple[Values, Values]:
        return self.rows.sum(axis=0), self.products.sum(axis=0)

    def bunched(self, bunches: NDArray[np.intp], sizes: tuple[int, int]) -> Frechet:
        """The same of bunches of rows."""
        rows, products = self.rows[bunches].sum(axis=1), self.products[bunches].sum(axis=1)
        return Frechet(rows, products, self.components, sizes, self.unit)

    def planted(self, members: Values) -> Callable[[Values], Values]:
        """The squared distance with the second side moved: its covariance stays."""
        ours, (m, sums, products) = self.sums(members)

        def moved(shift: Values) -> Values:
            by = self.components.along(shift)
            crossed = sums[:, :, None] * by
            more = crossed + crossed.transpose(0, 2, 1) + m * np.outer(by, by)
            return frechet2(ours, (m, sums + m * by, products + more)) / self.unit

        return moved

    def witness(self) -> Values:
        """How much likelier each row is under the second Gaussian, ``(rows,)``."""
        true = np.repeat([[1.0, 0.0]], self.sizes, axis=1)
        return log_ratio(self.rows, *self.sums(true), floor=1e-3 * self.unit / self.rows.shape[1])


def _products(rows: Values) -> Values:
    products: Values = (rows[:, :, None] * rows[:, None, :]).reshape(len(rows), -1)
    return products
