"""The upper tail of a sum of weighted squares of independent standard normals.

Exact inversion (Imhof 1961) loses all digits where a p-value is small; the saddlepoint keeps its
relative error, about a per cent, however small it is. Kuonen 1999, "Saddlepoint approximations for
distributions of quadratic forms in normal variables", after Lugannani & Rice 1980 and
Barndorff-Nielsen 1990.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

LEAST_P = 1e-300
"""No p-value is below: what is smaller cannot be told from it, and none is 0."""

_FLAT = 1e-10
_STEPS = 80


def weighted_chi2(value: float, weights: NDArray[np.float64]) -> float:
    """How likely it is that ``sum(weights * z**2)`` reaches a value; z are standard normals.

    Args:
        value: any number.
        weights: ``(k,)``, at least 0; where all are 0 so is the sum.
    """
    weights = _told(weights)
    if value <= 0:
        return 1.0
    if not len(weights):
        return LEAST_P
    scale = float(weights.max())
    weights, value = weights / scale, value / scale
    at = _saddlepoint(value, weights)
    left = 1 - 2 * at * weights
    exponent = at * value + 0.5 * float(np.log(left).sum())
    root = math.copysign(math.sqrt(max(2 * exponent, 0.0)), at)
    second = 2 * float(((weights / left) ** 2).sum())
    if abs(root) < 1e-4:  # noqa: PLR2004 - 0/0 beyond: the limit, of third order, takes over
        step = 8 * float((weights**3).sum()) / (6 * (2 * float((weights**2).sum())) ** 1.5)
    else:
        step = math.log(at * math.sqrt(second) / root) / root
    return max(normal(root + step), LEAST_P)


def quantile(alpha: float, weights: NDArray[np.float64]) -> float:
    """The value that the sum reaches with probability alpha."""
    weights = _told(weights)
    if not len(weights):
        return 0.0
    low, high = 0.0, float(weights.sum())
    while weighted_chi2(high, weights) > alpha:
        low, high = high, 2 * high
    for _ in range(_STEPS):
        middle = (low + high) / 2
        low, high = (middle, high) if weighted_chi2(middle, weights) > alpha else (low, middle)
    return high


def normal(value: float) -> float:
    """How likely it is that a standard normal exceeds a value."""
    return 0.5 * math.erfc(value / math.sqrt(2))


def _told(weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """The weights that make a difference."""
    most = float(weights.max(initial=0.0))
    return weights[weights > most * _FLAT]


def _saddlepoint(value: float, weights: NDArray[np.float64]) -> float:
    """Where the derivative of the cumulant generating function is the value; largest weight 1."""
    low = -len(weights) / (2 * value)
    high = 0.5 * (1 - 1 / value) if value > 1 else 0.0
    high = max(high, 0.0) if value >= float(weights.sum()) else 0.0
    for _ in range(_STEPS):
        middle = (low + high) / 2
        reached = float((weights / (1 - 2 * middle * weights)).sum()) >= value
        low, high = (low, middle) if reached else (middle, high)
    return (low + high) / 2
