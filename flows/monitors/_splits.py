"""Permutation tests of many statistics at once, exact at every sample size.

Where nothing changed, the rows of both samples could as well have stood in any other order, so the
statistic of the true split of the pool is one draw among those of random splits, ties included
(Phipson & Smyth 2010, "Permutation p-values should never be zero"). That holds for whatever is
fitted on the pool - bandwidths, principal components, cells, bins - as long as the fit does not
look at the sides.

Nearly every statistic here is a function of sums over rows of features of a row, so one matrix
product of memberships and features gives it for a block of splits. Splits are drawn and forgotten
block by block.

**Two rounds.** The p-value of ``B`` splits is never below ``1 / (1 + B)``, and a series of looks
that shares one error budget needs less. So where none of the first round's splits reaches the true
one, a second, larger round is drawn, and the p-value is the smaller one of both rounds. This is no
picking of the better of two: a first round that was reached by none has the p-value
``1 / (1 + B)`` and any other one a larger one, so at levels of ``1 / (1 + B)`` and above the first
round decides alone, and below the second one has to agree, by a p-value of its own, which is below
its level no more often than it should be. Verdicts at usual levels do not depend on it.

**Bunches.** In the second round rows are moved in bunches of a few drawn at random within their
side, if there are many: sums over bunches are made once, and a split costs a fraction. Moving
bunches about is a group of permutations too, which is all that exactness asks for (Hemerik &
Goeman 2018, "Exact testing with random permutations").
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from flows.monitors._evidence import Evidence
from flows.monitors._rows import blocks

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    Values = NDArray[np.float64]
    Rows = NDArray[np.intp]
    Combine = Callable[[Values], Values]

AT_A_TIME = 128
"""Splits whose memberships are held at once."""

KEPT = 240
"""Splits that are kept for planting shifts into."""

# sums of equal numbers in another order differ in the last digits: those are ties
_TIE = 1e-12
_BUNCHES = 250


class Statistic(Protocol):
    """What is measured of a split; without a dimension, larger where the sides differ more."""

    def __call__(self, members: Values) -> Values:
        """The statistic of each split, ``(splits,)``.

        Args:
            members: ``(splits, rows)``, 1 for rows of the first side and 0 for those of the other.
        """
        ...

    def bunched(self, bunches: Rows, sizes: tuple[int, int]) -> Statistic:
        """The same of bunches of rows, which move together.

        Args:
            bunches: ``(count, size)``, which rows make up each.
            sizes: rows of either side that are in one.
        """
        ...

    def planted(self, members: Values) -> Callable[[Values], Values]:
        """The statistics ``(splits,)`` of these splits as a function of a shift ``(dim,)``.

        The shift is added to every row of the second side.
        """
        ...


@dataclass(frozen=True)
class Outcome:
    """A permutation test.

    Attributes:
        observed: the statistic of the true split, after combination.
        permuted: ``(splits,)`` of the first round, after combination.
        each: ``(1 + splits, statistics)`` of the first round before it, the true split first.
        p_value: of both rounds.
        least_p: the least that it could have been.
        splits: how many were drawn.
        kept: ``(at most 240, rows)`` bool, memberships of some splits of the first round.
    """

    observed: float
    permuted: Values
    each: Values
    p_value: float
    least_p: float
    splits: int
    kept: NDArray[np.bool_]

    def at(self, alpha: float) -> Evidence:
        """What it says at a level."""
        threshold = self.threshold(alpha)
        return Evidence(self.observed, threshold, self.p_value, self.least_p, self.splits)

    def threshold(self, alpha: float) -> float:
        """The largest value of the statistic that is no alarm."""
        return critical_value(self.permuted, alpha)


def first(values: Values) -> Values:
    """The combination of one statistic: itself."""
    return values[:, 0]


def permute(
    statistics: Sequence[Statistic],
    sizes: tuple[int, int],
    rounds: tuple[int, int],
    rng: np.random.Generator,
    combine: Combine = first,
) -> Outcome:
    """Hold the true split of a pool against random ones.

    Args:
        statistics: what is measured.
        sizes: rows of either side; those of the first side come first in the pool.
        rounds: random splits of the first round, and of the second one if it comes to it.
        rng: all chance.
        combine: makes one value of a split's statistics, ``(1 + splits, statistics)`` to
            ``(1 + splits,)``, larger where the sides differ more. It must treat all splits alike.
    """
    each, kept = measure(statistics, _true(*sizes), rounds[0], rng)
    values = combine(each)
    p_value, drawn = p_of(values), rounds[0]
    if rounds[1] and not np.any(_reached(values)[1:]):
        p_value = min(p_value, p_of(combine(_second_round(statistics, sizes, rounds[1], rng))))
        drawn += rounds[1]
    least = max(1 / (1 + max(rounds)), least_p(*sizes))
    return Outcome(float(values[0]), values[1:], each, p_value, least, drawn, kept)


def measure(
    statistics: Sequence[Statistic], true: Values, splits: int, rng: np.random.Generator
) -> tuple[Values, NDArray[np.bool_]]:
    """The statistics of a split and of random ones of its sizes; and some of the random ones.

    Args:
        statistics: what is measured.
        true: ``(rows,)``, 1 for rows of the first side and 0 for those of the other.
        splits: how many random ones.
        rng: all chance.

    Returns:
        ``(1 + splits, statistics)``, the given split first, and ``(at most 240, rows)``.
    """
    each = np.empty((1 + splits, len(statistics)))
    kept = np.zeros((min(splits, KEPT), len(true)), dtype=np.bool_)
    each[0] = [float(statistic(true[None])[0]) for statistic in statistics]
    for block in blocks(splits, AT_A_TIME):
        members = draw(true, block.stop - block.start, rng)
        kept[block] = members[: max(0, len(kept) - block.start)] > 0
        for column, statistic in enumerate(statistics):
            each[1 + block.start : 1 + block.stop, column] = statistic(members)
    return each, kept


def draw(true: Values, splits: int, rng: np.random.Generator) -> Values:
    """Random splits of the sizes of one: ``(splits, rows)``."""
    return rng.permuted(np.broadcast_to(true, (splits, len(true))), axis=1)


def _true(n: int, m: int) -> Values:
    members = np.zeros(n + m)
    members[:n] = 1.0
    return members


def _second_round(
    statistics: Sequence[Statistic],
    sizes: tuple[int, int],
    splits: int,
    rng: np.random.Generator,
) -> Values:
    size = min(sizes) // _BUNCHES
    if size < 2:  # noqa: PLR2004 - a bunch of one is a row
        return measure(statistics, _true(*sizes), splits, rng)[0]
    bunches, counts = bunch(sizes, size, rng)
    within = (counts[0] * size, counts[1] * size)
    moved = [statistic.bunched(bunches, within) for statistic in statistics]
    return measure(moved, _true(*counts), splits, rng)[0]


def bunch(
    sizes: tuple[int, int], size: int, rng: np.random.Generator
) -> tuple[Rows, tuple[int, int]]:
    """Bunches of so many rows of one side, drawn at random; fewer rows than that are left out.

    Returns:
        ``(bunches, size)``, the rows of each, and how many bunches either side has.
    """
    n, m = sizes
    counts = n // size, m // size
    ours = rng.permutation(n)[: counts[0] * size]
    theirs = n + rng.permutation(m)[: counts[1] * size]
    return np.concatenate([ours, theirs]).reshape(-1, size), counts


def p_of(values: Values) -> float:
    """The share of splits that reach the first one, which is one of them."""
    return float(np.mean(_reached(values)))


def _reached(values: Values) -> NDArray[np.bool_]:
    reached: NDArray[np.bool_] = values >= values[0] - _TIE * max(1.0, abs(float(values[0])))
    return reached


def least_p(n: int, m: int) -> float:
    """The least p-value that any number of splits of so few rows can give.

    Sides of one size can change places, and no statistic here knows which is which.
    """
    return (1 + (n == m)) / math.comb(n + m, n)


def critical_value(permuted: Values, alpha: float) -> float:
    """The value that a statistic must exceed to have a p-value of at most alpha.

    It is the k-th largest permuted one, where k ranks in 1 + len(permuted) make up alpha. Where
    not even one does, the first round alone makes nothing an alarm and the largest is returned.
    """
    ranks = max(1, math.floor(alpha * (1 + len(permuted)) + 1e-9))
    return float(np.partition(permuted, -ranks)[-ranks])
