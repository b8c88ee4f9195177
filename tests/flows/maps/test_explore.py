"""Embedding Atlas is given what a feature holds; where it is not there, that is told."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import pytest

from flows.cli import run_command
from flows.maps.drawing import Asked, draw
from flows.output.progress import Silent

if TYPE_CHECKING:
    from pathlib import Path

    from tests.flows.project import Project

ATLAS = """#!{python}
import json, sys
import pyarrow.parquet as pq
table = pq.read_table(sys.argv[1])
told = {{"options": sys.argv[2:], "columns": table.column_names, "rows": len(table),
         "vector": len(table["vector"][0].as_py()), "file": sys.argv[1]}}
open({log!r}, "w").write(json.dumps(told))
sys.exit(3)
"""


@pytest.fixture
def atlas(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program that stands where Embedding Atlas would, and notes what it is given."""
    log = tmp_path / "told.json"
    program = tmp_path / "bin" / "embedding-atlas"
    program.parent.mkdir()
    program.write_text(ATLAS.format(python=sys.executable, log=str(log)), encoding="utf-8")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent))
    monkeypatch.setattr("flows.maps.explore.find_spec", lambda _: None)
    return log


def test_embedding_atlas_is_given_the_map(project: Project, atlas: Path) -> None:
    project.write([(f"r{k}", f"text {k}", f"a longer text {k}") for k in range(20)])
    project.run()
    conf = ["--conf", str(project.settings().conf)]
    assert run_command(["explore", "notes", "--port", "6001", *conf]) == 3
    told = json.loads(atlas.read_text("utf-8"))
    assert told["columns"] == ["record_id", "vector", "event_time", "label"]
    assert (told["rows"], told["vector"]) == (20, 8)
    assert told["options"] == [
        "--port", "6001", "--vector", "vector", "--umap-metric", "cosine",
        "--umap-random-state", "0", "--text", "label",
    ]  # fmt: skip
    draw(project.settings(), "notes", Asked("pca", size=15), Silent())
    assert run_command(["explore", "notes", *conf]) == 3
    told = json.loads(atlas.read_text("utf-8"))
    assert told["rows"] == 15
    assert told["columns"][-2:] == ["map_x", "map_y"]
    assert told["options"][4:8] == ["--x", "map_x", "--y", "map_y"]
    assert not list((project.root / "data").glob(".vecmill-*"))


def test_without_embedding_atlas_it_says_how_to_have_it(
    project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(project.root))
    monkeypatch.setattr("flows.maps.explore.find_spec", lambda _: None)
    conf = str(project.settings().conf)
    assert run_command(["explore", "nots", "--conf", conf]) == 2
    assert "did you mean 'notes'" in capsys.readouterr().err, "what is wrong anyway comes first"
    project.write([(n, f"a note {n}", "x") for n in range(12)])
    project.run()
    assert run_command(["explore", "notes", "--conf", conf]) == 2
    assert "pip install embedding-atlas" in capsys.readouterr().err
