"""Bytes of a picture or a recording into what the encoders take, or one plain error.

Files from the field are cut off, mislabelled, sideways or hostile, and the libraries below answer
with a dozen kinds of exception, a warning, or silently with less than there was. Here everything
that is wrong with a file is a `MediaError`, so that one bad record becomes one dead letter.

Decoding may run in many threads: nothing global is touched, neither Pillow's switches nor the
warning filters (`warnings.catch_warnings` is not safe between threads). A warning that the user's
own filters make an error becomes a `MediaError` as well.
"""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL.Image import Image

REVISION = 1
"""To be raised with any change of this file that changes pixels or samples: recipes name it."""

_ORIENTATION = 0x0112
"""The EXIF tag: 1 is upright, 2 to 8 are the other ways to hold a camera."""

_BLOCK_FRAMES = 1 << 18
_SLOWEST, _FASTEST = 100, 10_000_000
_LOUDEST = 10.0
"""Float recordings may pass full scale a little; at 20 dB over it the scale is another one."""

_OGG_HEADER = 27
_STREAMED = 0x7FFF_F000
"""Sizes from here on are what programs write that cannot seek back to fill in the true one."""


class MediaError(Exception):
    """A picture or a recording cannot be decoded, or is not what it says it is."""


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


def decode_image(data: bytes, max_pixels: int = 100_000_000) -> Image:
    """Decode a picture, turned upright, as 8-bit RGB.

    Transparency is laid over white, 16-bit grey scaled to 8, CMYK converted; of an animation the
    first frame is taken.

    Args:
        data: the file's bytes, in any format that Pillow reads.
        max_pixels: refuse larger ones before they are decompressed. Pillow's own limit, twice
            ``PIL.Image.MAX_IMAGE_PIXELS``, holds too.

    Raises:
        MediaError: if the picture is empty, cut off, too large or undecodable.
    """
    from PIL import Image, UnidentifiedImageError

    if not data:
        raise MediaError("the image is empty: 0 bytes, expected an image file")
    try:
        with Image.open(BytesIO(data)) as image:
            _check_pixels(image, max_pixels)
            image.load()
            return _to_rgb(_upright(image))
    except MediaError:
        raise
    except UnidentifiedImageError as error:  # its own words name an address in memory
        raise MediaError(
            f"{_describe(data)} are in no image format that Pillow knows; expected JPEG, PNG, "
            "WebP, GIF, TIFF or the like"
        ) from error
    except Exception as error:  # a damaged file makes Pillow raise almost anything
        raise MediaError(
            f"cannot decode {_describe(data)} as an image: {str(error) or type(error).__name__}; "
            "expected a complete image file"
        ) from error


def _check_pixels(image: Image, max_pixels: int) -> None:
    width, height = image.size
    if width * height > max_pixels:
        raise MediaError(
            f"the image has {width} x {height} pixels, more than the {max_pixels:,} allowed: "
            "shrink it, or raise max_pixels if it is no decompression bomb"
        )


def _upright(image: Image) -> Image:
    from PIL.Image import Transpose

    try:
        orientation = image.getexif().get(_ORIENTATION, 1)
    except Exception:  # noqa: BLE001 - broken EXIF raises anything, and the pixels are good still
        return image
    turn = {
        2: Transpose.FLIP_LEFT_RIGHT,
        3: Transpose.ROTATE_180,
        4: Transpose.FLIP_TOP_BOTTOM,
        5: Transpose.TRANSPOSE,
        6: Transpose.ROTATE_270,
        7: Transpose.TRANSVERSE,
        8: Transpose.ROTATE_90,
    }.get(orientation)
    return image if turn is None else image.transpose(turn)


def _to_rgb(image: Image) -> Image:
    from PIL import Image as Pillow

    if image.mode.startswith("I") or image.mode == "F":
        return _deep_grey(image).convert("RGB")
    if not image.has_transparency_data:
        return image.convert("RGB")
    rgba = image.convert("RGBA")
    white = Pillow.new("RGBA", rgba.size, (255, 255, 255, 255))
    return Pillow.alpha_composite(white, rgba).convert("RGB")


def _deep_grey(image: Image) -> Image:
    """Scale grey of more than 8 bits; Pillow's own conversion clips it at 255 instead."""
    import numpy as np
    from PIL import Image as Pillow

    full = 1.0 if image.mode == "F" else 65535.0
    values = np.asarray(image).astype(np.float64)
    if not (np.isfinite(values).all() and values.min() >= 0 and values.max() <= full):
        raise MediaError(
            f"the image (mode {image.mode}) has grey values from {values.min():g} to "
            f"{values.max():g}, expected 0 to {full:g}: rescale it before it comes here"
        )
    return Pillow.fromarray(np.rint(values * (255 / full)).astype(np.uint8))


