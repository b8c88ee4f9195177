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
