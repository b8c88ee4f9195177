"""Images and recordings through a whole run, with the broken ones among them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import soundfile
from PIL import Image

from flows.pipeline.decode import decode
from flows.pipeline.learning import FittingError
from flows.searching.queries import SearchError
from flows.searching.search import search
from storage.ids import hash_bytes
from tests.flows.interruptions import Stopping

if TYPE_CHECKING:
    from pathlib import Path

    from tests.flows.project import Project


def picture(path: Path, seed: int) -> None:
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 6, 3), dtype=np.uint8)
    Image.fromarray(coarse).resize((32, 32)).save(path)


def recording(path: Path, seed: int) -> None:
    time = np.arange(4000) / 8000
    wave = np.sin(2 * np.pi * (200 + 90 * seed) * time)
    soundfile.write(path, (0.4 * wave).astype(np.float32), 8000)


@pytest.fixture
def pictures(project: Project) -> Project:
    folder = project.root / "pictures"
    folder.mkdir()
    for n in range(6):
        picture(folder / f"{n}.png", n)
    project.source = {"kind": "files", "path": "pictures/*.png"}
    project.encoder = {"kind": "vision", "centroids": 8, "size": 16}
    return project


def test_a_picture_that_cannot_be_decoded_is_a_dead_letter(pictures: Project) -> None:
    bad = pictures.root / "pictures" / "3.png"
    whole = bad.read_bytes()
    bad.write_bytes(whole[: len(whole) // 2])
    outcome = pictures.run()
    assert (outcome.counts.dead, outcome.rows) == (1, 5)
    (reason,) = pictures.dead().values()
    assert "cannot decode" in reason
    assert pictures.run().counts.encoded == 0
    bad.write_bytes(whole)
    assert (pictures.run().rows, pictures.dead()) == (6, {})


def test_an_encoder_with_nothing_to_learn_from_says_what_is_wrong(pictures: Project) -> None:
    pictures.encoder = {"kind": "mfcc"}
    with pytest.raises(FittingError, match=r"none of the 6 drawn .* The first: cannot decode"):
        pictures.run()


def test_a_picture_is_found_by_itself(pictures: Project) -> None:
    pictures.run()
    file = pictures.root / "pictures" / "2.png"
    found = search(pictures.settings(), "notes", "image", str(file), 1)
    assert found["record_id"].to_pylist() == ["2.png"]
    (pictures.root / "rubbish.png").write_bytes(b"rubbish")
    for path, told in (("rubbish.png", "in no image format"), ("none.png", "there is no file")):
        with pytest.raises(SearchError, match=told):
            search(pictures.settings(), "notes", "image", str(pictures.root / path), 1)


def test_a_file_that_changes_during_a_run_is_not_put_down_as_what_it_was(
    pictures: Project,
) -> None:
    """Its vector would be given to every later record with the old content."""
    changing, copy = (pictures.root / "pictures" / name for name in ("1.png", "9.png"))
    old = changing.read_bytes()
    changes = Stopping(point="plan", how=lambda: picture(changing, 77))
    assert pictures.run(changes).counts.dead == 1
    assert "changed while the run was under way" in next(iter(pictures.dead().values()))
    copy.write_bytes(old)
    outcome = pictures.run()
    assert outcome.counts.new == 1 + (not outcome.counts.dead)
    rows = pictures.rows()
    assert rows["1.png"]["content_hash"] == hash_bytes(changing.read_bytes())


def test_a_truncated_recording_is_a_dead_letter(project: Project) -> None:
    folder = project.root / "sounds"
    folder.mkdir()
    for n in range(5):
        recording(folder / f"{n}.wav", n)
    cut = folder / "2.wav"
    cut.write_bytes(cut.read_bytes()[:-3000])
    project.source = {"kind": "files", "path": "sounds/*.wav"}
    project.encoder = {"kind": "mfcc"}
    outcome = project.run()
    assert (outcome.counts.dead, outcome.rows) == (1, 4)
    assert [*project.dead()] == ["sounds/2.wav"]
    recording(cut, 2)
    assert project.run().counts.new == 1


def test_what_is_decoded_keeps_its_order(tmp_path: Path) -> None:
    import polars as pl

    for n in range(5):
        picture(tmp_path / f"{n}.png", n)
    (tmp_path / "1.png").write_bytes(b"rubbish")
    (tmp_path / "3.png").unlink()
    decoded: Any = decode("image", pl.Series([str(tmp_path / f"{n}.png") for n in range(5)]))
    assert (decoded.rows, len(decoded.batch)) == ([0, 2, 4], 3)
    assert (list(decoded.dead), list(decoded.passing)) == ([1], [3])
    assert decoded.passing[3] == "the file cannot be read: No such file or directory"
    with Image.open(tmp_path / "4.png") as fourth:
        assert decoded.batch[2].tobytes() == fourth.convert("RGB").tobytes()
