"""Wrong usage, and what a command says that cannot go on: exit codes, as text and as JSON."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

import flows.runner
from flows.cli import run_command

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.flows.commands.commanding import Answer


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["bogus"], "error: Unknown command"),
        (["plan", "--jsn"], "Did you mean --json? See `vecmill plan --help`"),
        (["search", "notes", "oil"], "'oil'; did you mean --text oil? See `vecmill search --help`"),
        (["run", "--direct", "notse"], "no feature 'notse'; did you mean 'notes'?"),
        (["run", "--no-direct", "notse"], "no feature 'notse'; did you mean 'notes'?"),
        (["plan", "notse"], "no feature 'notse'"),
        (["monitor", "--direct", "notse"], "no feature 'notse'"),
        (["search", "notse", "--id", "a"], "no feature 'notse'"),
        (["dead", "notse"], "no feature 'notse'"),
        (["export", "notse"], "no feature 'notse'; did you mean 'notes'?"),
        (["promote", "notse", "1"], "no feature 'notse'"),
        (["promote", "notes", "one"], "by its number, or: candidate; got 'one'"),
        (["promote", "notes"], "requires an argument"),
        (["sql", "SELECT 1", "--format", "xml"], "Invalid value"),
        (["sql", "SELECT 1", "--output", "rows.txt"], "name a format for rows.txt: csv, json"),
        (["search", "notes"], "nothing to search for; give one of --text, --image, --audio"),
        (["search", "notes", "--id", "a", "--text", "b"], "--id, got --text and --id; leave"),
        (["search", "notes", "--id", "a"], "notes has no live version yet; run `vecmill run"),
        (["plan", "--conf", "nope.toml"], "no configuration file nope.toml"),
        (["status", "--conf", "nope.toml"], "no configuration file nope.toml"),
        (["sql", "SELECT 1", "--conf", "nope.toml"], "no configuration file nope.toml"),
        (["run", "--direct", "--conf", "nope.toml"], "no configuration file nope.toml"),
        (["demo", "--conf", "nope.toml"], "no configuration file nope.toml"),
    ],
)  # fmt: skip
def test_wrong_usage_is_exit_code_2(
    vecmill: Callable[..., Answer], arguments: list[str], said: str
) -> None:
    answer = vecmill(*arguments)
    assert (answer.code, answer.out) == (2, "")
    assert said in " ".join(answer.err.replace("│", " ").split())
    assert "Traceback" not in answer.err


def test_a_configuration_without_features_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    conf = tmp_path / "empty.toml"
    conf.write_text("")
    for command in ("plan", "run"):
        assert run_command([command, "--conf", str(conf)]) == 2
        assert "add a [features.NAME] table" in capsys.readouterr().err
    assert run_command(["status", "--conf", str(conf)]) == 0
    assert "no feature is configured" in capsys.readouterr().err


def test_of_several_faults_it_is_said_what_tells_all(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    conf = tmp_path / "wrong.toml"
    conf.write_text("[engine]\nworkres = 1\n")
    assert run_command(["plan", "--conf", str(conf)]) == 2
    assert "faults in all" not in capsys.readouterr().err
    conf.write_text("[engine]\nworkres = 1\n[gc]\nkeep = 1\n[store]\nvector = 'x'\n")
    assert run_command(["plan", "--conf", str(conf)]) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert "unknown key 'vector' in [store]; did you mean 'vectors'?" in said
    assert f"(3 faults in all: `vecmill check --conf {conf}` tells each)" in said


def test_a_usage_error_is_json_where_that_is_asked_for(vecmill: Callable[..., Answer]) -> None:
    said = vecmill("plan", "--jsn", "--json")
    assert (said.code, said.out) == (2, "")
    error = json.loads(said.err)
    assert error["error"].startswith("Unknown option: --jsn")
    assert error["code"] == 2


def test_a_fault_of_ours_is_json_too(
    vecmill: Callable[..., Answer], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(flows.runner, "runner", None)
    error = json.loads(vecmill("run", "--direct", "--json").err)
    assert error["traceback"].startswith("Traceback")
    assert error["code"] == 1


def test_a_fault_of_ours_asks_for_a_report(
    vecmill: Callable[..., Answer], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(flows.runner, "runner", None)
    said = vecmill("run", "--direct")
    assert said.code == 1
    assert "Traceback" in said.err
    assert said.err.rstrip().endswith("please report it with the lines above")
