"""How small a shift a permutation test of this size can see."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from flows.monitors import _rff

if TYPE_CHECKING:
    from numpy.typing import NDArray

POWER = 0.8
"""The share of runs in which a shift must be flagged to count as visible."""

_SPLITS = 240
_DIRECTIONS = 3
_SPECTRUM_ROWS = 500
_SHIFTS = np.geomspace(1e-3, 10.0, 128)


def smallest_visible(
    reference: NDArray[np.float64],
    spread: float,
    frequencies: NDArray[np.float64],
    splits: tuple[NDArray[np.complex128], NDArray[np.complex128]],
    sizes: tuple[int, int],
    threshold: float,
) -> float | None:
    """The smallest mean shift that would be flagged with 80 % power, in units of ``spread``.

    The random splits of the permutation test are draws of two samples of these sizes between
    which there is no difference. Into the second of each a shift is planted, along one of the
    reference's three leading directions, where its own spread hides a shift best, and the share
    of splits beyond the threshold is the power. In feature space a shift is a turn, so all this
    costs far less than the test.

    Args:
        reference: ``(n, dim)``.
        spread: the reference's total standard deviation, above 0.
        frequencies: ``(dim, count)``.
        splits: ``(permutations, count)`` feature sums of either side of random splits.
        sizes: rows of either side.
        threshold: of the statistic.

    Returns:
        None if not even a shift of ten times the spread would be seen.
    """
    ours, theirs = (sums[:_SPLITS] for sums in splits)
    angles = _leading_directions(reference) @ frequencies * spread
    turns = angles[np.arange(len(ours)) % len(angles)]

    def power(shift: float) -> float:
        moved = theirs * np.exp(1j * shift * turns)
        return float(np.mean(_rff.mmd2(ours, moved, *sizes) > threshold))

    low, high = -1, len(_SHIFTS) - 1
    if power(_SHIFTS[high]) < POWER:
        return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if power(_SHIFTS[middle]) >= POWER else (middle, high)
    return float(_SHIFTS[high])


def _leading_directions(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Unit vectors, ``(at most 3, dim)``, along which the rows spread most."""
    some = rows[np.linspace(0, len(rows) - 1, min(len(rows), _SPECTRUM_ROWS)).astype(np.intp)]
    some = some - some.mean(axis=0)
    _, spreads, directions = np.linalg.svd(some, full_matrices=False)
    return directions[: min(_DIRECTIONS, max(1, int(np.sum(spreads > spreads[0] * 1e-6))))]
