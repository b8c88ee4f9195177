"""erase beside an export, a session or a damaged journal, and killed anywhere."""

from __future__ import annotations

import pkgutil
import shutil
from typing import TYPE_CHECKING

import pytest

from flows.export import Asked as Export
from flows.export import export as write
from flows.maps.drawing import Asked, draw
from flows.output.progress import Silent
from flows.reports.files import make
from flows.upkeep.erase import Eraser
from flows.upkeep.holdings import Holdings
from storage.model import StorageError
from tests.flows.plugins import installed
from tests.flows.project import Project
from tests.flows.upkeep.erasing import (
    DEAD_ID,
    ID,
    LABEL,
    OTHERS,
    TEXT,
    erase,
    everything,
    published,
)

if TYPE_CHECKING:
    from pathlib import Path

    from storage.model import Form
    from tests.processes import Forking


@pytest.mark.parametrize("form", ["parquet", "npy"])
@pytest.mark.parametrize("point", ["storage.exports.note", "storage.swaps.put"])
def test_an_export_that_an_erasure_overtakes_holds_none(
    project: Project, monkeypatch: pytest.MonkeyPatch, point: str, form: Form
) -> None:
    project.write([*OTHERS, (ID, TEXT, LABEL)])
    project.run()
    project.write(OTHERS)
    target = project.root / "out"
    step = pkgutil.resolve_name(point)

    def overtaken(*given: object) -> None:
        assert erase(project, ID)["proved"]
        monkeypatch.setattr(point, step)
        step(*given)

    monkeypatch.setattr(point, overtaken)
    with pytest.raises(StorageError, match="erased from notes_v1 while it was exported"):
        write(project.settings(), "notes", Export(target, form))
    assert not target.exists()
    assert write(project.settings(), "notes", Export(target, form))["rows"] == 20


def test_a_session_from_before_is_fine_or_told(project: Project) -> None:
    import duckdb

    project.write([*OTHERS, (ID, TEXT, LABEL)])
    project.run()
    with project.connect() as con:
        erase(project, ID)
        try:
            assert len(con.sql("FROM notes").fetchall()) == 21
        except duckdb.Error as error:
            assert "not found" in str(error).lower()  # noqa: PT017 - either is right
    assert len(project.rows()) == 20


def test_a_journal_that_cannot_be_read_is_told(project: Project) -> None:
    project.write(OTHERS)
    project.run()
    eraser = Eraser(project.settings(), "notes", [ID])
    journal = Holdings(project.settings(), "notes").journal
    journal.parent.mkdir()
    journal.write_text("{")
    with pytest.raises(StorageError, match="delete it and name all ids again"):
        eraser.erase(Silent())


KILL = """
import sys
from pathlib import Path
from flows.upkeep.erase import Eraser
from flows.upkeep.holdings import Holdings
from flows.output.progress import Silent
from tests.flows.interruptions import Stopping, die
from tests.flows.plugins import installed
from tests.flows.project import Project
with installed():
    settings = Project(Path(sys.argv[1])).settings()
    Eraser(settings, "notes", sys.argv[3:], Stopping(point=sys.argv[2], how=die)).erase(Silent())
"""
STEPS = (
    "note", "rows", "publish", "states", "staging", "canaries", "maps", "sketches", "exports",
    "memory",
    "catalog", "reports", "rewrite", "prove", "receipt", "done",
)  # fmt: skip


@pytest.fixture(scope="module")
def erasable(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a project that holds two records wherever it can, but not in its source."""
    with installed():
        project = Project(tmp_path_factory.mktemp("erasable"))
        project.write([*OTHERS, (ID, TEXT, LABEL), (DEAD_ID, f"FAIL {TEXT}", LABEL)])
        project.run()
        draw(project.settings(), "notes", Asked("pca"), Silent())
        make(project.settings(), "notes", Silent(), None, None)
        project.write(OTHERS)
        project.run()
    return project.root


@pytest.mark.slow
@pytest.mark.parametrize("step", STEPS)
def test_killed_anywhere_the_next_one_finishes(
    forking: Forking, erasable: Path, project: Project, step: str
) -> None:
    shutil.copytree(erasable, project.root, dirs_exist_ok=True)
    before = published(project)
    killed = forking.run(KILL, project.root, step, ID)
    assert killed.code == -9, killed.err
    assert published(project) == before
    receipt = erase(project, DEAD_ID)  # the journal knows of the other one
    assert receipt["proved"], receipt["proof"]
    assert everything(project) == []
    assert published(project) == before
    assert receipt["records"] == (1 if step == "done" else 2)
    assert project.run().counts.unchanged == 20
