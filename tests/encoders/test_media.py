from __future__ import annotations

import io
import warnings
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFile

from encoders.media import Audio, Limits, MediaError, decode_audio, decode_image

if TYPE_CHECKING:
    from numpy.typing import NDArray


def encoded(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:  # noqa: ANN401 - Pillow's own options
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def noise(seed: int = 0) -> Image.Image:
    rng = np.random.default_rng(seed)
    return Image.fromarray(rng.integers(0, 256, (24, 16, 3), dtype=np.uint8))


def recorded(samples: NDArray[Any], kind: str = "WAV", subtype: str = "PCM_16") -> bytes:
    file = io.BytesIO()
    soundfile.write(file, samples, 16000, format=kind, subtype=subtype)
    return file.getvalue()


def hum(seconds: float = 0.5) -> NDArray[np.float32]:
    time = np.arange(int(16000 * seconds)) / 16000
    return (0.5 * np.sin(2 * np.pi * 440 * time)).astype(np.float32)


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "PPM"])
def test_lossless_images_keep_their_pixels(kind: str) -> None:
    image = decode_image(encoded(noise(), kind))
    assert image.mode == "RGB"
    assert np.array_equal(np.asarray(image), np.asarray(noise()))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_exif_orientation_is_applied_once(kind: str, orientation: int) -> None:
    picture = np.asarray(noise())
    held = {
        1: lambda a: a,
        2: lambda a: a[:, ::-1],
        3: lambda a: a[::-1, ::-1],
        4: lambda a: a[::-1],
        5: lambda a: a.swapaxes(0, 1),
        6: lambda a: a.swapaxes(0, 1)[::-1],
        7: lambda a: a.swapaxes(0, 1)[::-1, ::-1],
        8: lambda a: a.swapaxes(0, 1)[:, ::-1],
    }
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = Image.fromarray(np.ascontiguousarray(held[orientation](picture)))
    assert np.array_equal(np.asarray(decode_image(encoded(stored, kind, exif=exif))), picture)


def test_transparency_is_laid_over_white() -> None:
    clear_black = Image.new("RGBA", (2, 2), (0, 0, 0, 0))
    half_black = Image.new("LA", (2, 2), (0, 128))
    assert decode_image(encoded(clear_black)).getpixel((0, 0)) == (255, 255, 255)
    assert decode_image(encoded(half_black)).getpixel((0, 0)) == (127, 127, 127)


def test_transparent_palette_colour_becomes_white() -> None:
    image = Image.new("P", (2, 2), 1)
    image.putpalette([255, 0, 0, 0, 0, 255])
    assert decode_image(encoded(image)).getpixel((0, 0)) == (0, 0, 255)
    assert decode_image(encoded(image, transparency=1)).getpixel((0, 0)) == (255, 255, 255)


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "PPM"])
def test_16_bit_grey_keeps_its_brightness(kind: str) -> None:
    grey = Image.fromarray(np.array([[0, 257 * 100, 65535]], dtype=np.uint16))
    image = decode_image(encoded(grey, kind))
    assert np.asarray(image)[0, :, 0].tolist() == [0, 100, 255]


def test_float_grey_is_scaled_or_refused() -> None:
    fine = encoded(Image.fromarray(np.array([[0, 0.5, 1]], dtype=np.float32)), "TIFF")
    assert np.asarray(decode_image(fine))[0, :, 1].tolist() == [0, 128, 255]
    wide = encoded(Image.fromarray(np.array([[0, 300]], dtype=np.float32)), "TIFF")
    with pytest.raises(MediaError, match="grey values from 0 to 300, expected 0 to 1"):
        decode_image(wide)


@pytest.mark.parametrize("mode", ["1", "L", "CMYK", "YCbCr"])
def test_other_modes_become_rgb(mode: str) -> None:
    image = decode_image(encoded(noise().convert(mode), "TIFF"))
    expected = np.asarray(noise().convert(mode).convert("RGB"))
    assert (image.mode, image.size) == ("RGB", (16, 24))
    assert np.array_equal(np.asarray(image), expected)


def test_first_frame_of_an_animation_is_taken() -> None:
    frames = [Image.new("RGB", (4, 4), colour) for colour in ("red", "blue")]
    data = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert decode_image(data).getpixel((0, 0)) == (255, 0, 0)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "TIFF", "WEBP", "BMP"])
