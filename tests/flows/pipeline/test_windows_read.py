"""Windows of a recording are read as parts of its file, once for all of them."""

from __future__ import annotations

import io
import os
import tracemalloc
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from encoders.excerpts import Excerpts, length
from encoders.media import Audio, LimitError, Limits, MediaError, decode_audio
from encoders.windows import Window, within
from flows.pipeline.decode import Failure, cell_reader
from flows.pipeline.kept import Kept
from flows.pipeline.windows import Windows, cell, content_hash, parsed
from flows.sources.base import Chunk
from storage.ids import hash_bytes
from tests.flows.pipeline.sounding import RATE, TONES, encoded, record, tones

if TYPE_CHECKING:
    from pathlib import Path


FORMATS = [
    ("WAV", "PCM_16"), ("WAV", "FLOAT"), ("WAV", "MS_ADPCM"), ("AIFF", "PCM_24"),
    ("FLAC", "PCM_16"), ("OGG", "VORBIS"), ("OGG", "OPUS"), ("MP3", "MPEG_LAYER_III"),
]  # fmt: skip


@pytest.fixture(scope="module")
def files() -> dict[str, tuple[Excerpts, Audio]]:
    found = {}
    for container, subtype in FORMATS:
        data = encoded(container, subtype, tones((300, 900, 1700, 2500), 1.7))
        assert length(io.BytesIO(data)) == -(-len(decode_audio(data).samples) // 8)
        found[f"{container} {subtype}"] = (Excerpts(data), decode_audio(data))
    return found


@settings(deadline=None, max_examples=60)
@given(
    st.sampled_from(FORMATS), st.lists(st.integers(0, 6800), min_size=2, max_size=6, unique=True)
)
def test_a_part_is_what_the_whole_has_there(
    files: dict[str, tuple[Excerpts, Audio]], kind: tuple[str, str], places: list[int]
) -> None:
    """Whatever was read before it: MP3 and Opus give other samples after a seek."""
    excerpts, whole = files[" ".join(kind)]
    for one, other in pairwise(places):
        span = (min(one, other), max(one, other))
        start, stop = within(span, len(whole.samples), RATE)
        part = excerpts.part(span)
        np.testing.assert_array_equal(part.samples, whole.samples[start:stop])
        assert not np.shares_memory(part.samples, whole.samples)


def test_a_part_beyond_the_end_is_told() -> None:
    excerpts = Excerpts(encoded("WAV", "PCM_16", tones((300,), 1.0)))
    with pytest.raises(MediaError, match="it was to last 1001 ms at least, and lasts 1000"):
        excerpts.part((0, 1001))


def test_parts_of_a_streamed_file_are_read_without_a_copy_of_it() -> None:
    whole = tones((300, 900), 20.0)
    data = encoded("WAV", "PCM_16", whole)
    streamed = data[:4] + bytes(4) + data[8:40] + bytes(4) + data[44:]
    excerpts = Excerpts(streamed)
    tracemalloc.start()
    try:
        part = excerpts.part((19_000, 19_500))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    expected = decode_audio(streamed).samples[19 * RATE : 19 * RATE + RATE // 2]
    np.testing.assert_array_equal(part.samples, expected)
    assert peak < len(streamed) / 2


def test_a_length_is_told_within_the_limits() -> None:
    data = encoded("WAV", "PCM_16", tones((300,), 2.0))
    assert length(io.BytesIO(data)) == 2000
    streamed = data[:40] + bytes(4) + data[44:]
    assert length(io.BytesIO(streamed[:4] + bytes(4) + streamed[8:])) == 2000
    with pytest.raises(LimitError, match=r"lasts 2\.0 s or more"):
        length(io.BytesIO(data), Limits(max_seconds=1))
    with pytest.raises(LimitError, match="more than the 100 bytes allowed"):
        length(io.BytesIO(data), Limits(max_bytes=100))
    for broken, told in ((b"", "is empty"), (data[:-9], "is cut off"), (b"RIFF", "cannot decode")):
        with pytest.raises(MediaError, match=told):
            length(io.BytesIO(broken))


class Away(io.BytesIO):
    """A file whose store goes away."""

    def read(self, _size: int | None = -1, /) -> bytes:
        raise ConnectionError("away")


def test_a_store_that_goes_away_is_no_fault_of_the_recording() -> None:
    with pytest.raises(ConnectionError, match="away"):
        length(Away(encoded("WAV", "PCM_16", tones((300,)))))


@given(
    st.text(st.characters(exclude_characters="\0")), st.integers(0, 10**9), st.integers(0, 10**9)
)
def test_a_cell_names_its_file_and_its_span(path: str, start: int, end: int) -> None:
    assert parsed(cell(path, (start, end))) == (path, (start, end))
    assert parsed(path) == (path, None)


def test_a_pipe_in_the_place_of_a_file_blocks_nobody(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    os.mkfifo(path)
    columns = {"record_id": "a", "place": "a", "content": str(path), "content_hash": "0"}
    cut = Windows(Window(1.0), Limits()).cut(Chunk(pl.DataFrame([columns])))
    assert len(cut.records) == 0
    assert "is not a plain file any more" in cut.rejects[0].reason


def test_a_file_is_read_once_for_all_its_windows(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    record(path, TONES["a"])
    whole = hash_bytes(path.read_bytes())
    read = cell_reader("audio")
    first = read(cell(str(path), (0, 3000)), content_hash(whole, (0, 3000)))
    path.unlink()
    second = read(cell(str(path), (3000, 6000)), content_hash(whole, (3000, 6000)))
    assert isinstance(first, Audio)
    assert isinstance(second, Audio)
    other = read(cell(str(path), (3000, 6000)), content_hash(whole, (3000, 6001)))
    assert isinstance(other, Failure)
    assert other.passes


def test_what_is_kept_is_made_once_and_the_oldest_goes() -> None:
    made: list[str] = []

    def make(name: str) -> int:
        made.append(name)
        return len(made)

    kept = Kept(make, 2)
    assert [kept.get(name) for name in "abab"] == [1, 2, 1, 2]
    assert kept.get("c") == 3
    assert [kept.get(name) for name in "ba"] == [2, 4]
    assert "".join(made) == "abca"
