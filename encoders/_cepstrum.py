"""Mel-frequency cepstral coefficients over time, as librosa defines them.

Davis & Mermelstein 1980, with the mel scale and the area norm of Slaney's Auditory Toolbox (1998),
and their first and second differences (Furui 1986), as slope and curvature of a fitted polynomial.
Written with numpy and scipy, since librosa takes many seconds to compile itself at its first call.
"""

from __future__ import annotations

from fractions import Fraction
from functools import lru_cache
from math import log
from typing import TYPE_CHECKING

from encoders.base import EncoderError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from encoders.mfcc import Params

_BLOCK_SAMPLES = 1 << 20
_DELTA_WIDTH, _LEAST_WIDTH = 9, 3
_POWER_FLOOR = 1e-10
_LARGEST_RATIO = 20_000
"""Of the resampler: its filter grows with it, and one nearby is off by less than 1 in 10,000."""

_BEND_HERTZ = 1000.0


def mfcc(samples: NDArray[np.float32], rate: int, params: Params) -> NDArray[np.float32]:
    """The coefficients of a recording over time, as ``librosa.feature.mfcc`` defines them.

    Frames are centred, with silence around the recording: one of n samples at ``params.rate`` has
    ``1 + n // hop`` frames. librosa's names for the parameters: ``n_mfcc`` is coefficients,
    ``n_mels`` mels, ``win_length`` and ``hop_length`` the window and the hop in samples, ``n_fft``
    the power of two that holds the window.

    Args:
        samples: ``(n,)`` float32 in [-1, 1].
        rate: their rate, Hz.
        params: the definition.

    Returns:
        ``(frames, coefficients)`` float32, of decibels.
    """
    import numpy as np
    from scipy.fft import dct

    decibels = _mel_decibels(_resample(samples, rate, params.rate), params)
    np.maximum(decibels, decibels.max() - params.top_db, out=decibels)
    cepstrum = dct(decibels, axis=1, norm="ortho", overwrite_x=True)
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


def _resample(samples: NDArray[np.float32], rate: int, to: int) -> NDArray[np.float32]:
    import numpy as np
    from scipy.signal import resample_poly

    if rate == to or not len(samples):
        return samples
    ratio = Fraction(to, rate).limit_denominator(_LARGEST_RATIO)
    return np.asarray(resample_poly(samples, ratio.numerator, ratio.denominator), dtype=np.float32)


def _mel_decibels(samples: NDArray[np.float32], params: Params) -> NDArray[np.float32]:
    """Level of each mel band, ``(frames, mels)``; by blocks, since spectra dwarf the samples."""
    import numpy as np
    from scipy.fft import rfft

    window, bank = filters(params)
    frames = 1 + len(samples) // params.hop
    decibels = np.empty((frames, params.mels), np.float32)
    step = max(1, _BLOCK_SAMPLES // params.fft)
    for first in range(0, frames, step):
        count = min(step, frames - first)
        start = first * params.hop - params.fft // 2
        stop = start + (count - 1) * params.hop + params.fft
        block = np.zeros(stop - start)
        inside = samples[max(start, 0) : stop]
        block[max(-start, 0) :][: len(inside)] = inside
        cut = np.lib.stride_tricks.sliding_window_view(block, params.fft)[:: params.hop]
        power = np.abs(rfft(cut * window, axis=1)) ** 2 @ bank.T
        decibels[first : first + count] = 10 * np.log10(np.maximum(power, _POWER_FLOOR))
    return decibels


@lru_cache(maxsize=8)
def filters(params: Params) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The Hann window, ``(fft,)``, and the mel filter bank, ``(mels, 1 + fft // 2)``, float64.

    Raises:
        EncoderError: if a band is so narrow that no frequency of the spectrum falls into it.
    """
    import numpy as np
    from scipy.signal import get_window

    window = np.zeros(params.fft)
    before = (params.fft - params.window) // 2
    window[before : before + params.window] = get_window("hann", params.window)
    low, high = _to_mel(params.fmin), _to_mel(params.top_frequency)
    edges = _from_mel(np.linspace(low, high, params.mels + 2))
    bins = np.fft.rfftfreq(params.fft, 1 / params.rate)
    rise = (bins - edges[:-2, None]) / np.diff(edges)[:-1, None]
    fall = (edges[2:, None] - bins) / np.diff(edges)[1:, None]
    bank = np.maximum(0, np.minimum(rise, fall)) * (2 / (edges[2:] - edges[:-2]))[:, None]
    deaf = int(np.count_nonzero(~bank.any(axis=1)))
    if deaf:
        raise EncoderError(
            f"{deaf} of {params.mels} mel bands from {params.fmin:g} to "
            f"{params.top_frequency:g} Hz fall between the {len(bins)} frequencies of a "
            f"{params.window_ms:g} ms window: take fewer mels, or a longer window_ms"
        )
    return window, bank


def _to_mel(hertz: float) -> float:
    """Slaney's scale: even up to 1 kHz, which is mel 15, then 27 steps for a factor of 6.4."""
    return hertz * 0.015 if hertz < _BEND_HERTZ else 15 + 27 * log(hertz / _BEND_HERTZ, 6.4)


def _from_mel(mel: NDArray[np.float64]) -> NDArray[np.float64]:
    import numpy as np

    above = _BEND_HERTZ * 6.4 ** ((np.maximum(mel, 15) - 15) / 27)
    return np.where(mel < 15, mel / 0.015, above)  # noqa: PLR2004 - the bend, as above
