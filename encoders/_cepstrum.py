"""Mel-frequency cepstral coefficients over time, as librosa defines them.

Davis & Mermelstein 1980, and their first and second differences (Furui 1986), as slope and
curvature of a fitted polynomial.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from encoders._mel import log_mel

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from encoders.mfcc import Params

_DELTA_WIDTH, _LEAST_WIDTH = 9, 3


def mfcc(samples: NDArray[np.float32], rate: int, params: Params) -> NDArray[np.float32]:
    """The coefficients of a recording over time, as ``librosa.feature.mfcc`` defines them.

    Args:
        samples: ``(n,)`` float32 in [-1, 1].
        rate: their rate, Hz.
        params: the definition; librosa's ``n_mfcc`` is coefficients, for others see `log_mel`.

    Returns:
        ``(frames, coefficients)`` float32, of decibels.
    """
    import numpy as np
    from scipy.fft import dct

    cepstrum = dct(log_mel(samples, rate, params), axis=1, norm="ortho", overwrite_x=True)
    return np.array(cepstrum[:, : params.coefficients], dtype=np.float32)


def deltas(matrix: NDArray[np.float32], order: int) -> NDArray[np.float32]:
    """The slope (order 1) or curvature (2) of each column, as ``librosa.feature.delta``.

    A Savitzky-Golay filter of 9 rows; of as many as there are where there are fewer, and zero
    where these are under 3.

    Args:
        matrix: ``(frames, columns)`` float32.
        order: 1 or 2.

    Returns:
        ``(frames, columns)`` float32, a frame or a frame squared.
    """
    import numpy as np
    from scipy.signal import savgol_filter

    width = min(_DELTA_WIDTH, len(matrix) - (len(matrix) + 1) % 2)
    if width < _LEAST_WIDTH:
        return np.zeros_like(matrix)
    change = savgol_filter(matrix, width, polyorder=order, deriv=order, axis=0, mode="interp")
    return np.asarray(change, dtype=np.float32)
