"""`vecmill init`, `status`, `promote` and `doctor`, on a project as a whole."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from flows.cli import run_command
from tests.flows.plugins.letters import vector_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import pytest

    from tests.flows.commands.commanding import Answer
    from tests.flows.project import Project


def test_status_and_promote(filled: Callable[..., Answer], project: Project) -> None:
    project.encoder = {"revision": 2}
    assert filled("run", "--direct", "--json").rows[0]["standing"] == "candidate"
    waits = "notes v2 is a candidate: readers do not see it until `vecmill promote notes 2`"
    assert waits in filled("status").err
    promoted = filled("promote", "notes", "2")
    assert "candidate" not in filled("status").err
    assert (promoted.code, promoted.out, promoted.err) == (0, "", "notes_v2 is live\n")
    standings = [row["standing"] for row in filled("status", "--json").rows]
    assert standings == ["retired", "live"]
    refused = filled("promote", "notes", "3")
    assert refused.code == 2
    assert "notes has no version v3; there are: v1, v2" in refused.err
    np.testing.assert_array_equal(
        np.asarray(project.rows()["a"]["vector"], np.float32), vector_of("wheel", revision=2)
    )


def test_the_doctor_says_by_its_exit_code_whether_something_is_broken(
    filled: Callable[..., Answer], project: Project
) -> None:
    well = filled("doctor", "--json")
    assert well.code == 0
    assert {"fine", "note"} >= {row["state"] for row in well.rows}
    ill = filled("doctor", "--conf", str(project.root / "nope.toml"))
    assert ill.code == 1
    assert "broken  no configuration file" in ill.out
    assert "`vecmill init PATH` writes one" in ill.out


def test_init_writes_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    conf = tmp_path / "conf" / "base.toml"
    assert run_command(["init", "--project", str(tmp_path)]) == 0
    assert f"then `vecmill plan --conf {conf}`" in capsys.readouterr().err
    assert run_command(["init", "--project", str(tmp_path)]) == 2
    assert "is there already" in capsys.readouterr().err


def test_init_here_needs_no_conf(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run_command(["init"]) == 0
    assert "then `vecmill plan`\n" in capsys.readouterr().err
    assert (tmp_path / "conf" / "base.toml").is_file()
