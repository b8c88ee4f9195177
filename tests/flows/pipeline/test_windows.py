"""Long recordings whose rows are windows: what a run writes, finds, changes and refuses."""

from __future__ import annotations

import io
import os
import tracemalloc
from itertools import pairwise
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import polars as pl
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from encoders.excerpts import Excerpts, length
from encoders.media import Audio, LimitError, Limits, MediaError, decode_audio
from encoders.windows import Window, within
from flows import cli
from flows.config.settings import SettingsError
from flows.lifecycle.lineage import lineage
from flows.output.progress import Silent
from flows.pipeline import fitting
from flows.pipeline.decode import Failure, cell_reader
from flows.pipeline.kept import Kept
from flows.pipeline.windows import Windows, cell, content_hash, parsed
from flows.searching.search import search
from flows.sources.base import Chunk
from flows.upkeep.erase import Eraser
from storage.ids import hash_bytes
from tests.flows.interruptions import Stopping
from tests.flows.project import vector

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from tests.flows.project import Project

RATE = 8000
TONES = {"a": (300, 700, 1500, 2600), "b": (2000, 400), "c": (1000,)}
"""Hz, three seconds each."""


def tones(hertz: Sequence[float], seconds: float = 3.0) -> NDArray[np.float32]:
    time = np.arange(int(RATE * seconds)) / RATE
    hiss = np.random.default_rng(len(hertz)).normal(0, 0.003, len(time) * len(hertz))
    waves = np.concatenate([0.4 * np.sin(2 * np.pi * f * time) for f in hertz])
    return (waves + hiss).astype(np.float32)


def record(path: Path, hertz: Sequence[float], seconds: float = 3.0) -> None:
    soundfile.write(path, tones(hertz, seconds), RATE)


@pytest.fixture
def sounds(project: Project) -> Project:
    """Three recordings of twelve, six and three seconds, in windows of three."""
    folder = project.root / "sounds"
    folder.mkdir()
    for name, hertz in TONES.items():
        record(folder / f"{name}.wav", hertz)
    project.source = {"kind": "files", "path": "sounds/*.wav"}
    project.encoder = {"kind": "mfcc", "window": {"seconds": 3.0}}
    return project


def spans(project: Project, view: str = "notes") -> dict[str, list[tuple[int, int]]]:
    """The windows of each record that are published."""
    found: dict[str, list[tuple[int, int]]] = {}
    for row in sorted(project.rows(view).values(), key=lambda row: row["chunk"]):
        assert row["record_id"] == f"{row['parent_id']}#{row['chunk']}"
        found.setdefault(row["parent_id"], []).append((row["chunk_start"], row["chunk_end"]))
    return found


def test_a_row_a_window_with_its_record_and_its_place_in_time(sounds: Project) -> None:
    planned = sounds.plan()
    outcome = sounds.run()
    assert outcome.counts == planned.counts
    assert (outcome.counts.records, outcome.counts.encoded, outcome.rows) == (7, 7, 7)
    assert spans(sounds) == {
        "a.wav": [(0, 3000), (3000, 6000), (6000, 9000), (9000, 12_000)],
        "b.wav": [(0, 3000), (3000, 6000)],
        "c.wav": [(0, 3000)],
    }
    encoder = fitting.encoder_of(sounds.versions()[0], sounds.stores().states)
    for row in sounds.rows().values():
        data = (sounds.root / "sounds" / row["parent_id"]).read_bytes()
        assert row["parent_hash"] == hash_bytes(data)
        span = (row["chunk_start"], row["chunk_end"])
        assert row["content_hash"] == content_hash(row["parent_hash"], span)
        samples = decode_audio(data).samples[span[0] * 8 : span[1] * 8]
        np.testing.assert_allclose(
            vector(row), encoder.encode([Audio(samples, RATE)])[0], atol=1e-4
        )
    with sounds.connect() as con:
        types = con.sql("SELECT chunk_start, chunk_end FROM notes LIMIT 0").types
    assert list(map(str, types)) == ["BIGINT", "BIGINT"]
    assert sounds.run().counts.unchanged == 7


def test_a_tone_is_found_where_it_sounds(sounds: Project) -> None:
    sounds.run()
    query = sounds.root / "query.wav"
    for name, hertz in TONES.items():
        for place, tone in enumerate(hertz):
            record(query, [tone])
            found = search(sounds.settings(), "notes", "audio", str(query), 1).to_pylist()
            assert [row["record_id"] for row in found] == [f"{name}.wav#{place}"]
            assert found[0]["chunk_start"] == 3000 * place


