"""Tests of counts: whether two samples that were counted into the same cells are of one kind.

The tests of whole histograms are permutation tests: given both histograms together, that of the
second sample is, if nothing has changed, a draw of so many from the pool without replacement, a
multivariate hypergeometric one. So the p-values are exact at every size, however many values fall
into one cell, where the asymptotic ones of Kolmogorov and Pearson are not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

# sums of equal numbers in another order differ in the last digits: those are ties
_TIE = 1e-9


def share(part: int, whole: int) -> float:
    """A share; 0 of nothing."""
    return part / whole if whole else 0.0


def rise(before: tuple[int, int], now: tuple[int, int]) -> float:
    """The probability of so many or more now, had the share stayed: Fisher's exact test, one-sided.

    Args:
        before: how many of how many in the reference.
        now: the same of the current sample.
    """
    from scipy.stats import hypergeom

    (k, n), (j, m) = before, now
    return float(min(1.0, max(hypergeom.sf(j - 1, n + m, k + j, m), np.finfo(float).tiny)))


def tables(
    before: Mapping[int, int] | Mapping[str, int], now: Mapping[int, int] | Mapping[str, int]
) -> tuple[list[int | str], NDArray[np.int64]]:
    """Two histograms over the same cells: the cells in order, and ``(2, cells)`` int64."""
    cells: list[int | str] = sorted({*before, *now})
    both: Sequence[Mapping[int | str, int]] = (before, now)  # type: ignore[assignment]  # of one kind
    rows = [[side.get(cell, 0) for cell in cells] for side in both]
    return cells, np.asarray(rows, dtype=np.int64).reshape(2, len(cells))


def distance(counts: NDArray[np.int64], now: NDArray[np.int64]) -> NDArray[np.float64]:
    """Kolmogorov and Smirnov's: the largest difference of the shares up to any cell.

    Args:
        counts: ``(cells,)``, of both samples together.
        now: ``(draws, cells)``, of the second one.

    Returns:
        ``(draws,)`` float64, from 0 to 1.
    """
    steps = _shares(counts - now) - _shares(now)
    found: NDArray[np.float64] = np.abs(np.cumsum(steps, axis=1)).max(axis=1)
    return found


def variation(counts: NDArray[np.int64], now: NDArray[np.int64]) -> NDArray[np.float64]:
    """Total variation: the share that would have to be in another cell; arguments as `distance`."""
    found: NDArray[np.float64] = np.abs(_shares(counts - now) - _shares(now)).sum(axis=1) / 2
    return found


def chi_squared(counts: NDArray[np.int64], now: NDArray[np.int64]) -> NDArray[np.float64]:
    """Pearson's statistic of the second sample's cells; arguments as `distance`.

    Of a 2 x cells table it is the whole statistic but for a factor that is the same for all draws.
    """
    expected = counts * (now[0].sum() / counts.sum())
    found: NDArray[np.float64] = ((now - expected) ** 2 / expected).sum(axis=1)
    return found


def permuted(
    table: NDArray[np.int64],
    statistic: Callable[[NDArray[np.int64], NDArray[np.int64]], NDArray[np.float64]],
    permutations: int,
    rng: np.random.Generator,
) -> tuple[float, float]:
    """The statistic of two histograms, and its p-value, never below 1/(permutations + 1).

    Args:
        table: ``(2, cells)``, the reference's and the current sample's.
        statistic: of all counts and of the current ones of several draws.
        permutations: random splits of the pool.
        rng: decides them.
    """
    counts = table.sum(axis=0)
    counts, now = counts[counts > 0], table[1][counts > 0]
    observed = float(statistic(counts, now[None])[0])
    drawn = rng.multivariate_hypergeometric(
        counts, int(now.sum()), size=permutations, method="marginals"
    )
    beyond = int(np.sum(statistic(counts, drawn) >= observed - _TIE))
    return observed, (1 + beyond) / (1 + permutations)


def _shares(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    shares: NDArray[np.float64] = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    return shares
