"""Whether a figure of one run is a usual one after those of the runs before it.

The runs' logarithms are taken for normal, with a centre and a spread that are not known: the next
one is off by so many spreads from the centre. How many are too many depends on how many runs there
were, and on nothing else, so it is found by drawing such rows of runs. Centre and spread are the
median and what the fifth that is furthest off leaves: a run that went wrong last week must not
make the same look usual today, and there is seldom more than one.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

LEAST_RUNS = 5
"""With fewer runs before it nothing can be said of one."""

_DRAWS = 9999
_LEFT_OUT = 5
"""One in so many, rounded down: 1 of 5 to 9 runs, 4 of 20."""


class Usual(NamedTuple):
    """What the runs before were like, and how one stands among them.

    Attributes:
        centre: their median.
        ratio: of this run's figure to it.
        above: probability of a figure as high or higher, if this run is like the others.
        either: the same of one as far off either way.
    """

    centre: float
    ratio: float
    above: float
    either: float


def judge(before: Sequence[float], now: float, floor: float, rng: np.random.Generator) -> Usual:
    """Hold a figure against those of the runs before.

    Args:
        before: their figures, above 0, at least `LEAST_RUNS`.
        now: this run's, above 0.
        floor: the least spread to reckon with, of logarithms: rows of equal figures have none, and
            what is counted varies by chance alone by one over the root of the count.
        rng: draws the rows of runs.
    """
    logs = np.log(np.asarray([*before, now], dtype=np.float64))[None]
    centre, spread = _centre_and_spread(logs[:, :-1])
    # The floor makes the figure less extreme than it was drawn to be, never more.
    off = float((logs[0, -1] - centre[0]) / max(float(spread[0]), floor))
    rows = rng.standard_normal((_DRAWS, len(before) + 1))
    centres, spreads = _centre_and_spread(rows[:, :-1])
    drawn = (rows[:, -1] - centres) / spreads
    above = (1 + int(np.sum(drawn >= off))) / (1 + _DRAWS)
    either = (1 + int(np.sum(np.abs(drawn) >= abs(off)))) / (1 + _DRAWS)
    return Usual(float(np.exp(centre[0])), math.exp(logs[0, -1] - centre[0]), above, either)


def _centre_and_spread(
    rows: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Of each of the ``(n, runs)`` rows: the median, and the spread without the furthest."""
    centres = np.median(rows, axis=1)
    away = np.sort(np.abs(rows - centres[:, None]), axis=1)
    kept = away[:, : rows.shape[1] - rows.shape[1] // _LEFT_OUT]
    return centres, np.sqrt(np.mean(kept**2, axis=1))