@pytest.mark.parametrize("share", [0.02, 0.5, 0.95])
def test_cut_off_images_are_refused(kind: str, share: float) -> None:
    data = encoded(noise(), kind)
    with pytest.raises(MediaError, match="expected"):
        decode_image(data[: int(len(data) * share)])


def test_pixels_survive_broken_exif() -> None:
    data = encoded(noise(), exif=b"Exif\x00\x00MM\x00\x2a\xff\xff\xff\xff nonsense")
    assert np.array_equal(np.asarray(decode_image(data)), np.asarray(noise()))


def test_too_many_pixels_are_refused_before_decoding() -> None:
    with pytest.raises(MediaError, match="16 x 24 pixels, more than the 383 allowed"):
        decode_image(encoded(noise()), Limits(max_pixels=383))
    assert decode_image(encoded(noise()), Limits(max_pixels=384)).size == (16, 24)


@pytest.mark.parametrize("side", [10_500, 20_000])
def test_decompression_bombs_are_refused(side: int) -> None:
    header = f"P4 {side} {side}\n".encode()
    with pytest.raises(MediaError, match="pixels"):
        decode_image(header + bytes(100))


def test_data_that_is_no_image_is_refused() -> None:
    with pytest.raises(MediaError, match="0 bytes, expected an image file"):
        decode_image(b"")
    with pytest.raises(MediaError, match=r"5 bytes beginning with b'hello' are in no image format"):
        decode_image(b"hello")


def test_decoding_in_threads_leaves_global_state_alone() -> None:
    files = [encoded(noise(seed), "TIFF") for seed in range(8)]
    before = (list(warnings.filters), Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES)
    with ThreadPoolExecutor(8) as pool:
        decoded = list(pool.map(decode_image, files * 8))
    after = (list(warnings.filters), Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES)
    assert before == after
    for index, image in enumerate(decoded):
        assert np.array_equal(np.asarray(image), np.asarray(noise(index % 8)))


@pytest.mark.parametrize(
    ("kind", "subtype", "error"),
    [
        ("WAV", "PCM_16", 1e-4),
        ("WAV", "PCM_U8", 1e-2),
        ("WAV", "FLOAT", 0),
        ("RF64", "PCM_24", 1e-6),
        ("AIFF", "PCM_16", 1e-4),
        ("FLAC", "PCM_16", 1e-4),
        ("OGG", "VORBIS", 0.1),
        ("MP3", "MPEG_LAYER_III", 0.3),
    ],
)
def test_recordings_are_read(kind: str, subtype: str, error: float) -> None:
    audio = decode_audio(recorded(hum(), kind, subtype))
    assert audio.rate == 16000
    assert audio.samples.dtype == np.float32
    assert audio.samples.shape == (8000,)
    assert float(np.abs(audio.samples - hum())[100:-100].max()) <= error


def test_channels_are_averaged() -> None:
    audio = decode_audio(recorded(np.stack([hum(), np.zeros_like(hum())], axis=1)))
    assert np.allclose(audio.samples, hum() / 2, atol=1e-4)


@pytest.mark.parametrize("kind", ["WAV", "RF64", "AIFF", "FLAC", "OGG"])
@pytest.mark.parametrize("share", [0.3, 0.95])
def test_cut_off_recordings_are_refused(kind: str, share: float) -> None:
    data = recorded(hum(), kind, "VORBIS" if kind == "OGG" else "PCM_16")
    with pytest.raises(MediaError, match=r"cut off|[Ee]xpected"):
        decode_audio(data[: int(len(data) * share)])


def test_a_cut_off_wav_says_what_is_missing() -> None:
    data = recorded(hum())
    with pytest.raises(MediaError, match="declares 16000 bytes of samples and holds 15990"):
        decode_audio(data[:-10])


@pytest.mark.parametrize("size", [0, 0x7FFFF000, 0xFFFFFFFF])
def test_streamed_wav_is_read_to_its_end(size: int) -> None:
    data = bytearray(recorded(hum()))
    place = data.index(b"data") + 4
    data[place : place + 4] = data[4:8] = size.to_bytes(4, "little")
    assert np.allclose(decode_audio(bytes(data)).samples, hum(), atol=1e-4)


