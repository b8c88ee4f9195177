"""Conformal p-values, and which of many to pick with a bound on the share picked wrongly.

A row that comes from where the calibration rows came from ranks evenly among them, whatever the
distribution and whatever the score, as long as the score treats all of them alike. So the rank is a
p-value, with no model and no assumed share of outliers (Vovk, Gammerman & Shafer 2005).

The Benjamini-Hochberg procedure on such p-values keeps the expected share of false picks at or
below alpha, though they all lean on one calibration sample (Bates, Candès, Lei, Romano & Sesia
2023). Ties are no exception. Take a row that belongs, and hold the set that it forms with the
calibration rows, and all other rows: it is any of the set with equal chance. The higher its own
score, the lower are its p-value and those of all others (one calibration row fewer reaches them),
so the more is picked. It is thus picked exactly from some score of the set on, its p-value there is
the share of the set that reaches that score, and this share is what it may be: alpha times the
number picked, over the number tested.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

# scores of equal rows, reckoned in another block of rows, differ in the last digits: those are ties
_TIE = 1e-9


def p_values(calibration: NDArray[np.float64], scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """For each score the share of calibration scores that reach it, itself counted with them.

    Args:
        calibration: ``(n,)``, higher is stranger.
        scores: ``(m,)``.

    Returns:
        ``(m,)``, from ``1 / (1 + n)`` to 1.
    """
    below = np.searchsorted(np.sort(calibration), scores - _TIE * np.abs(scores), side="left")
    return (1 + len(calibration) - below) / (1 + len(calibration))


def select(p: NDArray[np.float64], alpha: float) -> NDArray[np.intp]:
    """Which of the ``(m,)`` p-values Benjamini & Hochberg 1995 pick at ``alpha``, least first."""
    order = np.argsort(p, kind="stable")
    allowed = alpha * np.arange(1, len(p) + 1) / max(1, len(p))
    passed = np.flatnonzero(p[order] <= allowed * (1 + _TIE))
    return order[: passed[-1] + 1] if len(passed) else order[:0]


def simes(p: NDArray[np.float64]) -> float:
    """One p-value for all of the ``(m,)`` together, m at least 1 (Simes 1986).

    It is the least alpha at which `select` picks anything.
    """
    ordered = np.sort(p)
    return min(1.0, float((len(p) * ordered / np.arange(1, len(p) + 1)).min()))


def fewest(m: int, least: float, alpha: float) -> int:
    """How many of m rows must have the least p-value that is possible for any to be picked.

    More than m where alpha is below the least p-value, so that nothing ever is.
    """
    return max(1, math.ceil(m * least / alpha * (1 - _TIE)))
