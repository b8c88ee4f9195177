"""What encoders of images share: what they take, and how they look at it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from encoders.base import EncoderError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from PIL.Image import Image

LONGEST = 8
"""The longest side, in shortest ones, that is handed to transforms which cut out a square."""


def check_rgb(images: Sequence[Image]) -> None:
    """Refuse what `encoders.media.decode_image` would not have given.

    Raises:
        EncoderError: if an image is not RGB.
    """
    for row, image in enumerate(images):
        if image.mode != "RGB":
            raise EncoderError(
                f"image {row} of the batch has mode {image.mode!r}, expected 'RGB'; convert it "
                "with image.convert('RGB')"
            )


def middle(image: Image, longest: int = LONGEST) -> Image:
    """The middle of an extremely long image, at most ``longest`` times as long as it is wide.

    Transforms enlarge the short side to some 256 pixels before they cut out the centre: a line of
    1 x 5000 pixels would take a gigabyte on the way, for the same centre.
    """
    width, height = image.size
    most = longest * min(width, height)
    if max(width, height) <= most:
        return image
    cut_x, cut_y = max(0, width - most) // 2, max(0, height - most) // 2
    return image.crop((cut_x, cut_y, cut_x + min(width, most), cut_y + min(height, most)))


def squeezed(images: Sequence[Image], size: int) -> NDArray[np.uint8]:
    """Images brought to a square, whatever their shape: ``(n, size, size, 3)``.

    Raises:
        EncoderError: if an image is not RGB.
    """
    from PIL.Image import Resampling

    check_rgb(images)
    pixels = np.empty((len(images), size, size, 3), dtype=np.uint8)
    for row, image in zip(pixels, images, strict=True):
        row[:] = np.asarray(image.resize((size, size), Resampling.BILINEAR))
    return pixels


def unit(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Rows brought to L2 norm 1; zeros stay zeros."""
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    found: NDArray[np.float32] = rows / np.maximum(norms, np.finfo(np.float32).tiny)
    return found
