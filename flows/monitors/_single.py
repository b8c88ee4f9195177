"""A permutation test of one statistic, and how small a shift it could have seen."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flows.monitors import _splits
from flows.monitors._power import visible_by

if TYPE_CHECKING:
    import numpy as np

    from flows.monitors._splits import Outcome, Statistic
    from flows.monitors._two_sample import Params, Sides


def permuted(
    statistic: Statistic, sides: Sides, rng: np.random.Generator, params: Params
) -> tuple[Outcome, float | None]:
    """Hold the true split of both sides against random ones.

    Returns:
        What came of it, and the smallest mean shift that such a test relies on seeing, in units of
        the reference's spread; None where it can see none.
    """
    outcome = _splits.permute([statistic], sides.sizes, params.rounds, rng)
    return outcome, visible_by(statistic.planted, outcome, sides, params.alpha)
