"""What a test found of one statistic, whether by permutations or by a formula."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Evidence:
    """A statistic and what it is worth.

    Attributes:
        statistic: what was measured, larger where the sides differ more.
        threshold: the largest value that is no alarm.
        p_value: how likely as large a value is where nothing changed.
        least_p: the least p-value that these sizes could have given.
        permutations: random splits that the p-value comes from; 0 where a formula gave it.
    """

    statistic: float
    threshold: float
    p_value: float
    least_p: float
    permutations: int
