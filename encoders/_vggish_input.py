"""What VGGish hears: log-mel examples of 0.96 s, as AudioSet's own code makes them.

Hershey et al. 2017, and the published parameters of Gemmeke et al. 2017: magnitudes of 25 ms frames
under a periodic Hann window every 10 ms, summed into 64 bands on HTK's mel scale from 125 to
7,500 Hz, and the logarithm of that plus 0.01. The bands are triangles over *mels*, as in HTK, and
not over hertz, as in librosa with ``htk=True``. Nothing is centred: a frame begins with its window.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

RATE = 16_000
FRAMES, BANDS = 96, 64
HOP_SECONDS = 0.01

_WINDOW, _HOP, _FFT = 400, 160, 512
_LEAST_SAMPLES = _WINDOW + (FRAMES - 1) * _HOP
_LOWEST, _HIGHEST = 125.0, 7500.0
_OFFSET = 0.01
_BLOCK_FRAMES = 2048


def examples(samples: NDArray[np.float32], hop: int) -> NDArray[np.float32]:
    """A recording as examples, a view into its spectrogram.

    One shorter than an example, 15,600 samples, is followed by silence to that length. Of a longer
    one the rest that fills no example is not heard, as in the published code.

    Args:
        samples: ``(n,)`` float32 in [-1, 1] at 16 kHz.
        hop: frames from one example to the next.

    Returns:
        ``(examples, 96, 64)`` float32, natural logarithms; at least one example.
    """
    if len(samples) < _LEAST_SAMPLES:
        samples = np.pad(samples, (0, _LEAST_SAMPLES - len(samples)))
    spectrogram = log_mel(samples)
    cut = np.lib.stride_tricks.sliding_window_view(spectrogram, FRAMES, axis=0)[::hop]
    return cut.transpose(0, 2, 1)


def log_mel(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """``log(mel + 0.01)`` of each frame, ``(frames, 64)`` float32; none for under 400 samples."""
    from scipy.fft import rfft

    window, bank = _filters()
    frames = max(0, 1 + (len(samples) - _WINDOW) // _HOP)
    logs = np.empty((frames, BANDS), np.float32)
    for first in range(0, frames, _BLOCK_FRAMES):  # spectra dwarf the samples
        last = min(frames, first + _BLOCK_FRAMES)
        block = samples[first * _HOP : (last - 1) * _HOP + _WINDOW].astype(np.float64)
        cut = np.lib.stride_tricks.sliding_window_view(block, _WINDOW)[::_HOP]
        logs[first:last] = np.log(np.abs(rfft(cut * window, _FFT, axis=1)) @ bank + _OFFSET)
    return logs


@cache
def _filters() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The window ``(400,)`` and the mel filter bank ``(257, 64)``."""
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(_WINDOW) / _WINDOW)
    bins = _mels(np.fft.rfftfreq(_FFT, 1 / RATE))[:, None]
    edges = np.linspace(_mels(_LOWEST), _mels(_HIGHEST), BANDS + 2)
    rise = (bins - edges[:-2]) / np.diff(edges)[:-1]
    fall = (edges[2:] - bins) / np.diff(edges)[1:]
    return window, np.maximum(0, np.minimum(rise, fall))


def _mels(hertz: float | NDArray[np.floating]) -> NDArray[np.float64]:
    """HTK's scale; its factor, 1127, cancels out."""
    return np.log1p(np.asarray(hertz) / 700)
