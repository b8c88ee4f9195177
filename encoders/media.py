"""Bytes of a picture or a recording into what the encoders take, or one plain error.

Files from the field are cut off, mislabelled, sideways or hostile, and the libraries below answer
with a dozen kinds of exception, a warning, or silently with less than there was. Here everything
that is wrong with a file is a `MediaError`, so that one bad record becomes one dead letter.

Decoding may run in many threads: nothing global is touched, neither Pillow's switches nor the
warning filters (`warnings.catch_warnings` is not safe between threads). A warning that the user's
own filters make an error becomes a `MediaError` as well.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from io import SEEK_END, BytesIO
from typing import TYPE_CHECKING, Any

from encoders._colours import DepthError, to_rgb
from encoders._containers import CutOffError, complete

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy as np
    from numpy.typing import NDArray
    from PIL.Image import Image, Transpose

    from encoders._containers import Seekable

REVISION = 2
"""To be raised with any change of this file or `encoders._colours` that changes pixels or samples:
recipes name it."""

_ORIENTATION = 0x0112
"""The EXIF tag: 1 is upright, 2 to 8 are the other ways to hold a camera."""

_BLOCK_SAMPLES = 1 << 20
_SLOWEST, _FASTEST = 100, 10_000_000
_LOUDEST = 10.0
"""Float recordings may pass full scale a little; at 20 dB over it the scale is another one."""


_FORMATS = (
    "PNG", "JPEG", "GIF", "BMP", "PPM", "WEBP", "TIFF", "AVIF", "JPEG2000", "ICO", "DIB", "QOI",
    "SGI", "PCX", "TGA",
)  # fmt: skip
"""Pixels all of them. Pillow hands EPS to Ghostscript, a program of its own, and has some thirty
more that nobody keeps photographs in and everybody may send."""


class MediaError(Exception):
    """A picture or a recording cannot be decoded, or is not what it says it is."""


class LimitError(MediaError):
    """A picture or a recording is beyond what the limits allow; another limit lets it in."""


@dataclass(frozen=True)
class Limits:
    """What a file may cost before it is taken for a bomb: a few bytes that unpack to gigabytes.

    Attributes:
        max_bytes: of the file itself.
        max_pixels: of a picture, 3 bytes each once decoded. Pillow's own limit, twice
            ``PIL.Image.MAX_IMAGE_PIXELS``, holds too.
        max_seconds: of a recording.
        max_samples: of a recording, a channel, 4 bytes each once decoded: what a header says of
            the rate makes seconds cheap. The default is an hour at 48 kHz, and a little.
        max_channels: of a recording.

    Raises:
        ValueError: if one of them is not above 0.
    """

    max_bytes: int = 2**30
    max_pixels: int = 100_000_000
    max_seconds: float = 3600.0
    max_samples: int = 180_000_000
    max_channels: int = 64

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not value > 0:  # so that NaN is refused too
                raise ValueError(f"{name} must be above 0, got {value}")


DEFAULT = Limits()


@dataclass(frozen=True, eq=False)
class Audio:
    """A mono recording.

    Attributes:
        samples: ``(n,)`` float32 in [-1, 1].
        rate: samples a second, Hz, from 100 to 10,000,000.

    Raises:
        ValueError: if the samples are not one row of float32, or the rate is out of its range.
    """

    samples: NDArray[np.float32]
    rate: int

    def __post_init__(self) -> None:
        if self.samples.ndim != 1 or self.samples.dtype.str[1:] != "f4":
            raise ValueError(
                f"audio samples must be one row of float32, got shape {self.samples.shape} "
                f"of {self.samples.dtype}: average the channels, scale to [-1, 1], convert"
            )
        if not _SLOWEST <= self.rate <= _FASTEST:
            raise ValueError(
                f"audio rate must be {_SLOWEST} to {_FASTEST} samples a second, got {self.rate}"
            )


def decode_image(data: bytes, limits: Limits = DEFAULT) -> Image:
    """Decode a picture, turned upright, as 8-bit sRGB.

    Transparency is laid over white, more than 8 bits are scaled to 8, CMYK and the colours of a
    profile converted; of an animation the first frame is taken.

    Args:
        data: the file's bytes: AVIF, BMP, GIF, ICO, JPEG, JPEG 2000, PCX, PNG, PPM, QOI, SGI, TGA,
            TIFF or WebP.
        limits: larger ones are refused before they are decompressed.

    Raises:
        LimitError: if the picture is larger than the limits allow.
        MediaError: if the picture is empty, cut off or undecodable.
        MemoryError: if this machine cannot hold it.
    """
    from PIL import Image, UnidentifiedImageError

    if not data:
        raise MediaError("the image is empty: 0 bytes, expected an image file")
    _check_bytes(data, limits, "image")
    try:
        with Image.open(BytesIO(data), formats=_FORMATS) as image:
            _check_pixels(image, limits.max_pixels)
            image.load()
            # An icon says one size in its list, and holds a picture of another.
            _check_pixels(image, limits.max_pixels)
            turn, rgb = _turn(image), to_rgb(image)
            return rgb if turn is None else rgb.transpose(turn)
    except (MediaError, MemoryError):
        raise
    except DepthError as error:
        raise MediaError(str(error)) from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise LimitError(f"{error} Shrink the image") from error
    except UnidentifiedImageError as error:  # its own words name an address in memory
        raise MediaError(
            f"{_describe(data)} are in no image format that is read here; expected JPEG, PNG, "
            "WebP, GIF, TIFF or the like"
        ) from error
    except Exception as error:  # a damaged file makes Pillow raise almost anything
        raise MediaError(
            f"cannot decode {_describe(data)} as an image: {str(error) or type(error).__name__}; "
            "expected a complete image file"
        ) from error


def _check_bytes(data: bytes, limits: Limits, what: str) -> None:
    if len(data) > limits.max_bytes:
        raise too_many_bytes(what, limits)


def too_many_bytes(what: str, limits: Limits) -> LimitError:
    """The error for a file that is larger than the limits allow."""
    return LimitError(
        f"the {what} has more than the {limits.max_bytes:,} bytes allowed: make it smaller, or "
        "raise max_bytes in [limits]"
    )


def _check_pixels(image: Image, max_pixels: int) -> None:
    width, height = image.size
    if width * height > max_pixels:
        raise LimitError(
            f"the image has {width} x {height} pixels, more than the {max_pixels:,} allowed: "
            "shrink it, or raise max_pixels in [limits] if it is no decompression bomb"
        )


def _turn(image: Image) -> Transpose | None:
    """How a picture has to be turned to be upright."""
    from PIL.Image import Transpose

    try:
        orientation = image.getexif().get(_ORIENTATION, 1)
    except Exception:  # noqa: BLE001 - broken EXIF raises anything, and the pixels are good still
        return None
    return {
        2: Transpose.FLIP_LEFT_RIGHT,
        3: Transpose.ROTATE_180,
        4: Transpose.FLIP_TOP_BOTTOM,
        5: Transpose.TRANSPOSE,
        6: Transpose.ROTATE_270,
        7: Transpose.TRANSVERSE,
        8: Transpose.ROTATE_90,
    }.get(orientation)


def decode_audio(data: bytes, limits: Limits = DEFAULT) -> Audio:
    """Decode a recording (WAV, FLAC, OGG, MP3 and what else libsndfile reads) to mono.

    Channels are averaged; float samples a little over full scale are clipped to [-1, 1].

    Args:
        data: the file's bytes.
        limits: longer ones and those of more channels are refused before all is decoded.

    Raises:
        LimitError: if the recording is larger than the limits allow.
        MediaError: if the recording is empty, cut off or undecodable, or holds NaN, infinity or
            samples on another scale.
        MemoryError: if this machine cannot hold it.
    """
    _check_bytes(data, limits, "recording")
    with opened(data) as file:
        samples, rate = _read_mono(file, limits), int(file.samplerate)
    if not len(samples):
        raise MediaError(f"{_describe(data)} holds no audio samples; expected at least one")
    return as_audio(samples, rate)


@contextmanager
def opened(source: bytes | Seekable) -> Iterator[Any]:
    """A recording as soundfile has it, whatever is wrong with it told plainly.

    Args:
        source: the file's bytes; or what they are read from as they are needed, and then nobody
            has looked yet whether the recording is cut off.

    Raises:
        MediaError: if it is empty, cut off or cannot be decoded; within the block too.
    """
    import soundfile

    try:
        file = _Recording(complete(source)) if isinstance(source, bytes) else source
        if not file.seek(0, SEEK_END):
            raise MediaError("the recording is empty: 0 bytes, expected an audio file")
        file.seek(0)
        try:
            with soundfile.SoundFile(file) as found:
                check_rate(int(found.samplerate))
                yield found
        except soundfile.LibsndfileError as error:
            size = file.seek(0, SEEK_END)
            file.seek(0)
            raise MediaError(
                f"cannot decode {size} bytes beginning with {file.read(8)!r} as audio: "
                f"{error.error_string} Expected a complete WAV, FLAC, OGG or MP3 file"
            ) from error
    except CutOffError as error:
        raise MediaError(str(error)) from error


def as_audio(samples: NDArray[np.float32], rate: int) -> Audio:
    """Decoded samples as encoders take them: clipped, in place, to [-1, 1].

    Args:
        samples: ``(n,)`` float32, at least one.
        rate: Hz.

    Raises:
        MediaError: if some are NaN or infinite, or they are on another scale.
    """
    import numpy as np

    if not np.isfinite(samples).all():
        bad = int(np.count_nonzero(~np.isfinite(samples)))
        raise MediaError(
            f"{bad} of {len(samples)} audio samples are NaN or infinite; expected finite samples"
        )
    peak = float(max(samples.max(), -samples.min()))
    if peak > _LOUDEST:
        raise MediaError(
            f"audio samples peak at {peak:g}, expected [-1, 1]: divide float samples by the "
            "full scale they came from, such as 32768"
        )
    return Audio(np.clip(samples, -1, 1, out=samples), rate)


class _Recording(BytesIO):
    """A file to seek in without raising: the caller is C, where Python prints the error instead."""

    def seek(self, offset: int, whence: int = 0, /) -> int:
        try:
            return super().seek(offset, whence)
        except ValueError:  # a damaged header points before the beginning
            return self.tell()


def check_rate(rate: int) -> None:
    """Refuse a rate that no recording has.

    Raises:
        MediaError: if it is under 100 or over 10,000,000 Hz.
    """
    if not _SLOWEST <= rate <= _FASTEST:
        raise MediaError(
            f"the recording says that it has {rate} samples a second, expected {_SLOWEST} to "
            f"{_FASTEST}: its header is damaged"
        )


def _read_mono(file: Any, limits: Limits) -> NDArray[np.float32]:  # noqa: ANN401 - soundfile has no types
    """All samples, by what is there and not by what the header says alone."""
    declared = int(file.frames)
    check_size(declared, int(file.samplerate), int(file.channels), limits)
    blocks: list[NDArray[np.float32]] = []
    done = 0
    while len(block := read_block(file, _BLOCK_SAMPLES)):
        done += len(block)
        blocks.append(block)
        check_size(done, int(file.samplerate), int(file.channels), limits)
    if done < declared:
        raise MediaError(
            f"the recording is cut off: it declares {declared} frames and holds {done}"
        )
    return joined(blocks)


def read_block(file: Any, most: int) -> NDArray[np.float32]:  # noqa: ANN401 - as above
    """The next frames, so many values of all channels at most, averaged: ``(n,)`` float32."""
    channels = int(file.channels)
    block = file.read(max(1, most // channels), dtype="float32", always_2d=True)
    mono: NDArray[np.float32] = block[:, 0] if channels == 1 else block.mean(axis=1)
    return mono


def joined(blocks: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
    """Blocks one after another; none are no samples."""
    import numpy as np

    return np.concatenate(blocks) if blocks else np.empty(0, np.float32)


def check_size(frames: int, rate: int, channels: int, limits: Limits) -> None:
    """Refuse a recording that has, or says that it has, more than is allowed.

    Raises:
        LimitError: names the limit.
    """
    if channels > limits.max_channels:
        raise LimitError(
            f"the recording has {channels} channels, more than the {limits.max_channels} allowed: "
            "mix it down, or raise max_channels in [limits]"
        )
    if frames > limits.max_seconds * rate:
        raise LimitError(
            f"the recording lasts {frames / rate:.1f} s or more, expected at most "
            f"{limits.max_seconds:g} s: split it, or raise max_seconds in [limits]"
        )
    if frames > limits.max_samples:
        raise LimitError(
            f"the recording has {frames:,} samples or more, expected at most "
            f"{limits.max_samples:,}: split it, or raise max_samples in [limits]"
        )


def _describe(data: bytes) -> str:
    return f"{len(data)} bytes beginning with {data[:8]!r}"
