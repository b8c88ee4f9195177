"""Permutation tests of statistics that look at many splits at once and at all rows for each.

As `flows.monitors._splits`, for what is no function of sums over rows: nothing is saved by moving
rows in bunches, so that a second round costs as many times the first as it has splits.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from flows.monitors import _rows, _splits, _two_sample

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from flows.monitors._two_sample import Sides

    Measure = Callable[[NDArray[np.bool_]], NDArray[np.float64]]

_AT_A_TIME = 1000


@dataclass(frozen=True)
class Params(_two_sample.Params):
    """What these tests take; a second round is drawn only if asked for.

    Attributes:
        most_permutations: random splits of a second round, drawn where none of the first reaches
            the true one, for a p-value as low as 1/(most_permutations + 1); 0 for no such round.
        max_rows: contents drawn from each sample.
    """

    most_permutations: int = 0
    max_rows: int = 1000


def permute(
    measure: Measure, sides: Sides, params: Params, rng: np.random.Generator
) -> _splits.Outcome:
    """Hold the true split of a pool against random ones.

    Args:
        measure: the statistic of each split, larger where the sides differ more; takes
            ``(splits, rows)``, which rows are on the reference's side.
        sides: the pool and its true split.
        params: how many splits.
        rng: all chance.
    """
    values = _measured(measure, sides, params.permutations, rng)
    p_value, drawn = _splits.p_of(values), params.permutations
    if params.most_permutations and drawn and p_value <= 1 / len(values):
        again = _measured(measure, sides, params.most_permutations, rng)
        p_value, drawn = min(p_value, _splits.p_of(again)), drawn + params.most_permutations
    least = max(1 / (1 + max(params.rounds)), _splits.least_p(*sides.sizes))
    none = np.zeros((0, sum(sides.sizes)), dtype=np.bool_)
    return _splits.Outcome(
        float(values[0]), values[1:], values[:, None], p_value, least, drawn, none
    )


def true(sides: Sides) -> NDArray[np.bool_]:
    """The true split, ``(1, rows)``: the reference's rows come first."""
    return (np.arange(sum(sides.sizes)) < sides.n)[None]


def _measured(
    measure: Measure, sides: Sides, splits: int, rng: np.random.Generator
) -> NDArray[np.float64]:
    values = [measure(true(sides))]
    for block in _rows.blocks(splits, _AT_A_TIME):
        members = np.repeat(true(sides), block.stop - block.start, axis=0)
        values.append(measure(rng.permuted(members, axis=1, out=members)))
    return np.concatenate(values)
