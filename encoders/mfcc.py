"""Mel-frequency cepstral coefficients, pooled over time: a small, fast vector for a recording.

A vector holds the moments of each coefficient, of its slope and of its curvature, see
`encoders._moments`. Coefficient 0, the loudness, varies many times as much as the last: every
dimension is therefore standardised with the mean and deviation of a fit sample. The distance is
the cosine of what is left: two recordings are near if they differ from the usual in the same way,
however strongly.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from encoders._cepstrum import deltas, mfcc
from encoders._mel import Mel, filters
from encoders._moments import Moments, pool
from encoders._ranges import check_counts

if TYPE_CHECKING:
    from encoders.base import Modality

__all__ = ["MODALITY", "Mfcc", "Params", "build", "deltas", "mfcc", "pool"]

MODALITY: Modality = "audio"
REVISION = 1
"""Raised whenever equal parameters and state would give other vectors than before."""


@dataclass(frozen=True)
class Params(Mel):
    """The keys of ``[encoders.NAME]``: those of `Mel`, and these.

    Attributes:
        coefficients: how many are kept of the cepstrum, the loudness among them.
        segments: equal parts of the time whose means are in the vector.
        batch_size: recordings encoded at a time; their samples are in memory together.

    Raises:
        ValueError: if a value is out of its range.
    """

    coefficients: int = 20
    segments: int = 4
    batch_size: int = 16

    def __post_init__(self) -> None:
        super().__post_init__()
        check_counts(self, ("coefficients", "segments", "batch_size"))
        if self.coefficients > self.mels:
            raise ValueError(
                f"coefficients must be at most mels, got {self.coefficients} of {self.mels} bands"
            )


class Mfcc(Moments):
    """Recordings to ``(n, (6 + 2 * segments) * coefficients)`` float32, standardised.

    Raises:
        EncoderError: if mel bands are so narrow that no frequency falls into some of them.
    """

    def __init__(self, params: Params) -> None:
        filters(params)
        super().__init__(
            "mfcc", REVISION, params, partial(mfcc, params=params), params.coefficients
        )


def build(params: Params) -> Mfcc:
    """Build the encoder; it must be fitted or restored before it encodes.

    Raises:
        EncoderError: if mel bands are so narrow that no frequency falls into some of them.
    """
    return Mfcc(params)
