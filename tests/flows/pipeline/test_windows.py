"""Long recordings whose rows are windows: what a run writes, finds, changes and refuses."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pytest

from encoders.media import Audio, decode_audio
from encoders.windows import Window
from flows import cli
from flows.config.settings import SettingsError
from flows.lifecycle.lineage import lineage
from flows.output.progress import Silent
from flows.pipeline import fitting
from flows.pipeline.windows import content_hash
from flows.searching.search import search
from flows.upkeep.erase import Eraser
from storage.ids import hash_bytes
from tests.flows.interruptions import Stopping
from tests.flows.pipeline.sounding import RATE, TONES, encoded, record, tones
from tests.flows.project import vector

if TYPE_CHECKING:
    from tests.flows.project import Project


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