def test_chunks_around_the_samples_are_passed_over() -> None:
    data = recorded(hum())
    place = data.index(b"data")
    odd = b"junk" + (3).to_bytes(4, "little") + b"abc\x00"
    longer = data[:place] + odd + data[place:] + odd
    longer = longer[:4] + (len(longer) - 8).to_bytes(4, "little") + longer[8:]
    assert len(decode_audio(longer).samples) == 8000


def test_chunks_without_end_are_not_walked_through() -> None:
    data = recorded(hum())
    place = data.index(b"data")
    empty = b"junk" + bytes(4)

    def padded(count: int) -> bytes:
        longer = data[:place] + empty * count + data[place:]
        return longer[:4] + (len(longer) - 8).to_bytes(4, "little") + longer[8:]

    assert len(decode_audio(padded(5_000)).samples) == 8000
    with pytest.raises(MediaError, match="over 10,000 chunks before its samples"):
        decode_audio(padded(10_000))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_samples_that_are_not_finite_are_refused(value: float) -> None:
    samples = hum()
    samples[7] = value
    with pytest.raises(MediaError, match="1 of 8000 audio samples are NaN or infinite"):
        decode_audio(recorded(samples, subtype="FLOAT"))


def test_float_samples_are_clipped_a_little_and_refused_far_over_full_scale() -> None:
    loud = decode_audio(recorded(hum() * 3, subtype="FLOAT"))
    assert float(loud.samples.max()) == 1
    with pytest.raises(MediaError, match=r"peak at 16384, expected \[-1, 1\]"):
        decode_audio(recorded(hum() / hum().max() * 16384, subtype="FLOAT"))


def test_a_damaged_rate_is_refused() -> None:
    data = bytearray(recorded(hum()))
    data[24:28] = (50).to_bytes(4, "little")
    with pytest.raises(MediaError, match="says that it has 50 samples a second, expected 100 to"):
        decode_audio(bytes(data))


def test_long_and_empty_recordings_are_refused() -> None:
    with pytest.raises(MediaError, match=r"lasts 0.5 s or more, expected at most 0.4 s"):
        decode_audio(recorded(hum()), Limits(max_seconds=0.4))
    assert len(decode_audio(recorded(hum()), Limits(max_seconds=0.5)).samples) == 8000
    with pytest.raises(MediaError, match="holds no audio samples"):
        decode_audio(recorded(hum(0)))
    with pytest.raises(MediaError, match="0 bytes, expected an audio file"):
        decode_audio(b"")
    with pytest.raises(MediaError, match="Format not recognised"):
        decode_audio(b"hello")


def outcome(decode: Any, data: bytes) -> Image.Image | Audio | str:  # noqa: ANN401 - either decoder
    try:
        return cast("Image.Image | Audio", decode(data))
    except MediaError as error:
        return str(error)


@settings(deadline=None, max_examples=150, derandomize=True)
@given(st.data())
def test_damaged_bytes_give_media_errors_only(data: st.DataObject) -> None:
    decode, original = data.draw(st.sampled_from(DAMAGEABLE))
    damaged = bytearray(original)
    for place in data.draw(st.lists(st.integers(0, min(len(original), 200) - 1), max_size=5)):
        damaged[place] = data.draw(st.integers(0, 255))
    result = outcome(decode, bytes(damaged))
    assert isinstance(result, (Image.Image, Audio)) or " at 0x" not in result


DAMAGEABLE: list[tuple[Any, bytes]] = [
    (decode_image, encoded(noise(), "PNG")),
    (decode_image, encoded(noise(), "JPEG")),
    (decode_image, encoded(noise(), "GIF")),
    (decode_image, encoded(noise(), "TIFF")),
    (decode_audio, recorded(hum(0.1))),
    (decode_audio, recorded(hum(0.1), "FLAC")),
    (decode_audio, recorded(hum(0.1), "OGG", "VORBIS")),
    (decode_audio, recorded(hum(0.1), "AIFF")),
    (decode_audio, recorded(hum(0.1), "CAF")),
]


def test_audio_says_what_it_cannot_hold() -> None:
    with pytest.raises(ValueError, match=r"one row of float32, got shape \(3, 2\)"):
        Audio(np.zeros((3, 2), np.float32), 16000)
    with pytest.raises(ValueError, match="float64"):
        Audio(np.zeros(3), 16000)  # type: ignore[arg-type] # that is the mistake
    with pytest.raises(ValueError, match="rate must be 100 to 10000000 samples a second, got 0"):
        Audio(np.zeros(3, np.float32), 0)
