"""Many tests at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def benjamini_hochberg(p_values: NDArray[np.float64], alpha: float) -> NDArray[np.bool_]:
    """Which of the tests are discoveries, a share of at most alpha of them false; ``(tests,)``.

    Benjamini & Hochberg 1995, "Controlling the false discovery rate": all those whose p-value is
    no larger than the largest that lies below its rank's share of alpha.
    """
    ordered = np.sort(p_values)
    below = ordered <= alpha * np.arange(1, len(ordered) + 1) / max(1, len(ordered))
    return p_values <= (ordered[below].max() if below.any() else -1.0)


def benjamini_yekutieli(p_values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Adjusted p-values, ``(tests,)``: those of at most alpha are discoveries at that rate.

    Benjamini & Yekutieli 2001, "The control of the false discovery rate in multiple testing under
    dependency": the share of false ones is at most alpha however the tests depend on each other,
    at the price of a factor of ``1 + 1/2 + ... + 1/tests``. So the least of them is a p-value of
    there being no change at all (Hommel 1983).
    """
    tests = len(p_values)
    ranks = np.arange(1, tests + 1)
    order = np.argsort(p_values, kind="stable")
    scaled = p_values[order] * (tests * float((1 / ranks).sum())) / ranks
    adjusted = np.empty(tests)
    adjusted[order] = np.minimum(np.minimum.accumulate(scaled[::-1])[::-1], 1.0)
    return adjusted