def decode_audio(data: bytes, max_seconds: float = 3600) -> Audio:
    """Decode a recording (WAV, FLAC, OGG, MP3 and what else libsndfile reads) to mono.

    Channels are averaged; float samples a little over full scale are clipped to [-1, 1].

    Args:
        data: the file's bytes.
        max_seconds: refuse longer ones before all of them is decoded.

    Raises:
        MediaError: if the recording is empty, cut off, too long or undecodable, or holds NaN,
            infinity or samples on another scale.
    """
    import numpy as np
    import soundfile

    if not data:
        raise MediaError("the recording is empty: 0 bytes, expected an audio file")
    data = _complete(data)
    try:
        with soundfile.SoundFile(_Recording(data)) as file:
            rate = _plausible_rate(int(file.samplerate))
            samples = _read_mono(file, max_seconds)
    except soundfile.LibsndfileError as error:
        raise MediaError(
            f"cannot decode {_describe(data)} as audio: {error.error_string} Expected a complete "
            "WAV, FLAC, OGG or MP3 file"
        ) from error
    if not len(samples):
        raise MediaError(f"{_describe(data)} holds no audio samples; expected at least one")
    if not np.isfinite(samples).all():
        bad = int(np.count_nonzero(~np.isfinite(samples)))
        raise MediaError(
            f"{bad} of {len(samples)} audio samples are NaN or infinite; expected finite samples"
        )
    peak = float(np.abs(samples).max())
    if peak > _LOUDEST:
        raise MediaError(
            f"audio samples peak at {peak:g}, expected [-1, 1]: divide float samples by the "
            "full scale they came from, such as 32768"
        )
    return Audio(np.clip(samples, -1, 1), rate)


class _Recording(BytesIO):
    """A file to seek in without raising: the caller is C, where Python prints the error instead."""

    def seek(self, offset: int, whence: int = 0, /) -> int:
        try:
            return super().seek(offset, whence)
        except ValueError:  # a damaged header points before the beginning
            return self.tell()


def _plausible_rate(rate: int) -> int:
    if not _SLOWEST <= rate <= _FASTEST:
        raise MediaError(
            f"the recording says that it has {rate} samples a second, expected {_SLOWEST} to "
            f"{_FASTEST}: its header is damaged"
        )
    return rate


def _read_mono(file: Any, max_seconds: float) -> NDArray[np.float32]:  # noqa: ANN401 - soundfile has no types
    import numpy as np

    declared = int(file.frames)
    limit = int(max_seconds * file.samplerate)
    blocks: list[NDArray[np.float32]] = []
    done = 0
    while True:
        if max(done, declared) > limit:
            raise MediaError(
                f"the recording lasts {max(done, declared) / file.samplerate:.1f} s or more, "
                f"expected at most {max_seconds:g} s: split it, or raise max_seconds"
            )
        block = file.read(_BLOCK_FRAMES, dtype="float32", always_2d=True)
        if not len(block):
            break
        done += len(block)
        blocks.append(block[:, 0] if block.shape[1] == 1 else block.mean(axis=1))
    if done < declared:
        raise MediaError(
            f"the recording is cut off: it declares {declared} frames and holds {done}"
        )
    return np.concatenate(blocks) if blocks else np.empty(0, np.float32)


def _complete(data: bytes) -> bytes:
    """Refuse a file cut off in its samples, where libsndfile shortens it without a word.

    That is so for WAV, RF64, AIFF and OGG. The others it refuses itself, but for MP3, which has
    no length to miss, and the rare AU, CAF and W64, which are not looked into.

    Returns:
        the data, readable: a streamed WAV of declared size 0 gets the size that means "the rest".
    """
    if data[:4] == b"OggS":
        _check_last_page(data)
        return data
    if data[:4] not in {b"RIFF", b"RF64", b"FORM"}:
        return data
    order: Literal["big", "little"] = "big" if data[:4] == b"FORM" else "little"
    long_size = None
    place = 12
    while place + 8 <= len(data):
        name, size = data[place : place + 4], int.from_bytes(data[place + 4 : place + 8], order)
        place += 8
        if name == b"ds64":  # EBU Tech 3306: sizes over 4 GiB stand here
            long_size = int.from_bytes(data[place + 8 : place + 16], order)
        if name in {b"data", b"SSND"}:
            there = len(data) - place
            whole = int.from_bytes(data[4:8], order) == len(data) - 8
            if name == b"data" and size == 0 and not whole:
                return data[: place - 4] + b"\xff\xff\xff\xff" + data[place:]
            declared = size if long_size is None else long_size
            if there < declared and (size < _STREAMED or long_size is not None):
                raise MediaError(
                    f"the recording is cut off: it declares {declared} bytes of samples and "
                    f"holds {there}"
                )
            break
        place += size + size % 2
    return data


def _check_last_page(data: bytes) -> None:
    """Refuse an OGG file whose last page is not whole, or not marked as the end (RFC 3533)."""
    page = data[data.rfind(b"OggS") :]
    segments = page[26] if len(page) > _OGG_HEADER else 0
    body = sum(page[_OGG_HEADER : _OGG_HEADER + segments])
    if len(page) < _OGG_HEADER + segments + body or not page[5] & 4:
        raise MediaError(
            f"the recording is cut off: {_describe(data)} do not close with a last OGG page"
        )


def _describe(data: bytes) -> str:
    return f"{len(data)} bytes beginning with {data[:8]!r}"
