"""`vecmill search`, by text, record, words, picture and recording."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from flows.cli import run_command

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.flows.commands.commanding import Answer
    from tests.flows.project import Project


def test_search_by_words_narrowed_and_with_recall(filled: Callable[..., Answer]) -> None:
    found = filled("search", "notes", "--words", "z", "--where", "record_id <> 'c'", "--json")
    assert (found.code, found.err) == (0, "")
    assert [row["record_id"] for row in found.rows] == ["d"]
    wrong = filled("search", "notes", "--id", "a", "--where", "lable = 'x'")
    assert wrong.code == 2
    assert "did you mean 'label'" in wrong.err
    for form in ((), ("--json",)):
        nothing = filled("search", "notes", "--words", "nowhere", *form)
        assert (nothing.code, nothing.out) == (0, "")
        assert "none of the 4 rows of notes has any of the words 'nowhere'" in nothing.err
    [measured] = filled("search", "notes", "--recall", "-k", "2", "--json").rows
    assert (measured["recall"], measured["k"], measured["index"]) == (1.0, 2, None)
    told = filled("search", "notes", "--id", "a", "--recall", "-k", "2", "--exact", "--json")
    assert len(told.rows) == 2
    assert "recall@2 1.000" in told.err
    assert "every row is looked at" in told.err


def test_search_by_text_and_by_id(filled: Callable[..., Answer]) -> None:
    [first, *_] = rows = filled("search", "notes", "--text", "wheel", "--json").rows
    assert (first["record_id"], first["label"]) == ("a", "x")
    assert first["distance"] == pytest.approx(0, abs=1e-6)
    assert [row["distance"] for row in rows] == sorted(row["distance"] for row in rows)
    like = filled("search", "notes", "--id", "c", "-k", "2", "--json").rows
    assert [like[0]["record_id"], len(like)] == ["d", 2]
    told = filled("search", "notes", "--text", "wheel", "-k", "1").out.splitlines()
    assert [line.split() for line in told] == [["record_id", "distance", "label"], ["a", "0", "x"]]


def test_kept_values_that_json_cannot_say_are_null(
    vecmill: Callable[..., Answer], project: Project
) -> None:
    import polars as pl

    labels = [float("nan"), 1.5, float("inf")]
    table = pl.DataFrame({"id": ["a", "b", "c"], "text": ["x", "y", "z"], "label": labels})
    table.write_parquet(project.root / "notes.parquet")
    project.source = {"path": "notes.parquet"}
    vecmill("run", "--direct")
    rows = vecmill("search", "notes", "--text", "wheel", "--json").rows
    assert {row["record_id"]: row["label"] for row in rows} == {"a": None, "b": 1.5, "c": None}


FILES_CONF = """
[sources.images]
kind = "files"
path = "images/*.png"
id = "{name}"
pattern = "{name}.png"
[sources.sounds]
kind = "files"
path = "sounds/*.wav"
id = "{name}"
pattern = "{name}.wav"
[encoders.patches]
kind = "vision"
centroids = 16
size = 16
[encoders.mfcc]
kind = "mfcc"
[features.images]
source = "images"
encoder = "patches"
[features.sounds]
source = "sounds"
encoder = "mfcc"
"""


@pytest.mark.slow
def test_search_by_an_image_and_by_a_recording(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    import soundfile
    from PIL import Image

    conf = tmp_path / "files.toml"
    conf.write_text(FILES_CONF, encoding="utf-8")
    (tmp_path / "images").mkdir()
    (tmp_path / "sounds").mkdir()
    rng = np.random.default_rng(0)
    for i in range(12):
        Image.fromarray(rng.integers(0, 255, (16, 16, 3), np.uint8)).save(
            tmp_path / "images" / f"i{i}.png"
        )
        wave = np.sin(np.arange(8000) * (i + 1) * 0.05) + 0.01 * rng.standard_normal(8000)
        soundfile.write(tmp_path / "sounds" / f"s{i}.wav", 0.5 * wave, 8000)
    assert run_command(["run", "--direct", "--conf", str(conf)]) == 0
    for feature, option, file in (
        ("images", "--image", "images/i3.png"),
        ("sounds", "--audio", "sounds/s5.wav"),
    ):
        capfd.readouterr()
        query = [option, str(tmp_path / file), "-k", "3", "--json", "--conf", str(conf)]
        assert run_command(["search", feature, *query]) == 0
        found = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
        assert [len(found), found[0]["record_id"]] == [3, Path(file).stem]
    for option, value, said in (
        ("--text", "hello", "a query by text would be of another space"),
        ("--image", str(tmp_path / "nope.png"), "there is no file"),
        ("--image", str(conf), "files.toml: "),
    ):
        assert run_command(["search", "images", option, value, "--conf", str(conf)]) == 2
        assert said in capfd.readouterr().err
