"""Files that unpack to far more than they weigh are dead letters, and cost what the limits say."""

from __future__ import annotations

import io
import os
import struct
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
import pytest
import soundfile
from PIL import Image

from encoders.media import LimitError, Limits, MediaError, decode_audio, decode_image
from flows.config.settings import SettingsError
from flows.pipeline.decode import decode
from tests.processes import python

if TYPE_CHECKING:
    from tests.flows.project import Project


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(width: int, height: int, rows: bytes, *more: bytes) -> bytes:
    """A grey PNG that says one size, whatever its rows hold."""
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    parts = [chunk(b"IHDR", header), *more, chunk(b"IDAT", zlib.compress(rows, 9))]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts) + chunk(b"IEND", b"")


def recorded(frames: int, rate: int, channels: int = 1, kind: str = "WAV") -> bytes:
    file = io.BytesIO()
    shape = (frames, channels) if channels > 1 else frames
    soundfile.write(file, np.zeros(shape, np.int16), rate, format=kind, subtype="PCM_16")
    return file.getvalue()


def test_a_picture_of_many_pixels_is_not_unpacked() -> None:
    bomb = png(30_000, 30_000, bytes(10_000))
    assert len(bomb) < 1000
    with pytest.raises(LimitError, match=r"30000 x 30000 pixels|exceeds limit of"):
        decode_image(bomb)
    with pytest.raises(LimitError, match=r"300 x 301 pixels, more than the 90,000 allowed: shrink"):
        decode_image(png(300, 301, bytes(10)), Limits(max_pixels=90_000))


def test_a_picture_that_holds_less_or_more_than_it_says() -> None:
    with pytest.raises(MediaError, match="expected a complete image file"):
        decode_image(png(100, 100, bytes(200)))
    assert decode_image(png(4, 4, bytes(10**7))).size == (4, 4)


def test_an_icon_that_lies_about_its_size() -> None:
    inner = png(64, 64, bytes(65 * 64))
    entry = struct.pack("<BBBBHHII", 16, 16, 0, 0, 1, 32, len(inner), 22)
    icon = struct.pack("<HHH", 0, 1, 1) + entry + inner
    with pytest.raises(MediaError, match=r"64 x 64 pixels|cannot decode"):
        decode_image(icon, Limits(max_pixels=1000))


def test_texts_in_a_picture_are_not_unpacked_without_end() -> None:
    text = b"comment\x00\x00" + zlib.compress(bytes(200 * 2**20), 9)
    with pytest.raises(MediaError, match="cannot decode"):
        decode_image(png(4, 4, bytes(20), chunk(b"zTXt", text)))


def test_programs_are_no_pictures() -> None:
    """Pillow would hand PostScript to a program of its own."""
    page = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\nshowpage\n%%EOF\n"
    with pytest.raises(MediaError, match="in no image format that is read here"):
        decode_image(page)


def test_a_recording_of_many_channels() -> None:
    with pytest.raises(LimitError, match="has 65 channels, more than the 64 allowed: mix it down"):
        decode_audio(recorded(100, 8000, 65))


def test_a_rate_that_makes_seconds_cheap() -> None:
    data = recorded(100_000, 8000)
    fast = data[:24] + (9_000_000).to_bytes(4, "little") + data[28:]
    with pytest.raises(LimitError, match="has 100,000 samples or more, expected at most 5,000"):
        decode_audio(fast, Limits(max_samples=5000))


def test_a_recording_that_is_packed_a_thousandfold() -> None:
    data = recorded(3_000_000, 8000, kind="FLAC")
    assert len(data) < 100_000
    with pytest.raises(LimitError, match=r"lasts 375.0 s or more, expected at most 60 s"):
        decode_audio(data, Limits(max_seconds=60))
    # The same without a word of its length in the header.
    start = data.index(b"fLaC") + 8
    silent = bytearray(data)
    silent[start + 13] &= 0xF0
    silent[start + 14 : start + 18] = bytes(4)
    with pytest.raises(MediaError, match=r"lasts .* s or more|cannot decode|no audio samples"):
        decode_audio(bytes(silent), Limits(max_seconds=60))


def test_files_are_read_no_further_than_allowed(tmp_path: Path) -> None:
    large = tmp_path / "large.png"
    with large.open("wb") as file:
        os.truncate(file.fileno(), 10**12)
    os.mkfifo(tmp_path / "pipe.png")
    content = pl.Series([str(large), str(tmp_path / "pipe.png"), str(tmp_path)])
    decoded = decode("image", content, limits=Limits(max_bytes=1000))
    assert decoded.dead == {}
    reasons = [decoded.passing[row] for row in range(3)]
    assert "more than the 1,000 bytes allowed" in reasons[0]
    assert "not a plain file" in reasons[1]
    assert "Is a directory" in reasons[2]


def test_limits_are_set_in_the_configuration_and_their_letters_pass(project: Project) -> None:
    folder = project.root / "pictures"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for side in (16, 20, 24, 40):
        pixels = rng.integers(0, 255, (side, side, 3), np.uint8)
        Image.fromarray(pixels).save(folder / f"{side}.png")
    project.source = {"kind": "files", "path": "pictures/*.png"}
    project.encoder = {"kind": "vision", "centroids": 8, "size": 16}
    project.more = "[limits]\nmax_pixels = 1000\n"
    outcome = project.run()
    assert (outcome.counts.encoded, outcome.counts.dead) == (3, 1)
    (reason,) = project.dead().values()
    assert "40 x 40 pixels, more than the 1,000 allowed" in reason
    assert "raise max_pixels in [limits]" in reason
    project.more = "[limits]\nmax_pixels = 2000\n"
    assert project.run().counts.encoded == 1
    assert project.dead() == {}


@pytest.mark.parametrize("given", ["max_pixels = 0", "max_seconds = nan", "max_bytes = -1"])
def test_limits_must_leave_something(project: Project, given: str) -> None:
    project.more = f"[limits]\n{given}\n"
    with pytest.raises(SettingsError, match=r"\[limits\].* must be above 0"):
        project.settings()


SCARCE = """
import os, resource, sys
import polars
from flows.pipeline.decode import decode
decode("image", polars.Series([sys.argv[2]]))
with open("/proc/self/statm") as file:
    now = int(file.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
resource.setrlimit(resource.RLIMIT_AS, (now + 10**8, now + 10**8))
found = decode("image", polars.Series([sys.argv[1]]))
print(found.dead, found.passing)
"""


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="what a process takes is unknown")
def test_a_picture_that_memory_does_not_suffice_for_passes(tmp_path: Path) -> None:
    wide, small = tmp_path / "wide.png", tmp_path / "small.png"
    wide.write_bytes(png(9_000, 9_000, bytes(9001 * 9000)))
    small.write_bytes(png(4, 4, bytes(20)))
    with python(SCARCE, wide, small) as child:
        told, complaints = child.communicate(timeout=600)
    assert child.returncode == 0, complaints
    assert told == "{} {0: 'too large for the memory of this machine'}\n"
