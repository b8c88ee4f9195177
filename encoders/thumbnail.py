"""Small copies of images, for people to see what a vector stands for."""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.Image import Image

TYPE = "image/webp"
"""The media type of what `thumbnail` gives."""

_QUALITY = 75
_METHOD = 1
"""Of libwebp's efforts the second: a fifth more bytes than by default, in a fifth of the time."""


def thumbnail(image: Image, side: int) -> bytes:
    """An image at most ``side`` pixels long and high, as WebP; never enlarged.

    Args:
        image: as `encoders.media.decode_image` gives it; left as it was.
        side: pixels.
    """
    from PIL.Image import Resampling

    longest = max(image.size)
    if longest > side:
        size = tuple(max(1, round(length * side / longest)) for length in image.size)
        image = image.resize((size[0], size[1]), Resampling.LANCZOS, reducing_gap=2.0)
    file = BytesIO()
    image.save(file, "WEBP", quality=_QUALITY, method=_METHOD)
    return file.getvalue()
