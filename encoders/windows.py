"""Long recordings as windows of equal length: where these lie, and one vector of them all.

Every kind that reads recordings takes the key ``window``; `encoders.base` hands it on to here, so
that no kind has to know of it.

Windows begin every ``seconds - overlap``. The last one is moved back to end where the recording
ends, so that all are equally long: a vector of half a second is no neighbour of one of ten. A
recording that is not longer than a window is one window.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np

from encoders.media import Audio

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

REVISION = 1
"""Raised whenever a recording would be cut elsewhere, or pooled otherwise; part of recipes."""

Span = tuple[int, int]
"""Of a recording, in ms from its beginning; the end is not in it."""


@dataclass(frozen=True)
class Window:
    """The keys of ``window = {...}``.

    Attributes:
        seconds: length of a window, in s, to the millisecond.
        overlap: seconds that a window shares with the one before it.
        pool: how the vectors of the windows become one vector a record; without it each window
            becomes a row of its own.

    Raises:
        ValueError: if a value is out of its range.
    """

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    seconds: float
    overlap: float = 0.0
    pool: Literal["mean", "max"] | None = None

    def __post_init__(self) -> None:
        if not (math.isfinite(self.seconds) and self.size >= 1):
            raise ValueError(f"window seconds must be 0.001 or more, got {self.seconds}")
        if not 0 <= self.overlap < self.seconds or self.hop < 1:
            raise ValueError(
                f"window overlap must be 0 or more and less than seconds = {self.seconds:g}, got "
                f"{self.overlap:g}"
            )

    @property
    def size(self) -> int:
        """Length of a window in ms."""
        return round(self.seconds * 1000)

    @property
    def hop(self) -> int:
        """From the beginning of one window to that of the next, in ms."""
        return self.size - round(self.overlap * 1000)

    def spans(self, duration: int) -> list[Span]:
        """Where the windows of a recording of so many ms lie, in order; at least one.

        They leave nothing out; all are ``size`` long, unless the recording is shorter.
        """
        if duration <= self.size:
            return [(0, duration)]
        last = duration - self.size
        return [(start, start + self.size) for start in [*range(0, last, self.hop), last]]

    def cut(self, audio: Audio) -> list[Audio]:
        """The windows of a recording, in order; they share its memory."""
        frames = len(audio.samples)
        places = [
            within(span, frames, audio.rate) for span in self.spans(duration(frames, audio.rate))
        ]
        return [Audio(audio.samples[start:stop], audio.rate) for start, stop in places]

    def parts(self, audio: Audio) -> list[Audio]:
        """As `cut`, but a window, which may touch a sample more than it lasts, stays one."""
        most = -(-self.size * audio.rate // 1000) + 1
        return [audio] if len(audio.samples) <= most else self.cut(audio)


def duration(frames: int, rate: int) -> int:
    """Length of a recording in ms, the last of them begun."""
    return -(-frames * 1000 // rate)


def within(span: Span, frames: int, rate: int) -> tuple[int, int]:
    """The samples that a span touches of a recording of so many: the first, and the one after."""
    start, end = span
    return start * rate // 1000, min(frames, -(-end * rate // 1000))


def pooled(
    vectors: NDArray[np.float32], lengths: Sequence[Sequence[int]], how: Literal["mean", "max"]
) -> NDArray[np.float32]:
    """The vectors of each recording's windows as one.

    Args:
        vectors: ``(windows, d)`` float32, recording by recording.
        lengths: of each recording's windows, in samples; at least one each.
        how: by their mean, weighted by length, or by the largest value in each dimension.

    Returns:
        ``(len(lengths), d)`` float32.
    """
    firsts = np.cumsum([0, *(len(of) for of in lengths[:-1])])
    if how == "max":
        most: NDArray[np.float32] = np.maximum.reduceat(vectors, firsts)
        return most
    weights = np.array([max(n, 1) for of in lengths for n in of], np.float64)[:, None]
    total = np.add.reduceat(vectors * weights, firsts)
    return (total / np.add.reduceat(weights, firsts)).astype(np.float32)
