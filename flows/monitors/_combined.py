"""Several statistics of one permutation test, brought to one scale."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from flows.monitors._splits import Statistic

    Values = NDArray[np.float64]

_TAIL = 0.95
# statistics without a dimension that differ by less differ by rounding
_NOTHING = 1e-9
_DIGITS = 8


@dataclass(frozen=True)
class Scale:
    """What a split's statistics are measured by, learned from many splits.

    A statistic's score is how far it lies above its median over all splits, in units of how far
    their upper 20th does: a figure with much the same upper tail whatever the statistic. The
    largest score is then one test of them all (the step-down maxT of Westfall & Young 1993,
    "Resampling-based multiple testing", in its single step), whose level is exact since every
    split, the true one too, is scored by the same scale. Ranks would do instead of scores, but the
    best rank of each statistic is some split's, so with three of them no p-value would fall
    below 3 / (1 + splits).

    Attributes:
        centre: ``(statistics,)``
        reach: ``(statistics,)``, above 0.
    """

    centre: Values
    reach: Values

    @classmethod
    def of(cls, each: Values) -> Scale:
        """Learn it from ``(splits, statistics)``; a statistic that stands still has score 0."""
        centre = np.median(each, axis=0)
        reach = np.quantile(each, _TAIL, axis=0) - centre
        reach = np.where(reach > _NOTHING, reach, each.max(axis=0) - centre)
        return cls(centre, np.maximum(reach, _NOTHING))

    def score(self, each: Values) -> Values:
        """Scores of ``(splits, statistics)``, with ties made equal."""
        away = each - self.centre
        scores: Values = np.where(np.abs(away) > _NOTHING, away / self.reach, 0.0)
        return scores.round(_DIGITS)


def largest(each: Values) -> Values:
    """One value of each split's statistics, ``(splits, statistics)`` to ``(splits,)``."""
    best: Values = Scale.of(each).score(each).max(axis=1)
    return best


def adjusted(each: Values) -> Values:
    """The p-value of each statistic alone, given that all are looked at, ``(statistics,)``."""
    scores = Scale.of(each).score(each)
    p_values: Values = (scores.max(axis=1)[:, None] >= scores[0]).mean(axis=0)
    return p_values


def planting(
    statistics: Sequence[Statistic], scale: Scale
) -> Callable[[Values], Callable[[Values], Values]]:
    """`flows.monitors._splits.Statistic.planted` of the largest score."""

    def plant(members: Values) -> Callable[[Values], Values]:
        planted = [statistic.planted(members) for statistic in statistics]

        def moved(shift: Values) -> Values:
            each = np.stack([values(shift) for values in planted], axis=1)
            best: Values = scale.score(each).max(axis=1)
            return best

        return moved

    return plant
