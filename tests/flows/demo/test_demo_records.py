from __future__ import annotations

import csv
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pytest

from flows.demo import raw as demo_raw
from flows.demo import records as demo_records
from storage.ids import hash_bytes, hash_text

if TYPE_CHECKING:
    from pathlib import Path

    from flows.demo.records import Change, Disturbance


pytestmark = pytest.mark.slow  # all of Python's library is parsed, and 3,500 files are written


@dataclass(frozen=True)
class Demo:
    """Content hashes by record id, before and after; lines that cannot be read are left out."""

    before: dict[str, dict[str, str]]
    after: dict[str, dict[str, str]]
    done: Disturbance
    folder: Path


def files(folder: Path) -> dict[str, str]:
    paths = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): hash_bytes(path.read_bytes()) for path in paths}


def rows(path: Path) -> dict[str, str]:
    with path.open(encoding="utf-8", newline="") as file:
        header, *lines = csv.reader(file)
    whole = [line for line in lines if len(line) == len(header)]
    return {line[0]: hash_text("\0".join(line)) for line in reversed(whole)}


def snapshot(folder: Path) -> dict[str, dict[str, str]]:
    return {
        "texts": rows(folder / demo_records.TEXTS),
        "images": files(folder / demo_records.IMAGES),
        "audio": files(folder / demo_records.AUDIO),
        "table": rows(folder / demo_records.TABLE),
    }


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Demo:
    folder = tmp_path_factory.mktemp("demo")
    demo_records.write(folder, np.random.default_rng(0))
    before = snapshot(folder)
    done = demo_records.disturb(folder, np.random.default_rng(1))
    return Demo(before, snapshot(folder), done, folder)


def test_there_is_enough_of_every_modality(demo: Demo) -> None:
    counts = {name: len(records) for name, records in demo.before.items()}
    assert counts == {"texts": 1000, "images": 1780, "audio": 200, "table": 550}


@pytest.mark.parametrize("feature", ["texts", "images", "audio", "table"])
def test_what_was_disturbed_is_what_is_said(demo: Demo, feature: str) -> None:
    before, after = demo.before[feature], demo.after[feature]
    said: Change = getattr(demo.done, feature)
    assert set(said.added) == set(after) - set(before)
    assert set(said.deleted) == set(before) - set(after)
    differing = {name for name in before.keys() & after.keys() if before[name] != after[name]}
    assert differing == set(said.changed) | (set(said.broken) & set(before))
    groups = (said.changed, said.added, said.deleted, said.broken, said.doubled)
    assert len({name for group in groups for name in group}) == sum(map(len, groups))
    assert min(len(group) for group in groups[:4]) >= 1


def test_a_line_is_broken_and_an_id_doubled(demo: Demo) -> None:
    with (demo.folder / demo_records.TEXTS).open(encoding="utf-8", newline="") as file:
        lines = list(csv.reader(file))
    assert [line[0] for line in lines if len(line) != 5] == list(demo.done.texts.broken)
    ids = [line[0] for line in lines]
    assert {name for name in ids if ids.count(name) > 1} == set(demo.done.texts.doubled)


def test_broken_files_cannot_be_read_and_the_others_can(demo: Demo) -> None:
    import soundfile
    from PIL import Image

    (picture,) = demo.done.images.broken
    with (
        pytest.raises(OSError, match="truncated"),
        Image.open(demo.folder / "images" / picture) as image,
    ):
        image.load()
    for name in demo.done.images.changed + demo.done.images.added:
        with Image.open(demo.folder / "images" / name) as image:
            assert image.size == (32, 32)
            assert np.ptp(np.asarray(image)) > 200
    (recording,) = demo.done.audio.broken
    declared = int.from_bytes((demo.folder / "audio" / recording).read_bytes()[40:44], "little")
    assert declared + 44 > (demo.folder / "audio" / recording).stat().st_size
    for name in demo.done.audio.changed + demo.done.audio.added:
        samples, rate = soundfile.read(demo.folder / "audio" / name)
        assert rate == 16_000
        assert 0.7 < np.abs(samples).max() < 0.9
        assert 12_000 < len(samples) < 20_000


def test_the_bad_number_is_one_cell(demo: Demo) -> None:
    with (demo.folder / demo_records.TABLE).open(encoding="utf-8", newline="") as file:
        records = list(csv.DictReader(file))
    bad = [row["id"] for row in records if row["mean_area"] == "12x4"]
    assert bad == list(demo.done.table.broken)
    assert any(row["mean_symmetry"] == "" for row in records)
    assert {row["size"] for row in records} == {"small", "medium", "large"}


def test_a_seed_gives_the_same_bytes(demo: Demo, tmp_path: Path) -> None:
    demo_records.write(tmp_path, np.random.default_rng(0))
    assert demo_records.disturb(tmp_path, np.random.default_rng(1)) == demo.done
    assert files(tmp_path) == files(demo.folder)


def test_the_shift_adds_code_and_leaves_the_rest(tmp_path: Path) -> None:
    path = tmp_path / demo_records.TEXTS
    path.parent.mkdir(parents=True)
    path.write_text("id,module,kind,title,body\r\nabc,abc,module,abc,a text\r\n", encoding="utf-8")
    added = demo_records.shift(tmp_path, np.random.default_rng(0))
    assert demo_records.shift(tmp_path, np.random.default_rng(0)) == added
    after = rows(path)
    assert len(added) == 150
    assert set(after) == {"abc", *added}


def test_docstrings_have_ids_of_their_own() -> None:
    records = demo_raw.docstrings()
    ids = [row["id"] for row in records]
    assert len(set(ids)) == len(ids)
    by_id = {row["id"]: row for row in records}
    assert by_id["shutil.copyfile"]["title"] == "shutil.copyfile(src, dst, *, follow_symlinks=True)"
    assert by_id["shutil.copyfile"]["body"].startswith("Copy data from src to dst")
    assert {row["kind"] for row in records} == {"module", "class", "function"}


def test_a_note_has_the_pitch_it_is_named_for() -> None:
    rng = np.random.default_rng(0)
    for timbre in ("flute", "clarinet", "guitar"):
        samples = demo_raw.note(demo_raw.TIMBRES[timbre], demo_raw.NOTES["a4"], rng)
        spectrum = np.abs(np.fft.rfft(samples))
        peak = np.argmax(spectrum) * demo_raw.SAMPLE_RATE / len(samples)
        assert peak == pytest.approx(440, rel=0.03)
