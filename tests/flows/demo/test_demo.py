"""The demo: what a newcomer sees first has to be true, and to be told so that it is understood."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from flows.cli import run_command
from flows.config.configuration import load
from flows.config.settings import SettingsError
from flows.demo.job import _until_ended, demo
from flows.demo.project import project
from flows.lifecycle.status import status
from tests.conftest import REPOSITORY

if TYPE_CHECKING:
    from collections.abc import Sequence


@pytest.fixture
def conf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of ``conf`` with no store of its own yet; the path of its ``demo.toml``."""
    shutil.copytree(REPOSITORY / "conf", tmp_path / "conf")
    (tmp_path / "conf" / "local.toml").unlink(missing_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path / "conf" / "demo.toml"


def test_ctrl_c_ends_the_demo_and_not_one_of_its_commands() -> None:
    codes = {"sql": 0, "map": 1, "probe": 130, "report": 0}
    done: list[str] = []

    def carry_out(arguments: Sequence[str]) -> int:
        done.extend(arguments)
        return codes[arguments[0]]

    assert _until_ended([[name] for name in codes], carry_out) == 130
    assert done == ["sql", "map", "probe"]
    assert _until_ended([["sql"], ["map"]], carry_out) is None


@pytest.mark.slow
def test_the_demo_holds_what_it_says(conf: Path, capfd: pytest.CaptureFixture[str]) -> None:
    stray = conf.parents[1] / "data" / "demo" / "records" / "texts" / "stray.csv"
    stray.parent.mkdir(parents=True)
    stray.write_text("of an earlier demo", encoding="utf-8")
    assert demo(conf) == 0
    got = capfd.readouterr()
    assert "Traceback" not in got.err
    assert "error" not in got.err
    assert "✗" not in got.out
    assert not stray.exists(), "the demo makes its store anew"
    checks = [line for line in got.out.splitlines() if "✓" in line]
    for words in (
        "every record has a vector",
        "nothing was encoded",
        "docstrings: 10 added, 20 changed, 10 deleted, 2 broken, as was done to the records",
        "digits: 5 added, 10 changed, 5 deleted, 1 broken",
        "notes: 3 added, 4 changed, 3 deleted, 1 broken",
        "cells: 8 added, 12 changed, 6 deleted, 1 broken",
        "the shift was found, and the records it names are the new ones",
    ):
        assert [line for line in checks if words in line], words
    commands = [line for line in got.out.splitlines() if line.startswith("$ vecmill ")]
    assert [line.split()[2] for line in commands] == [
        *("sql", *["search"] * 4, "map", "probe", "report", "dead")
    ]
    assert (conf.parents[1] / "data" / "demo" / "map.html").is_file()
    rows = {row["feature"]: row for row in status(load(conf))}
    assert {name: row["last_status"] for name, row in rows.items()} == dict.fromkeys(
        ("cells", "digits", "docstrings", "notes"), "done"
    )
    assert rows["docstrings"]["alarms"] == 2


@pytest.mark.parametrize("folder", ["data", "demo"])
def test_the_demo_deletes_no_store_that_is_not_its_own(conf: Path, folder: str) -> None:
    path = conf.with_name("mine.toml")
    path.write_text(f'[store]\ncatalog = "{folder}/catalog.duckdb"\n', encoding="utf-8")
    precious = conf.parents[1] / folder / "precious"
    precious.parent.mkdir()
    precious.write_text("mine", encoding="utf-8")
    with pytest.raises(SettingsError, match=r"its catalog must lie in .* use conf/demo\.toml"):
        demo(path)
    assert run_command(["demo", "--conf", str(path)]) == 2
    assert precious.read_text("utf-8") == "mine"


def test_where_there_is_no_project_one_of_its_own_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    conf = project(Path("vecmill-demo"))
    assert conf == Path("vecmill-demo/conf/demo.toml")
    settings = load(conf)
    assert settings.root == tmp_path / "vecmill-demo"
    assert settings.catalog.parent == tmp_path / "vecmill-demo" / "data" / "demo"
    assert set(settings.features) == {"cells", "digits", "docstrings", "notes"}
    conf.write_text(conf.read_text("utf-8") + "# mine\n", "utf-8")
    assert project(Path("vecmill-demo")).read_text("utf-8").endswith("# mine\n")
    (tmp_path / "file").touch()
    with pytest.raises(SettingsError, match=r"cannot write file/conf/demo\.toml"):
        project(Path("file"))
