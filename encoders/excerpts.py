"""Parts of long recordings: how long one is, by its header, and the samples of a part alone.

Where a format has its samples in place, a part is read by seeking. The others (OGG, MP3, ADPCM) are
decoded from the beginning and then cut: after a seek libsndfile gives other samples than before
one, a little in Opus and MP3, and what a part holds must not depend on what was read before it.
"""

from __future__ import annotations

from errno import EINVAL
from io import SEEK_END, SEEK_SET
from typing import TYPE_CHECKING, BinaryIO

from encoders import media
from encoders._containers import CutOffError, complete, unsized
from encoders.media import DEFAULT, Audio, Limits, MediaError
from encoders.windows import duration, within

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from encoders.windows import Span

_IN_PLACE = ("PCM_", "FLOAT", "DOUBLE", "ULAW", "ALAW")
_CONTAINERS = frozenset({"WAV", "WAVEX", "RF64", "W64", "AIFF", "AU", "FLAC"})
_BLOCK = 1 << 20


class Excerpts:
    """A recording of which parts are asked for; threads may share it.

    Args:
        data: the file's bytes.
        limits: as for `encoders.media.decode_audio`, of the whole recording.

    Raises:
        LimitError: if the recording is larger than the limits allow.
        MediaError: if it cannot be opened; where it has to be decoded from the beginning, if
            anything is wrong with any of it.
        MemoryError: if this machine cannot hold it.
    """

    def __init__(self, data: bytes, limits: Limits = DEFAULT) -> None:
        if len(data) > limits.max_bytes:
            raise media.too_many_bytes("recording", limits)
        # Once for all parts: of a streamed WAV it makes a copy.
        self._data = data = _complete(data)
        self._whole: Audio | None = None
        with media.opened(data) as file:
            media.check_size(file.frames, file.samplerate, file.channels, limits)
            if file.format in _CONTAINERS and str(file.subtype).startswith(_IN_PLACE):
                return
        self._whole, self._data = media.decode_audio(data, limits), b""

    def part(self, span: Span) -> Audio:
        """The samples of a part, on their own memory.

        Args:
            span: in ms.

        Raises:
            MediaError: if the recording ends before the part does, or that cannot be decoded.
        """
        whole = self._whole
        if whole is not None:
            length = len(whole.samples)
            _check_there(span, length, whole.rate)
            start, stop = within(span, length, whole.rate)
            return Audio(whole.samples[start:stop].copy(), whole.rate)
        with media.opened(self._data) as file:
            rate = int(file.samplerate)
            _check_there(span, int(file.frames), rate)
            start, stop = within(span, int(file.frames), rate)
            file.seek(start)
            samples = _read(file, stop - start)
        if len(samples) < stop - start:
            raise MediaError(
                f"the recording is cut off: {stop - start} frames were expected from frame {start} "
                f"on, and {len(samples)} are there"
            )
        return media.as_audio(samples, rate)


def _complete(data: bytes) -> bytes:
    try:
        return complete(data)
    except CutOffError as error:
        raise MediaError(str(error)) from error


def _check_there(span: Span, frames: int, rate: int) -> None:
    if span[1] > duration(frames, rate) or span[0] >= span[1]:
        raise MediaError(
            f"the recording is cut off: it was to last {span[1]} ms at least, and lasts "
            f"{duration(frames, rate)}"
        )


def _read(file: object, frames: int) -> NDArray[np.float32]:
    blocks: list[NDArray[np.float32]] = []
    while frames > 0:
        channels = int(file.channels)  # type: ignore[attr-defined] # soundfile has no types
        block = media.read_block(file, min(_BLOCK, frames * channels))
        if not len(block):
            break
        frames -= len(block)
        blocks.append(block)
    return media.joined(blocks)


def length(file: BinaryIO, limits: Limits = DEFAULT) -> int:
    """How long a recording is, in ms, by its header: what that says is not yet seen to be there.

    Args:
        file: read where it has to be; of MP3 all of it, since it says nowhere how long it is.
        limits: as for `encoders.media.decode_audio`.

    Raises:
        LimitError: if the recording is larger than the limits allow.
        MediaError: if it is empty, cut off or no recording.
        OSError: if the file cannot be read.
    """
    held = _Held(file)
    try:
        found = _length(held, limits)
    except MediaError:
        if held.error is not None:  # libsndfile takes it for the end of the file
            raise held.error from None
        raise
    if held.error is not None:
        raise held.error
    return found


def _length(file: _Held, limits: Limits) -> int:
    if file.seek(0, SEEK_END) > limits.max_bytes:
        raise media.too_many_bytes("recording", limits)
    try:
        streamed = unsized(file) is not None
    except CutOffError as error:
        raise MediaError(str(error)) from error
    file.seek(0)
    with media.opened(file.read() if streamed else file) as found:
        frames, rate = int(found.frames), int(found.samplerate)
        media.check_size(frames, rate, int(found.channels), limits)
    if not frames:
        raise MediaError("the recording holds no audio samples; expected at least one")
    return duration(frames, rate)


class _Held:
    """A file for a caller in C, where Python would print an error and go on: it is held instead."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.error: OSError | None = None

    def read(self, n: int = -1, /) -> bytes:
        try:
            return self._file.read(n)
        except OSError as error:
            self.error = error
            return b""

    def seek(self, offset: int, whence: int = SEEK_SET, /) -> int:
        try:
            return self._file.seek(offset, whence)
        except ValueError:  # a damaged header points before the beginning
            return self._file.tell()
        except OSError as error:
            # A file of this machine says so too where it is asked to go before its beginning.
            if error.errno != EINVAL:
                self.error = error
            return self._file.tell()

    def tell(self) -> int:
        return self._file.tell()
