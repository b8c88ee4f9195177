"""Files that encoders name: the same from every directory, and after the project has moved."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from flows.config.anchors import anchored, moved
from flows.config.configuration import load
from flows.config.stores import Stores
from flows.engines.engine import Direct
from flows.output.progress import Silent
from flows.pipeline import fitting
from flows.pipeline import stages as pipeline
from flows.searching.search import search
from tests.encoders.conftest import save_sentence_model

if TYPE_CHECKING:
    from flows.config.settings import Settings

CONF = """
[sources.notes]
kind = "table"
path = "notes.csv"
id = "id"
content = "text"
[encoders.mill]
kind = "sentence"
model = "models/tiny"
[features.notes]
source = "notes"
encoder = "mill"
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project folder with a tiny model in it; one stands in another, with another model there."""
    root = tmp_path / "project"
    save_sentence_model(root / "models" / "tiny")
    (root / "vecmill.toml").write_text(CONF, "utf-8")
    (root / "notes.csv").write_text("id,text\n1,the mill\n2,a cat\n", "utf-8")
    return root


def model(settings: Settings) -> str:
    """What the encoder is told."""
    found: str = settings.feature("notes").encoder.params.model
    return found


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("models/x", "{root}/./models/x"),
        ("models//x/", "{root}/./models/x"),
        ("./models/x", "{root}/./models/x"),
        ("./gone", "{root}/./gone"),
        ("../gone", "{root}/./../gone"),
        ("/srv/./x", "/srv/x"),
        ("~/x", "{home}/x"),
        ("~no such user/x", "~no such user/x"),
        ("models/gone", "models/gone"),
        ("BAAI/bge-small-en-v1.5", "BAAI/bge-small-en-v1.5"),
        ("", ""),
        ("x" * 5000, "x" * 5000),
        ("a\0b", "a\0b"),
    ],
)
def test_what_is_there_or_is_surely_a_path_becomes_absolute(
    tmp_path: Path, value: str, expected: str
) -> None:
    (tmp_path / "models" / "x").mkdir(parents=True)
    assert anchored(value, tmp_path) == expected.format(root=tmp_path, home=Path.home())


def test_a_path_moves_with_its_project_if_it_came_along(tmp_path: Path) -> None:
    (tmp_path / "models" / "x").mkdir(parents=True)
    assert moved("/old/./models/x", tmp_path) == f"{tmp_path}/./models/x"
    for other in ("/old/./models/y", "/old/models/x", "models/x", "BAAI/bge-small-en-v1.5"):
        assert moved(other, tmp_path) == other


def test_a_model_is_the_projects_own_wherever_one_stands(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_sentence_model(tmp_path / "elsewhere" / "models" / "tiny", dim=16)
    expected = fitting.unfitted(load(project / "vecmill.toml").feature("notes"), tmp_path)
    monkeypatch.chdir(tmp_path / "elsewhere")
    settings = load(project / "vecmill.toml")
    assert model(settings) == f"{project}/./models/tiny"
    outcome = pipeline.embed(settings, "notes", Direct(), Silent())
    (version,) = Stores.of(settings).catalog.versions("notes")
    assert (version.dim, outcome.counts.encoded) == (32, 2)
    assert version.recipe == expected.recipe()
    assert str(tmp_path) not in str(version.recipe)


def test_a_folder_one_stands_in_does_not_stand_in_for_a_published_model(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from encoders import _hub

    monkeypatch.chdir(project)
    save_sentence_model(project / _hub.MINILM)
    assert _hub.locate(_hub.MINILM, None) != Path(_hub.MINILM)
    assert _hub.locate(f"./{_hub.MINILM}", None) == Path(_hub.MINILM)


def test_weights_are_the_projects_own_too(project: Path) -> None:
    (project / "models" / "sq.safetensors").touch()
    text = CONF.replace('"sentence"', '"vision"').replace('"models/tiny"', '"squeezenet1_1"')
    for weights, found in (
        ("models/sq.safetensors", f"{project}/./models/sq.safetensors"),
        ("IMAGENET1K_V1", "IMAGENET1K_V1"),
    ):
        lines = text.replace('"squeezenet1_1"', f'"squeezenet1_1"\nweights = "{weights}"')
        (project / "vecmill.toml").write_text(lines, "utf-8")
        params = load(project / "vecmill.toml").feature("notes").encoder.params
        assert (params.model, params.weights) == ("squeezenet1_1", found)


def test_a_project_that_moved_still_finds_what_made_its_vectors(
    project: Path, tmp_path: Path
) -> None:
    settings = load(project / "vecmill.toml")
    pipeline.embed(settings, "notes", Direct(), Silent())
    before = search(settings, "notes", "text", "the mill", 2)
    fitting.forget()
    here = Path(shutil.move(project, tmp_path / "moved"))
    # what is configured now is another encoder: the live version's own is to be found
    text = CONF.replace('model = "models/tiny"', "")
    (here / "vecmill.toml").write_text(text, "utf-8")
    after = search(load(here / "vecmill.toml"), "notes", "text", "the mill", 2)
    assert after["record_id"].to_pylist() == before["record_id"].to_pylist() == ["1", "2"]
    np.testing.assert_array_equal(after["distance"], before["distance"])
    (here / "vecmill.toml").write_text(CONF, "utf-8")
    outcome = pipeline.embed(load(here / "vecmill.toml"), "notes", Direct(), Silent())
    assert (outcome.version, outcome.counts.encoded, outcome.counts.unchanged) == (1, 0, 2)
