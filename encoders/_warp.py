"""Recordings heard otherwise: what a log-mel spectrogram may go through before it is learned from.

* a vocal tract of another length: vocal tract length perturbation (Jaitly & Hinton 2013),
* another pace: stretched in time (Ko et al. 2015, "Audio augmentation for speech recognition"),
* a beginning and an end that are cut a little,
* bands and times that are not heard: SpecAugment (Park et al. 2019), without its time warping.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from encoders._mel import centres

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from encoders._mel import Mel

    Frames = NDArray[np.float32]

_BEND_SHARE = 0.6
"""Of the highest frequency: up to there a warp is a plain factor; theirs: 4.8 of 8 kHz."""
_LEAST_FRAMES = 4
"""Shorter recordings keep all of them."""


@dataclass(frozen=True)
class Warp:
    """How far a recording may be from itself; each time another one is drawn.

    Attributes:
        tract: frequencies times 1 - tract to 1 + tract.
        pace: durations times 1 - pace to 1 + pace.
        crop: share of the frames that are cut from either end, at most.
        masks: of bands, and of times; how many each.
        mask_bands: widest mask of bands, as a share of them.
        mask_time: longest mask of times, as a share of the frames.
    """

    tract: float
    pace: float
    crop: float
    masks: int
    mask_bands: float
    mask_time: float

    def bent(self, frames: Frames, mel: Mel, rng: np.random.Generator) -> Frames:
        """Another voice, pace and extent: from ``(t, mels)`` decibels to ``(u, mels)``."""
        heard = frames
        if self.crop and len(heard) >= _LEAST_FRAMES:
            before, behind = (rng.uniform(0, self.crop, 2) * len(heard)).astype(np.int64)
            heard = heard[before : len(heard) - behind]
        if self.pace:
            longer = rng.uniform(1 - self.pace, 1 + self.pace)
            count = max(1, round(len(heard) * longer))
            heard = _between(heard, np.linspace(0, len(heard) - 1, count))
        if self.tract:
            factor = rng.uniform(1 - self.tract, 1 + self.tract)
            bands = np.interp(warped(mel, factor), centres(mel), np.arange(mel.mels))
            heard = _between(heard.T, bands).T
        return heard

    def masked(self, frames: Frames, rng: np.random.Generator) -> Frames:
        """Some of it left out, of standardised frames: the mean, 0, is put there."""
        hidden = frames.copy()
        count, bands = frames.shape
        for _ in range(self.masks):
            width = int(rng.uniform(0, self.mask_bands) * bands + 0.5)
            first = int(rng.integers(bands - width + 1))
            hidden[:, first : first + width] = 0
            width = int(rng.uniform(0, self.mask_time) * count + 0.5)
            first = int(rng.integers(count - width + 1))
            hidden[first : first + width] = 0
        return hidden


def warped(mel: Mel, factor: float) -> NDArray[np.float64]:
    """The frequencies heard in place of the bands' centres: ``(mels,)`` float64, Hz.

    Times the factor up to a bend, then straight on to half the rate, which stays where it is.
    """
    centre, top = centres(mel), mel.rate / 2
    bend = _BEND_SHARE * top * min(factor, 1) / factor
    above = top - (top - bend * factor) / (top - bend) * (top - centre)
    return np.where(centre <= bend, centre * factor, above)


def _between(rows: Frames, places: NDArray[np.float64]) -> Frames:
    """Rows at places between whole ones, by straight lines."""
    low = np.minimum(places.astype(np.int64), len(rows) - 1)
    share = (places - low).astype(np.float32)[:, None]
    high = np.minimum(low + 1, len(rows) - 1)
    between: Frames = (rows[low] * (1 - share) + rows[high] * share).astype(np.float32, copy=False)
    return between
