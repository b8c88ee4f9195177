"""How small a shift a permutation test of this size can see."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from flows.monitors._splits import Outcome
    from flows.monitors._two_sample import Sides

    Values = NDArray[np.float64]
    Plant = Callable[[Values], Callable[[Values], Values]]

POWER = 0.8
"""The share of runs in which a shift must be flagged to count as visible."""

_DIRECTIONS = 3
_SPECTRUM_ROWS = 500
_SHIFTS = np.geomspace(1e-3, 10.0, 128)


def smallest_visible(
    plant: Plant,
    kept: NDArray[np.bool_],
    directions: Values,
    spread: float,
    threshold: float,
) -> float | None:
    """The smallest mean shift that would be flagged with 80 % power, in units of ``spread``.

    The random splits of the permutation test are draws of two samples of these sizes between
    which there is no difference. Into the second of each a shift is planted, along one of the
    leading directions, where the rows' own spread hides a shift best, and the share of splits
    beyond the threshold is the power.

    Args:
        plant: `flows.monitors._splits.Statistic.planted` of the test's statistic.
        kept: ``(splits, rows)`` memberships of random splits.
        directions: ``(some, dim)`` unit vectors, see `leading_directions`.
        spread: the reference's total standard deviation, above 0.
        threshold: of the statistic.

    Returns:
        None if not even a shift of ten times the spread would be seen.
    """
    step = len(directions)
    planted = [plant(kept[at::step].astype(np.float64)) for at in range(min(step, len(kept)))]

    def power(shift: float) -> float:
        moves = zip(planted, directions * (shift * spread), strict=False)
        return float(np.mean(np.concatenate([moved(by) for moved, by in moves]) > threshold))

    low, high = -1, len(_SHIFTS) - 1
    if power(_SHIFTS[high]) < POWER:
        return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if power(_SHIFTS[middle]) >= POWER else (middle, high)
    return float(_SHIFTS[high])


def visible_by(plant: Plant, outcome: Outcome, sides: Sides, alpha: float) -> float | None:
    """The smallest shift that a test relies on seeing; None too where it can see nothing.

    Args:
        plant: how a shift is planted into the test's value.
        outcome: of the test.
        sides: that it compared.
        alpha: the level.
    """
    if sides.spread <= 0 or outcome.least_p > alpha:
        return None
    directions = leading_directions(sides.reference)
    threshold = outcome.threshold(alpha)
    return smallest_visible(plant, outcome.kept, directions, sides.spread, threshold)


def leading_directions(rows: Values) -> Values:
    """Unit vectors, ``(at most 3, dim)``, along which the rows spread most."""
    some = rows[np.linspace(0, len(rows) - 1, min(len(rows), _SPECTRUM_ROWS)).astype(np.intp)]
    some = some - some.mean(axis=0)
    _, spreads, directions = np.linalg.svd(some, full_matrices=False)
    return directions[: min(_DIRECTIONS, max(1, int(np.sum(spreads > spreads[0] * 1e-6))))]
