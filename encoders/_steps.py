"""What a recurrent network reads of a recording: standardised bands, a few frames a step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from encoders._mel import log_mel
from encoders._recordings import check_finite

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from encoders._mel import Mel
    from encoders.media import Audio

    Frames = NDArray[np.float32]

_LEAST_SPREAD = 1e-3
"""Decibels; what varies less is silence."""


@dataclass(frozen=True)
class Reading:
    """How frames are read.

    Attributes:
        mel: the spectrogram.
        centre: whether the mean of each band over the recording is taken out of it, and with it
            loudness, microphone and much of the voice (cepstral mean subtraction: Atal 1974).
        stack: frames side by side in a step (Sak et al. 2015).
        span: frames that are read at a stretch, at most.
    """

    mel: Mel
    centre: bool
    stack: int
    span: int

    @property
    def features(self) -> int:
        """Of a step."""
        return self.mel.mels * self.stack

    def frames(self, recordings: Sequence[Audio]) -> Iterable[Frames]:
        """The decibels of each recording, ``(t, mels)`` float32.

        Raises:
            MediaError: if one holds NaN or infinity.
        """
        for row, audio in enumerate(recordings):
            check_finite(audio, row)
            heard = log_mel(audio.samples, audio.rate, self.mel)
            yield heard - heard.mean(axis=0) if self.centre else heard

    def spans(self, frames: Frames) -> list[Frames]:
        """A recording in equal parts of at most `span` frames."""
        return np.array_split(frames, -(-len(frames) // self.span))


@dataclass(frozen=True)
class Bands:
    """The usual level of each band, and how far it strays: ``(mels,)`` float32 each, decibels."""

    mean: NDArray[np.float32]
    scale: NDArray[np.float32]

    @classmethod
    def of(cls, frames: Sequence[Frames]) -> Bands:
        """Those of a sample, every frame counted alike."""
        count = sum(map(len, frames))
        zeros = np.zeros(frames[0].shape[1])
        mean = sum((heard.sum(axis=0, dtype=np.float64) for heard in frames), zeros) / count
        squares = sum((np.square(heard - mean).sum(axis=0) for heard in frames), zeros) / count
        spread = np.sqrt(squares)
        scale = np.where(spread > _LEAST_SPREAD, spread, 1.0)
        return cls(mean.astype(np.float32), scale.astype(np.float32))

    def standard(self, frames: Frames) -> Frames:
        """Frames of mean 0 and deviation 1 over the sample."""
        return (frames - self.mean) / self.scale


def stacked(frames: Frames, stack: int) -> Frames:
    """So many frames side by side, the last repeated: ``(ceil(t / stack), stack * mels)``."""
    missing = -len(frames) % stack
    whole = np.concatenate([frames, frames[-1:].repeat(missing, axis=0)])
    return whole.reshape(len(whole) // stack, -1)
