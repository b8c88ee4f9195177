"""Code that a model brings runs where a key says so, and where it is pinned."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from encoders import sentence
from encoders.base import EncoderError, EncoderUsageError
from tests.encoders.conftest import save_sentence_model

if TYPE_CHECKING:
    from pathlib import Path

CODE = """
from pathlib import Path
from sentence_transformers.sentence_transformer.modules import Normalize
Path({mark!r}).touch()
class Own(Normalize):
    pass
"""


@pytest.fixture
def mark(tmp_path: Path) -> Path:
    """What is there once the model's code has run."""
    return tmp_path / "it_ran"


@pytest.fixture
def model(tmp_path: Path, mark: Path) -> Path:
    """A saved model whose last module is a class of its own."""
    folder = tmp_path / "model"
    save_sentence_model(folder)
    (folder / "own.py").write_text(CODE.format(mark=str(mark)))
    (folder / "9_Own").mkdir()
    modules = json.loads((folder / "modules.json").read_text())
    modules.append({"idx": len(modules), "name": "9", "path": "9_Own", "type": "own.Own"})
    (folder / "modules.json").write_text(json.dumps(modules))
    return folder


def test_it_does_not_run_unasked(model: Path, mark: Path) -> None:
    with pytest.raises(EncoderError, match=r"names 'own.Own'; .* set trust_remote_code = true"):
        sentence.build(sentence.Params(model=str(model)))
    with pytest.raises(EncoderError, match="wants code of its own"):
        sentence.recipe(sentence.Params(model=str(model)))
    assert not mark.exists()


def test_it_runs_where_a_key_says_so_and_is_part_of_the_recipe(
    model: Path, mark: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("transformers.dynamic_module_utils.HF_MODULES_CACHE", str(tmp_path / "c"))
    params = sentence.Params(model=str(model), trust_remote_code=True)
    encoder = sentence.build(params)
    assert mark.exists()
    before = encoder.recipe()
    assert before["trust_remote_code"] is True
    files = before["files"]
    assert isinstance(files, dict)
    assert "own.py" in files
    (model / "own.py").write_text("# other code\n")
    assert sentence.recipe(params) != before


@pytest.mark.parametrize("revision", [None, "main", "v1.0", "0123abc"])
def test_code_from_the_hub_needs_a_full_commit(revision: str | None) -> None:
    params = sentence.Params("some/model", revision=revision, trust_remote_code=True)
    with pytest.raises(
        EncoderUsageError, match=f"the full commit, 40 hex digits, got {revision!r}"
    ):
        sentence.build(params)


def test_code_of_another_repository_is_never_run(model: Path, mark: Path) -> None:
    config = json.loads((model / "config.json").read_text())
    config["auto_map"] = {"AutoModel": "other/repository--modeling.Model"}
    (model / "config.json").write_text(json.dumps(config))
    with pytest.raises(EncoderError, match=r"of another repository .*'other/repository--modeling"):
        sentence.build(sentence.Params(model=str(model), trust_remote_code=True))
    assert not mark.exists()


def test_the_key_changes_no_fingerprint_while_it_is_off(tmp_path: Path) -> None:
    save_sentence_model(tmp_path / "model")
    assert "trust_remote_code" not in sentence.recipe(
        sentence.Params(model=str(tmp_path / "model"))
    )
