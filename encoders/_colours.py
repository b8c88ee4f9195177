"""From whatever a picture's pixels are to 8-bit sRGB, which is what networks were trained on.

What a file says of its colours is kept to where it can be: its profile (ICC.1:2022), its depth,
its transparency. A profile that is broken, or of other channels than the picture has, is passed
over, since the pixels are good still.
"""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL.Image import Image

_BITS_PER_SAMPLE, _PHOTOMETRIC = 258, 262
"""TIFF tags; of the second, 0 says that white is zero. Pillow heeds neither in deep grey."""

_WHITE = (255, 255, 255, 255)
_CHANNELS = {"GRAY": "L", "RGB": "RGB", "CMYK": "CMYK"}
"""Pillow's modes by what profiles call their colour spaces."""


class DepthError(Exception):
    """The values of a deep picture are on a scale that is not known."""


def to_rgb(image: Image) -> Image:
    """A loaded picture as 8-bit sRGB, what is transparent in it laid over white.

    Raises:
        DepthError: if its grey values are not on the scale of its kind.
    """
    from PIL import Image as Pillow

    if image.mode.startswith("I") or image.mode == "F":
        return _deep_grey(image).convert("RGB")
    if not image.has_transparency_data:
        return _managed(image)
    rgba = image.convert("RGBA")
    opaque = _managed(rgba.convert("RGB"), image)
    opaque.putalpha(rgba.getchannel("A"))
    return Pillow.alpha_composite(Pillow.new("RGBA", rgba.size, _WHITE), opaque).convert("RGB")


def _managed(pixels: Image, file: Image | None = None) -> Image:
    """Pixels as sRGB, by the profile of the file that they came from where it has one."""
    from PIL import ImageCms

    file = file or pixels
    written = file.info.get("icc_profile")
    if not written:
        return pixels.convert("RGB")
    try:
        profile = ImageCms.ImageCmsProfile(BytesIO(written))
        if ImageCms.getProfileDescription(profile).startswith("sRGB"):
            return pixels.convert("RGB")
        core: Any = profile.profile
        given = _CHANNELS.get(core.xcolor_space.strip())
        if given not in {"RGB", pixels.mode}:  # such as a profile of paper on a picture in RGB
            return pixels.convert("RGB")
        found: Any = ImageCms.profileToProfile(
            pixels.convert(given), profile, ImageCms.createProfile("sRGB"), outputMode="RGB"
        )
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return pixels.convert("RGB")
    rgb: Image = found
    return rgb


def _deep_grey(image: Image) -> Image:
    """Scale grey of more than 8 bits; Pillow's own conversion clips it at 255 instead."""
    import numpy as np
    from PIL import Image as Pillow

    values = np.asarray(image).astype(np.float64)
    full = _full_scale(image)
    if not (np.isfinite(values).all() and values.min() >= 0 and values.max() <= full):
        raise DepthError(
            f"the image (mode {image.mode}) has grey values from {values.min():g} to "
            f"{values.max():g}, expected 0 to {full:g}: rescale it before it comes here"
        )
    grey: NDArray[np.float64] = np.rint(values * (255 / full))
    if _tag(image, _PHOTOMETRIC) == 0:
        grey = 255 - grey
    clear = image.info.get("transparency")
    if isinstance(clear, int):
        grey[values == clear] = 255
    return Pillow.fromarray(grey.astype(np.uint8))


def _full_scale(image: Image) -> float:
    if image.mode == "F":
        return 1.0
    bits = _tag(image, _BITS_PER_SAMPLE)
    if image.mode.startswith("I;16") and isinstance(bits, tuple):
        return float(2 ** int(bits[0]) - 1)  # microscopes write 12
    return 65535.0


def _tag(image: Image, number: int) -> object:
    """What a TIFF says of itself; None of all other files."""
    tags = getattr(image, "tag_v2", {})
    return tags.get(number)
