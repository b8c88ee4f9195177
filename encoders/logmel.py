"""The log-mel spectrogram, pooled over time: what a recording sounds like, band by band.

A vector holds the moments of the level of each band, of its slope and of its curvature, see
`encoders._moments`, standardised with the mean and deviation of a fit sample. Beside `mfcc` it
has not gone through the cosine transform that parts the voice from the pitch: each dimension is a
frequency that can be read off, and one disturbed band disturbs no other.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from encoders._mel import Mel, filters, log_mel
from encoders._moments import Moments
from encoders._ranges import check_counts

if TYPE_CHECKING:
    from encoders.base import Modality

__all__ = ["MODALITY", "LogMel", "Params", "build"]

MODALITY: Modality = "audio"
REVISION = 1
"""Raised whenever equal parameters and state would give other vectors than before."""


@dataclass(frozen=True)
class Params(Mel):
    """The keys of ``[encoders.NAME]``: those of `Mel`, and these.

    Attributes:
        segments: equal parts of the time whose means are in the vector.
        batch_size: recordings encoded at a time; their samples are in memory together.

    Raises:
        ValueError: if a value is out of its range.
    """

    segments: int = 4
    batch_size: int = 16

    def __post_init__(self) -> None:
        super().__post_init__()
        check_counts(self, ("segments", "batch_size"))


class LogMel(Moments):
    """Recordings to ``(n, (6 + 2 * segments) * mels)`` float32, standardised.

    Raises:
        EncoderError: if mel bands are so narrow that no frequency falls into some of them.
    """

    def __init__(self, params: Params) -> None:
        filters(params)
        super().__init__("logmel", REVISION, params, partial(log_mel, mel=params), params.mels)


def build(params: Params) -> LogMel:
    """Build the encoder; it must be fitted or restored before it encodes.

    Raises:
        EncoderError: if mel bands are so narrow that no frequency falls into some of them.
    """
    return LogMel(params)
