"""Sliced Wasserstein: how far mass has to be moved to make one sample of the other, on average.

Both samples are projected onto random directions, and in each the Wasserstein-1 distance is the
area between the two cumulative distributions; the mean over directions is a distance of the
distributions themselves (Rabin et al. 2012; Bonneel et al. 2015). The order of the pool along a
direction is the same for every split, so that a split costs one cumulative sum a direction.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from flows.monitors import _permuted, _rows, _two_sample
from flows.monitors._ranges import at_least
from flows.monitors._two_sample import Result

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from flows.monitors._two_sample import Sides
    from flows.monitors.base import Finding, Sample

_SPLITS_AT_A_TIME = 128

_DIGITS = 1e-6
"""What float32 loses of a sum, as a part of it: so little is no difference."""


@dataclass(frozen=True)
class Params(_permuted.Params):
    """How the sliced Wasserstein distance is tested; ``min_effect`` is in standard deviations.

    Attributes:
        directions: random directions; more tell more of the distributions.
    """

    directions: int = 64

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(self, directions=1)


def compare(
    reference: Sample, current: Sample, rng: np.random.Generator, params: Params
) -> Finding:
    """Test by sliced Wasserstein distance whether both samples come from one distribution.

    Along each direction the rows of both samples together have standard deviation 1, and all is in
    units of it. ``statistic`` is the mean Wasserstein-1 distance, ``threshold`` the largest one
    that is no alarm; ``effect_size`` is the distance less what chance alone gives,
    ``sqrt(SW^2 - mean of SW^2 over random splits)``, 0 where there is less. ``record_ids`` of an
    alarm are the current records that have to be moved the farthest to make the reference of them.

    Raises:
        ValueError: if the samples differ in width.
    """
    name = "sliced_wasserstein"
    return _two_sample.compare(name, (reference, current), rng, params, _run)


def _run(sides: Sides, rng: np.random.Generator, params: Params) -> Result:
    projected = _projected(sides.pool, params.directions, rng)
    outcome = _permuted.permute(partial(distances, projected), sides, params, rng)
    chance = float((outcome.permuted**2).mean())
    effect = math.sqrt(max(outcome.observed**2 - chance, 0.0))
    return Result(
        outcome.at(params.alpha),
        effect=effect,
        told=f"its contents by {effect:.2g} standard deviations on average",
        figures={"chance": math.sqrt(chance)},
        strangeness=_journeys(projected, sides.n),
    )


def _projected(
    pool: NDArray[np.float64], directions: int, rng: np.random.Generator
) -> NDArray[np.float64]:
    """The pool along random directions, ``(directions, n)``, of standard deviation 1 in each.

    A direction along which nothing varies stays at 0.
    """
    drawn = rng.standard_normal((pool.shape[1], directions))
    along = np.ascontiguousarray((pool @ drawn).T)
    # A product of equal rows may differ in the last digit, which is no spread.
    noise = 1e-9 * np.abs(along).max(axis=1, initial=0.0, keepdims=True)
    spread = along.std(axis=1, keepdims=True)
    varies = (spread > noise) & (pool != pool[0]).any()
    standard: NDArray[np.float64] = np.where(varies, along / np.where(varies, spread, 1.0), 0.0)
    return standard


def distances(projected: NDArray[np.float64], ours: NDArray[np.bool_]) -> NDArray[np.float64]:
    """The mean Wasserstein-1 distance of the two sides of each split, ``(splits,)``.

    Between two neighbours on the line both cumulative distributions stand still, so the area
    between them is a sum over the gaps. Having counted c rows of the reference's n among the first
    k of all n + m, they differ by ``c/n - (k - c)/m``, that is ``(c - k n/(n + m)) (n + m)/(n m)``.

    Args:
        projected: ``(directions, n + m)``.
        ours: ``(splits, n + m)``, the rows on the reference's side.
    """
    n, rows = int(ours[0].sum()), projected.shape[1]
    order = np.argsort(projected, axis=1, kind="stable")
    gaps = np.diff(np.take_along_axis(projected, order, axis=1), axis=1).astype(np.float32)
    expected = (np.arange(1, rows, dtype=np.float64) * n / rows).astype(np.float32)[:, None]
    areas = np.zeros(len(ours))
    for block in _rows.blocks(len(ours), _SPLITS_AT_A_TIME):
        by_row = np.ascontiguousarray(ours[block].T).astype(np.float32)
        for places, gap in zip(order, gaps, strict=True):
            counted = np.cumsum(by_row[places[:-1]], axis=0)
            counted -= expected
            areas[block] += gap @ np.abs(counted, out=counted)
    means = areas * rows / (n * (rows - n) * len(projected))
    known: NDArray[np.float64] = np.round(means / _DIGITS) * _DIGITS
    return known


def _journeys(projected: NDArray[np.float64], n: int) -> NDArray[np.float64]:
    """How far each current row is from where the reference has its like, ``(m,)``.

    Along a direction the best way to make one sample of another takes each quantile to the same
    quantile; the mean over directions.
    """
    ours, theirs = np.sort(projected[:, :n], axis=1), projected[:, n:]
    m = theirs.shape[1]
    ranks = np.argsort(np.argsort(theirs, axis=1, kind="stable"), axis=1, kind="stable")
    likes = np.minimum(((ranks + 0.5) * n / m).astype(np.intp), n - 1)
    journeys = np.abs(theirs - np.take_along_axis(ours, likes, axis=1))
    means: NDArray[np.float64] = journeys.mean(axis=0)
    return means