def test_a_query_longer_than_a_window_is_cut_as_records_are(
    sounds: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    sounds.run()
    query = sounds.root / "query.wav"
    record(query, (1500, 400))
    found = search(sounds.settings(), "notes", "audio", str(query), 2)
    assert sorted(found["record_id"].to_pylist()) == ["a.wav#2", "b.wav#1"]
    one = search(sounds.settings(), "notes", "audio", str(query), 3, per_record=True)
    assert sorted(one["parent_id"].to_pylist()) == ["a.wav", "b.wav", "c.wav"]
    asked = ["search", "notes", "--audio", str(query), "-k", "2"]
    with pytest.raises(SystemExit, match="0"):
        cli.main([*asked, "--conf", str(sounds.settings().conf)])
    printed = capsys.readouterr().out
    assert "seconds" in printed
    assert "6-9" in printed
    assert "3-6" in printed


def test_a_changed_file_is_encoded_again_and_no_other(sounds: Project) -> None:
    sounds.run()
    path = sounds.root / "sounds" / "b.wav"
    os.utime(path, (1e9, 1e9))
    assert sounds.run().counts.encoded == 0
    record(path, (2000, 400, 900))
    counts = sounds.run().counts
    assert (counts.encoded, counts.changed, counts.new, counts.unchanged) == (3, 2, 1, 5)
    record(path, (2000,))
    counts = sounds.run().counts
    assert (counts.encoded, counts.deleted) == (1, 2)
    assert spans(sounds)["b.wav"] == [(0, 3000)]
    path.unlink()
    assert sounds.run().counts.deleted == 1


def test_windows_overlap_and_the_last_ends_with_the_recording(sounds: Project) -> None:
    sounds.encoder["window"] = {"seconds": 5.0, "overlap": 1.0}
    sounds.run()
    assert spans(sounds) == {
        "a.wav": [(0, 5000), (4000, 9000), (7000, 12_000)],
        "b.wav": [(0, 5000), (1000, 6000)],
        "c.wav": [(0, 3000)],
    }


def test_pooled_windows_are_one_row_a_record(sounds: Project) -> None:
    sounds.run()
    sounds.encoder["window"] |= {"pool": "mean"}
    outcome = sounds.run()
    assert (outcome.version, outcome.rows) == (2, 3)
    assert [version.chunked for version in sounds.versions()] == [True, False]
    rows = sounds.rows("notes_v2")
    assert "chunk_start" not in rows["a.wav"]
    plain = fitting.encoder_of(sounds.versions()[0], sounds.stores().states)
    whole = decode_audio((sounds.root / "sounds" / "a.wav").read_bytes())
    # Both have learned from the same windows.
    mean = plain.encode(Window(3.0).cut(whole)).mean(axis=0)
    np.testing.assert_allclose(vector(rows["a.wav"]), mean, atol=1e-3)


def test_another_window_is_another_version(sounds: Project) -> None:
    sounds.run()
    for number, keys in enumerate(({"seconds": 2.0}, {"seconds": 2.0, "overlap": 0.5}), 2):
        sounds.encoder["window"] = keys
        assert sounds.run().version == number
    recipes = [version.recipe["window"] for version in sounds.versions()]
    assert [cast("dict[str, Any]", recipe)["seconds"] for recipe in recipes] == [3.0, 2.0, 2.0]
    sounds.encoder = {"kind": "mfcc"}
    assert sounds.run().version == 4
    assert "window" not in sounds.versions()[3].recipe


def test_what_belongs_to_a_record_goes_with_it(sounds: Project) -> None:
    sounds.run()
    traced = lineage(sounds.settings(), "notes", "a.wav").traces[0]
    assert [chunk.span for chunk in traced.chunks][1] == (3000, 6000)
    assert traced.unit == "milliseconds"
    assert Eraser(sounds.settings(), "notes", ["a.wav"]).erase(Silent())["proved"]
    assert set(spans(sounds)) == {"b.wav", "c.wav"}


def test_a_history_of_windows_is_refused(sounds: Project) -> None:
    sounds.source["event_time"] = "mtime"
    sounds.feature = {"history": True}
    with pytest.raises(SettingsError, match="cuts recordings into windows, which have no history"):
        sounds.run()


# --- what is wrong with a file --------------------------------------------------------------------


def test_a_file_that_cannot_be_opened_is_one_dead_letter(sounds: Project) -> None:
    folder = sounds.root / "sounds"
    whole = (folder / "a.wav").read_bytes()
    sounds.run()
    (folder / "a.wav").write_bytes(whole[:-4000])
    (folder / "d.wav").write_bytes(b"no recording at all")
    outcome = sounds.run()
    assert (outcome.counts.dead, outcome.counts.encoded) == (2, 0)
    reasons = sounds.dead()
    assert "the recording is cut off" in reasons["sounds/a.wav"]
    assert "cannot decode 19 bytes beginning with b'no recor'" in reasons["sounds/d.wav"]
    assert len(spans(sounds)["a.wav"]) == 4, "its last good rows are gone"
    (folder / "a.wav").write_bytes(whole)
    (folder / "d.wav").unlink()
    assert sounds.run().counts.unchanged == 7
    assert sounds.dead() == {}


def test_damage_in_the_middle_takes_only_the_windows_that_it_is_in(sounds: Project) -> None:
    folder = sounds.root / "sounds"
    sounds.source["path"] = "sounds/*"
    data = bytearray(encoded("FLAC", "PCM_16", tones(TONES["a"])))
    middle = len(data) * 5 // 8
    data[middle : middle + 3000] = bytes(3000)
    (folder / "d.flac").write_bytes(data)
    outcome = sounds.run()
    assert outcome.counts.dead >= 1
    assert 1 <= len(spans(sounds)["d.flac"]) < 4
    letters = sounds.stores().catalog.query("FROM dead_letters").to_pylist()
    assert {letter["record_id"] for letter in letters} == {"d.flac"}
    assert all("(chunk " in row["reason"] for row in letters)
    assert all(", milliseconds " in row["reason"] for row in letters)
    again = sounds.run()
    assert (again.counts.encoded, again.counts.dead) == (0, outcome.counts.dead)
    assert sounds.dead() == {"sounds/d.flac": letters[-1]["reason"]}


def test_a_header_that_promises_too_much(sounds: Project) -> None:
    """Where that shows only by reading on, what there is no end of is dead, and the rest taken."""
    data = bytearray(encoded("FLAC", "PCM_16", tones((500, 900))))
    start = data.index(b"fLaC") + 8
    data[start + 14 : start + 18] = (RATE * 11).to_bytes(4, "big")
    (sounds.root / "sounds" / "d.flac").write_bytes(data)
    sounds.source["path"] = "sounds/*"
    outcome = sounds.run()
    taken = spans(sounds)["d.flac"]
    assert (0, 3000) in taken
    assert set(taken) <= {(0, 3000), (3000, 6000)}
    assert outcome.counts.dead == 4 - len(taken)


def test_a_file_that_changes_during_a_run_is_tried_again(sounds: Project) -> None:
    path = sounds.root / "sounds" / "a.wav"
    changes = Stopping(point="plan", how=lambda: record(path, (800, 600, 400, 200)))
    outcome = sounds.run(changes)
    assert (outcome.counts.dead, outcome.counts.encoded) == (4, 3)
    assert "changed while the run was under way" in sounds.dead()["sounds/a.wav"]
    outcome = sounds.run()
    assert (outcome.counts.dead, outcome.counts.new) == (0, 4)


def test_limits_are_those_of_the_whole_recording(sounds: Project) -> None:
    sounds.more = "[limits]\nmax_seconds = 10\n"
    outcome = sounds.run()
    assert (outcome.counts.dead, outcome.rows) == (1, 3)
    assert "lasts 12.0 s or more, expected at most 10 s" in sounds.dead()["sounds/a.wav"]
    sounds.more = ""
    assert sounds.run().counts.new == 4
    assert sounds.dead() == {}


# --- parts of files -------------------------------------------------------------------------------

FORMATS = [
    ("WAV", "PCM_16"), ("WAV", "FLOAT"), ("WAV", "MS_ADPCM"), ("AIFF", "PCM_24"),
    ("FLAC", "PCM_16"), ("OGG", "VORBIS"), ("OGG", "OPUS"), ("MP3", "MPEG_LAYER_III"),
]  # fmt: skip


def encoded(container: str, subtype: str, samples: NDArray[np.float32]) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, samples, RATE, format=container, subtype=subtype)
    return file.getvalue()


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
