"""The log-mel spectrogram of a recording, as librosa defines it.

Short-time spectra summed into bands on the mel scale of Slaney's Auditory Toolbox (1998), each of
equal area, in decibels: what `encoders.mfcc`, `encoders.logmel` and `encoders.lstm` begin with.
Written with numpy and scipy, since librosa takes many seconds to compile itself at its first call.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import lru_cache
from math import log
from typing import TYPE_CHECKING

from encoders._ranges import check_count
from encoders._resample import resample
from encoders.base import EncoderError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_BLOCK_SAMPLES = 1 << 20
_POWER_FLOOR = 1e-10
_BEND_HERTZ = 1000.0


@dataclass(frozen=True)
class Mel:
    """What a log-mel spectrogram is; the parameters of an encoder of recordings begin with it.

    Attributes:
        rate: Hz that every recording is resampled to.
        mels: bands of the mel filter bank.
        window_ms: length of a frame, in ms.
        hop_ms: from one frame to the next, in ms.
        fmin: lowest frequency, Hz.
        fmax: highest frequency, Hz; half the rate if left out.
        top_db: what is quieter than a recording's loudest band by more than this is raised to
            it, so that digital silence and faint noise look alike.

    Raises:
        ValueError: if a value is out of its range.
    """

    rate: int = 16_000
    mels: int = 40
    window_ms: float = 25.0
    hop_ms: float = 10.0
    fmin: float = 0.0
    fmax: float | None = None
    top_db: float = 50.0

    def __post_init__(self) -> None:
        for name, least in {"mels": 1, "rate": 1000}.items():
            check_count(name, getattr(self, name), least)
        if not 0 < self.hop_ms <= self.window_ms:
            raise ValueError(
                "hop_ms and window_ms must be 0 < hop_ms <= window_ms, "
                f"got {self.hop_ms} and {self.window_ms}"
            )
        if min(self.window, self.hop) < 1:
            raise ValueError(
                f"hop_ms {self.hop_ms} is less than a sample at {self.rate} Hz: make it longer"
            )
        if not 0 <= self.fmin < self.top_frequency <= self.rate / 2:
            raise ValueError(
                f"fmin and fmax must be 0 <= fmin < fmax <= {self.rate / 2:g} Hz, half the rate, "
                f"got {self.fmin} and {self.fmax}"
            )
        if not self.top_db > 0:  # NaN too
            raise ValueError(f"top_db must be positive, got {self.top_db}")

    @property
    def window(self) -> int:
        """Length of a frame in samples."""
        return round(self.rate * self.window_ms / 1000)

    @property
    def hop(self) -> int:
        """From one frame to the next, in samples."""
        return round(self.rate * self.hop_ms / 1000)

    @property
    def fft(self) -> int:
        """Length of the Fourier transform: the power of two that holds a frame."""
        return 1 << (self.window - 1).bit_length()

    @property
    def top_frequency(self) -> float:
        """``fmax``, or half the rate."""
        return self.rate / 2 if self.fmax is None else self.fmax


def log_mel(samples: NDArray[np.float32], rate: int, mel: Mel) -> NDArray[np.float32]:
    """The level of each band over time: ``librosa.feature.melspectrogram``, ``power_to_db``.

    Frames are centred, with silence around the recording: one of n samples at ``mel.rate`` has
    ``1 + n // hop`` frames. librosa's names for the parameters: ``n_mels`` is mels,
    ``win_length`` and ``hop_length`` the window and the hop in samples, ``n_fft`` the power of
    two that holds the window.

    Args:
        samples: ``(n,)`` float32 in [-1, 1].
        rate: their rate, Hz.
        mel: the definition.

    Returns:
        ``(frames, mels)`` float32, decibels of a power of 1.

    Raises:
        EncoderError: see `filters`.
    """
    import numpy as np

    decibels = _decibels(resample(samples, rate, mel.rate), mel)
    np.maximum(decibels, decibels.max() - mel.top_db, out=decibels)
    return decibels


def _decibels(samples: NDArray[np.float32], mel: Mel) -> NDArray[np.float32]:
    """By blocks, since spectra dwarf the samples."""
    import numpy as np
    from scipy.fft import rfft

    window, bank = filters(mel)
    frames = 1 + len(samples) // mel.hop
    decibels = np.empty((frames, mel.mels), np.float32)
    step = max(1, _BLOCK_SAMPLES // mel.fft)
    for first in range(0, frames, step):
        count = min(step, frames - first)
        start = first * mel.hop - mel.fft // 2
        stop = start + (count - 1) * mel.hop + mel.fft
        block = np.zeros(stop - start)
        inside = samples[max(start, 0) : stop]
        block[max(-start, 0) :][: len(inside)] = inside
        cut = np.lib.stride_tricks.sliding_window_view(block, mel.fft)[:: mel.hop]
        power = np.abs(rfft(cut * window, axis=1)) ** 2 @ bank.T
        decibels[first : first + count] = 10 * np.log10(np.maximum(power, _POWER_FLOOR))
    return decibels


def filters(mel: Mel) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The Hann window, ``(fft,)``, and the mel filter bank, ``(mels, 1 + fft // 2)``, float64.

    Raises:
        EncoderError: if a band is so narrow that no frequency of the spectrum falls into it.
    """
    return _filters(Mel(**{field.name: getattr(mel, field.name) for field in fields(Mel)}))


@lru_cache(maxsize=8)
def _filters(mel: Mel) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    import numpy as np
    from scipy.signal import get_window

    window = np.zeros(mel.fft)
    before = (mel.fft - mel.window) // 2
    window[before : before + mel.window] = get_window("hann", mel.window)
    edges = _edges(mel)
    bins = np.fft.rfftfreq(mel.fft, 1 / mel.rate)
    rise = (bins - edges[:-2, None]) / np.diff(edges)[:-1, None]
    fall = (edges[2:, None] - bins) / np.diff(edges)[1:, None]
    bank = np.maximum(0, np.minimum(rise, fall)) * (2 / (edges[2:] - edges[:-2]))[:, None]
    deaf = int(np.count_nonzero(~bank.any(axis=1)))
    if deaf:
        raise EncoderError(
            f"{deaf} of {mel.mels} mel bands from {mel.fmin:g} to "
            f"{mel.top_frequency:g} Hz fall between the {len(bins)} frequencies of a "
            f"{mel.window_ms:g} ms window: take fewer mels, or a longer window_ms"
        )
    return window, bank


def centres(mel: Mel) -> NDArray[np.float64]:
    """Where each band peaks, ``(mels,)`` float64, Hz, ascending."""
    return _edges(mel)[1:-1]


def _edges(mel: Mel) -> NDArray[np.float64]:
    """Where bands begin, peak and end: ``(mels + 2,)`` float64, Hz; a band has three in a row."""
    import numpy as np

    low, high = _to_mel(mel.fmin), _to_mel(mel.top_frequency)
    return _from_mel(np.linspace(low, high, mel.mels + 2))


def _to_mel(hertz: float) -> float:
    """Slaney's scale: even up to 1 kHz, which is mel 15, then 27 steps for a factor of 6.4."""
    return hertz * 0.015 if hertz < _BEND_HERTZ else 15 + 27 * log(hertz / _BEND_HERTZ, 6.4)


def _from_mel(mel: NDArray[np.float64]) -> NDArray[np.float64]:
    import numpy as np

    above = _BEND_HERTZ * 6.4 ** ((np.maximum(mel, 15) - 15) / 27)
    return np.where(mel < 15, mel / 0.015, above)  # noqa: PLR2004 - the bend, as above
