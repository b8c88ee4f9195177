"""No pickle runs code, by whichever path a user can name a file."""

from __future__ import annotations

import ast
import os
import pickle
import shutil
import zipfile
from typing import TYPE_CHECKING, TypeAlias

import pytest

from encoders import sentence, vision
from encoders.base import EncoderError
from flows.pipeline import fitting
from storage.model import StorageError
from storage.states import States
from tests.conftest import REPOSITORY
from tests.encoders.conftest import save_sentence_model

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.flows.project import Project


class Malice:
    """Makes a file when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (str(self.mark),)


@pytest.fixture
def mark(tmp_path: Path) -> Path:
    """What is there once the code in a pickle has run."""
    return tmp_path / "it_ran"


def plain(path: Path, mark: Path) -> None:
    """A pickle as `pickle.dump` writes it, which is torch's old format too."""
    path.write_bytes(pickle.dumps({"weight": Malice(mark)}, protocol=2))


def zipped(path: Path, mark: Path) -> None:
    """A pickle as torch writes it today, in a zip archive."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps({"weight": Malice(mark)}, protocol=2))
        archive.writestr("archive/version", "3\n")
        archive.writestr("archive/byteorder", "little")


Write: TypeAlias = "Callable[[Path, Path], None]"
WAYS = [plain, zipped]


@pytest.mark.parametrize("write", WAYS)
def test_the_malice_is_real(tmp_path: Path, mark: Path, write: Write) -> None:
    write(tmp_path / "file", mark)
    raw = (tmp_path / "file").read_bytes()
    if raw[:2] == b"PK":
        with zipfile.ZipFile(tmp_path / "file") as archive:
            raw = archive.read("archive/data.pkl")
    pickle.loads(raw)  # noqa: S301 - this is the attack
    assert mark.is_dir()


@pytest.mark.parametrize("suffix", [".pth", ".pt", ".bin", ".pkl", ".safetensors", ""])
@pytest.mark.parametrize("write", WAYS)
def test_weights_of_a_network(tmp_path: Path, mark: Path, write: Write, suffix: str) -> None:
    file = tmp_path / f"weights{suffix}"
    write(file, mark)
    with pytest.raises(EncoderError, match="cannot be read as weights"):
        vision.build(vision.Params(model="squeezenet1_1", weights=str(file)))
    assert not mark.exists()


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.safetensors"])
@pytest.mark.parametrize("write", WAYS)
def test_weights_of_a_text_model(tmp_path: Path, mark: Path, write: Write, name: str) -> None:
    folder = tmp_path / "model"
    save_sentence_model(folder)
    for weights in folder.rglob("*.safetensors"):
        weights.unlink()
    write(folder / name, mark)
    with pytest.raises(EncoderError, match=r"hold more than tensors|cannot load"):
        sentence.build(sentence.Params(model=str(folder)))
    assert not mark.exists()


@pytest.mark.parametrize("write", WAYS)
def test_weights_of_a_later_module_of_a_text_model(
    tmp_path: Path, mark: Path, write: Write
) -> None:
    folder = tmp_path / "model"
    save_sentence_model(folder)
    dense = folder / "9_Dense"
    dense.mkdir()
    (dense / "config.json").write_text(
        '{"in_features": 32, "out_features": 8, "bias": true, '
        '"activation_function": "torch.nn.modules.linear.Identity"}'
    )
    write(dense / "pytorch_model.bin", mark)
    modules = folder / "modules.json"
    text = modules.read_text().rstrip().removesuffix("]")
    entry = (
        '{"idx": 9, "name": "9", "path": "9_Dense", "type": "sentence_transformers.models.Dense"}'
    )
    modules.write_text(f"{text}, {entry}]")
    with pytest.raises(EncoderError, match=r"hold more than tensors|cannot load"):
        sentence.build(sentence.Params(model=str(folder)))
    assert not mark.exists()


@pytest.mark.parametrize("write", WAYS)
def test_a_fitted_state(tmp_path: Path, mark: Path, write: Write) -> None:
    write(tmp_path / "0123.safetensors", mark)
    with pytest.raises(StorageError, match="is damaged"):
        States(tmp_path).load("0123")
    assert not mark.exists()


def test_a_fitted_state_of_a_project(project: Project, mark: Path) -> None:
    project.source = {"kind": "table", "path": "notes.csv", "id": "id", "content": ["a", "b"]}
    project.encoder = {"kind": "tabular", "dim": 2}
    project.write([(n, n * n % 7, n % 3) for n in range(20)], header=("id", "a", "b"))
    project.run()
    fitting.forget()
    (state,) = project.stores().states.glob("*")
    shutil.copy(state, mark.parent / "kept")
    plain(state, mark)
    with pytest.raises(StorageError, match="is damaged"):
        project.run()
    assert not mark.exists()


def test_nothing_here_unpickles() -> None:
    """The source itself: no loader of pickles is called but with its safety on."""
    faults = [
        f"{file.relative_to(REPOSITORY)}: {ast.unparse(node)}"
        for package in ("encoders", "flows", "storage")
        for file in (REPOSITORY / package).rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text("utf-8")))
        if _unpickles(node)
    ]
    assert faults == []


@pytest.mark.parametrize(
    "line",
    [
        "import joblib", "from dill import load", "pickle.load(f)", "from pickle import loads",
        "torch.load(f)", "torch.load(f, weights_only=False)", "np.load(f, allow_pickle=True)",
    ],
)  # fmt: skip
def test_the_search_for_unpicklers_finds_them(line: str) -> None:
    assert any(_unpickles(node) for node in ast.walk(ast.parse(line)))


def _unpickles(node: ast.AST) -> bool:
    banned = {"joblib", "dill", "cloudpickle", "shelve", "marshal"}
    if isinstance(node, ast.Import):
        return any(alias.name.split(".")[0] in banned for alias in node.names)
    if isinstance(node, ast.ImportFrom):
        names = {alias.name for alias in node.names}
        return node.module in banned or (node.module == "pickle" and names != {"UnpicklingError"})
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
        return False
    owner = ast.unparse(node.func.value)
    given = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
    if owner == "pickle":
        return node.func.attr != "dumps"  # asks whether something can be sent, and runs nothing
    if given.get("allow_pickle") == "True":
        return True
    return owner == "torch" and node.func.attr == "load" and given.get("weights_only") != "True"
