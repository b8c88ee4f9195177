"""What files say of their colours, kept to: each is built here, and its pixels are looked at."""

from __future__ import annotations

import io
import struct
import zlib
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image, ImageCms

from encoders.media import LimitError, Limits, decode_image

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

Matrix = tuple[tuple[float, float, float], ...]

# Columns are red, green and blue as XYZ under D50, from the profiles that Apple and Adobe publish.
DISPLAY_P3: Matrix = (
    (0.51512, 0.29198, 0.15710), (0.24120, 0.69225, 0.06657), (-0.00105, 0.04189, 0.78407),
)  # fmt: skip
ADOBE_RGB: Matrix = (
    (0.60974, 0.20528, 0.14919), (0.31111, 0.62567, 0.06322), (0.01947, 0.06087, 0.74457),
)  # fmt: skip
SRGB: Matrix = (
    (0.43607, 0.38515, 0.14307), (0.22249, 0.71687, 0.06061), (0.01392, 0.09708, 0.71410),
)  # fmt: skip
GAMMA = 563 / 256
"""Of Adobe RGB, as the fixed-point number that a profile holds."""


def encoded(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:  # noqa: ANN401 - Pillow's own options
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def painted(*colours: Sequence[int] | int, mode: str = "RGB") -> Image.Image:
    """A picture of a row of flat squares, 16 pixels each, so that JPEG leaves them as they are."""
    image = Image.new(mode, (16 * len(colours), 16))
    for at, colour in enumerate(colours):
        image.paste(
            colour if isinstance(colour, int) else tuple(colour), (16 * at, 0, 16 * at + 16, 16)
        )
    return image


def seen(data: bytes) -> list[tuple[int, ...]]:
    """The colour in the middle of each square."""
    image = decode_image(data)
    assert image.mode == "RGB"
    pixels = np.asarray(image)
    return [tuple(pixels[8, x].tolist()) for x in range(8, image.width, 16)]


def profile(matrix: Matrix, name: str = "wide") -> bytes:
    """A profile of three primaries and one gamma (ICC.1:2001-04, version 2)."""

    def xyz(values: Sequence[float]) -> bytes:
        return b"XYZ \0\0\0\0" + struct.pack(">3i", *(round(v * 65536) for v in values))

    text = name.encode() + b"\0"
    described = b"desc\0\0\0\0" + struct.pack(">I", len(text)) + text + bytes(78)
    curve = b"curv\0\0\0\0" + struct.pack(">IH", 1, round(GAMMA * 256)) + b"\0\0"
    red, green, blue = zip(*matrix, strict=True)
    tags = {
        b"desc": described, b"cprt": b"text\0\0\0\0none\0", b"wtpt": xyz((0.9642, 1, 0.8249)),
        b"rXYZ": xyz(red), b"gXYZ": xyz(green), b"bXYZ": xyz(blue),
        b"rTRC": curve, b"gTRC": curve, b"bTRC": curve,
    }  # fmt: skip
    table, body, at = b"", b"", 128 + 4 + 12 * len(tags)
    for tag, value in tags.items():
        padded = value + bytes(-len(value) % 4)
        table += tag + struct.pack(">II", at + len(body), len(value))
        body += padded
    whole = struct.pack(">I", len(tags)) + table + body
    head = struct.pack(
        ">I4sI4s4s4s", 128 + len(whole), b"lcms", 0x02100000, b"mntr", b"RGB ", b"XYZ "
    )
    head += struct.pack(">6H4s", 2026, 1, 1, 0, 0, 0, b"acsp") + bytes(28)
    return (head + struct.pack(">3i", 63190, 65536, 54061)).ljust(128, b"\0") + whole


def by_hand(matrix: Matrix, colour: Sequence[int]) -> NDArray[np.float64]:
    """A colour of these primaries in sRGB, from the definitions (IEC 61966-2-1)."""
    light = np.array(matrix) @ (np.array(colour) / 255) ** GAMMA
    linear = np.clip(np.linalg.solve(np.array(SRGB), light), 0, 1)
    steep = 1.055 * linear ** (1 / 2.4) - 0.055
    return np.asarray(255 * np.where(linear <= 0.0031308, 12.92 * linear, steep))


COLOURS = ((200, 30, 60), (20, 180, 40), (128, 128, 128), (90, 120, 250), (255, 255, 255))


@pytest.mark.parametrize("matrix", [DISPLAY_P3, ADOBE_RGB])
@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP", "JPEG"])
def test_wide_colours_become_srgb(kind: str, matrix: Matrix) -> None:
    options: dict[str, Any] = {"lossless": True} if kind == "WEBP" else {}
    options |= {"quality": 100, "subsampling": 0} if kind == "JPEG" else {}
    picture = painted(*COLOURS)
    found = seen(encoded(picture, kind, icc_profile=profile(matrix), **options))
    expected = [by_hand(matrix, colour) for colour in COLOURS]
    np.testing.assert_allclose(found, expected, atol=3)
    assert np.abs(np.array(found) - np.array(COLOURS)).max() > 15, "nothing to convert"


def test_wide_colours_are_converted_beneath_transparency() -> None:
    clear = painted((200, 30, 60, 255), (20, 180, 40, 0), mode="RGBA")
    first, second = seen(encoded(clear, icc_profile=profile(DISPLAY_P3)))
    np.testing.assert_allclose(first, by_hand(DISPLAY_P3, (200, 30, 60)), atol=3)
    assert second == (255, 255, 255)


def test_a_palettes_colours_are_converted() -> None:
    picture = painted(*COLOURS).convert("P", palette=Image.Palette.ADAPTIVE, colors=8)
    found = seen(encoded(picture, icc_profile=profile(ADOBE_RGB)))
    np.testing.assert_allclose(found, [by_hand(ADOBE_RGB, c) for c in COLOURS], atol=3)


@pytest.mark.parametrize(
    "written",
    [
        b"no profile at all",
        profile(DISPLAY_P3)[:200],
        profile(DISPLAY_P3, "sRGB IEC61966-2.1"),
        ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes(),
        profile(DISPLAY_P3).replace(b"RGB XYZ ", b"CMYKXYZ "),
    ],
    ids=["nonsense", "cut off", "said to be sRGB", "sRGB", "of other channels"],
)
def test_pixels_survive_a_profile_that_says_nothing(written: bytes) -> None:
    assert seen(encoded(painted(*COLOURS), icc_profile=written)) == list(COLOURS)


def test_grey_with_a_colour_profile_stays_grey() -> None:
    found = seen(encoded(painted(0, 90, 255, mode="L"), icc_profile=profile(DISPLAY_P3)))
    assert [len(set(colour)) for colour in found] == [1, 1, 1]


@pytest.mark.parametrize("kind", ["JPEG", "TIFF"])
def test_ink_becomes_light(kind: str) -> None:
    """Pillow writes CMYK into JPEG inverted, as Adobe does, and says so in a marker."""
    ink = painted((0, 0, 0, 0), (0, 255, 255, 0), (0, 0, 0, 255), (255, 0, 0, 128), mode="CMYK")
    data = encoded(ink, kind, **({"quality": 100} if kind == "JPEG" else {}))
    assert (b"Adobe" in data) == (kind == "JPEG")
    expected = [(255, 255, 255), (255, 0, 0), (0, 0, 0), (0, 127, 127)]
    np.testing.assert_allclose(seen(data), expected, atol=3)


def test_ink_without_adobes_marker_is_read_as_adobe_writes_it() -> None:
    """As browsers read it: files that are the other way round are hardly to be found."""
    data = encoded(painted((0, 255, 255, 0), (0, 0, 0, 255), mode="CMYK"), "JPEG", quality=100)
    at = data.index(b"\xff\xee")  # the segment with the marker
    plain = data[:at] + data[at + 2 + int.from_bytes(data[at + 2 : at + 4], "big") :]
    assert b"Adobe" not in plain
    np.testing.assert_allclose(seen(plain), [(255, 0, 0), (0, 0, 0)], atol=3)


def png(samples: NDArray[np.uint16], colour_type: int) -> bytes:
    """A PNG of 16 bits a sample, which Pillow reads and does not write in colour."""

    def chunk(name: bytes, data: bytes) -> bytes:
        check = zlib.crc32(name + data)
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", check)

    height, width = samples.shape[:2]
    lines = b"".join(b"\0" + line.astype(">u2").tobytes() for line in samples)
    head = struct.pack(">2I5B", width, height, 16, colour_type, 0, 0, 0)
    body = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(lines)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def tiff(samples: NDArray[Any], bits: int, photometric: int, data: bytes | None = None) -> bytes:
    """An uncompressed TIFF of any depth (TIFF 6.0, Adobe 1992)."""
    height, width, depth = (*samples.shape, 1)[:3]
    data = samples.astype(f"<u{bits // 8}").tobytes() if data is None else data
    tags = [
        (256, width), (257, height), (258, bits), (259, 1), (262, photometric), (273, 8),
        (277, depth), (278, height), (279, len(data)),
    ]  # fmt: skip
    per_sample = struct.pack(f"<{depth}H", *[bits] * depth)
    entries = b"".join(
        struct.pack("<HHII", tag, 3, depth, 8 + len(data))
        if tag == 258 and depth > 2
        else struct.pack("<HHII", tag, 4 if tag != 258 else 3, 1, value)
        for tag, value in tags
    )
    directory = struct.pack("<H", len(tags)) + entries + bytes(4)
    return (
        struct.pack("<2sHI", b"II", 42, 8 + len(data) + len(per_sample))
        + data
        + per_sample
        + directory
    )


DEEP = np.array([[[0, 257 * 100, 65535], [257 * 7, 257 * 8, 257 * 9]]], np.uint16)


def test_deep_colour_keeps_its_brightness() -> None:
    expected = [[[0, 100, 255], [7, 8, 9]]]
    assert np.asarray(decode_image(png(DEEP, 2))).tolist() == expected
    assert np.asarray(decode_image(tiff(DEEP, 16, 2))).tolist() == expected


def test_deep_colour_may_be_transparent() -> None:
    clear = np.dstack([DEEP, np.array([[65535, 0]], np.uint16)])
    assert np.asarray(decode_image(png(clear, 6))).tolist() == [[[0, 100, 255], [255, 255, 255]]]
    grey = np.array([[[257 * 100, 65535], [0, 0]]], np.uint16)
    assert np.asarray(decode_image(png(grey, 4))).tolist() == [[[100] * 3, [255] * 3]]


@pytest.mark.parametrize(("bits", "full"), [(8, 255), (16, 65535)])
@pytest.mark.parametrize("photometric", [0, 1])
def test_white_may_be_zero_at_any_depth(photometric: int, bits: int, full: int) -> None:
    grey = np.array([[0, full // 255 * 100, full]])
    found = np.asarray(decode_image(tiff(grey, bits, photometric)))[0, :, 0].tolist()
    assert found == ([0, 100, 255] if photometric else [255, 155, 0])


def test_grey_of_12_bits_fills_its_scale() -> None:
    packed = bytes([0xFF, 0xF0, 0x00, 0x64, 0x60, 0x00])  # 4095, 0, 1606, 0
    found = np.asarray(decode_image(tiff(np.zeros((1, 4)), 12, 1, packed)))[0, :, 0].tolist()
    assert found == [255, 0, 100, 0]


def test_one_deep_grey_may_be_transparent() -> None:
    grey = Image.fromarray(np.array([[7, 257 * 100, 65535]], np.uint16))
    found = decode_image(encoded(grey, transparency=7))
    assert np.asarray(found)[0, :, 0].tolist() == [255, 100, 255]


def test_colours_and_shades_may_be_transparent() -> None:
    colour = encoded(painted((1, 2, 3), (9, 9, 9)), transparency=(1, 2, 3))
    assert seen(colour) == [(255, 255, 255), (9, 9, 9)]
    assert seen(encoded(painted(7, 9, mode="L"), transparency=7)) == [(255,) * 3, (9,) * 3]
    table = painted(0, 1, mode="P")
    table.putpalette([10, 20, 30, 40, 50, 60])
    half = encoded(table, transparency=bytes([0, 128]))
    assert seen(half) == [(255, 255, 255), (147, 152, 157)]


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "TIFF"])
def test_of_an_animation_the_first_frame_is_taken(kind: str) -> None:
    frames = [painted(colour) for colour in ((255, 0, 0), (0, 0, 255), (0, 255, 0))]
    options = {"lossless": True} if kind == "WEBP" else {}
    data = encoded(frames[0], kind, save_all=True, append_images=frames[1:], **options)
    with Image.open(io.BytesIO(data)) as opened:
        assert getattr(opened, "n_frames", 1) == 3
    assert seen(data) == [(255, 0, 0)]


def test_a_first_frame_may_be_partly_clear() -> None:
    frames = [painted(0, 1, mode="P"), painted(1, 0, mode="P")]
    for frame in frames:
        frame.putpalette([255, 0, 0, 0, 0, 255])
    data = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:], transparency=1)
    assert seen(data) == [(255, 0, 0), (255, 255, 255)]


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "TIFF"])
def test_what_is_huge_is_refused_by_its_header(kind: str) -> None:
    data = encoded(Image.new("L", (400, 300), 200), kind)
    with pytest.raises(LimitError, match=r"400 x 300 pixels, more than the 119,999 allowed"):
        decode_image(data, Limits(max_pixels=119_999))
    assert decode_image(data).size == (400, 300)


def test_a_photograph_on_its_side_is_turned_after_its_colours() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    lying = painted((200, 30, 60), (20, 180, 40)).transpose(Image.Transpose.ROTATE_90)
    data = encoded(lying, "PNG", exif=exif, icc_profile=profile(DISPLAY_P3))
    expected = [by_hand(DISPLAY_P3, c) for c in ((200, 30, 60), (20, 180, 40))]
    np.testing.assert_allclose(seen(data), expected, atol=3)
