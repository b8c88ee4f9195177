"""Recordings of any rate at the rate that an encoder wants."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_LARGEST_RATIO = 20_000
"""Of the resampler: its filter grows with it, and one nearby is off by less than 1 in 10,000."""


def resample(samples: NDArray[np.float32], rate: int, to: int) -> NDArray[np.float32]:
    """A recording at another rate, by a polyphase filter.

    Args:
        samples: ``(n,)`` float32.
        rate: their rate, Hz.
        to: the rate wanted, Hz.

    Returns:
        ``(m,)`` float32, about ``n * to / rate`` samples; the same array where nothing changes.
    """
    import numpy as np
    from scipy.signal import resample_poly

    if rate == to or not len(samples):
        return samples
    ratio = Fraction(to, rate).limit_denominator(_LARGEST_RATIO)
    return np.asarray(resample_poly(samples, ratio.numerator, ratio.denominator), dtype=np.float32)
