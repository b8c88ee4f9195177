"""What holds for every command: help, JSON lines, completion."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from flows.cli import run_command
from flows.commands._app import app
from tests.flows.commands.commanding import ROWS, TWO, Answer
from tests.flows.plugins import installed
from tests.flows.project import Project

if TYPE_CHECKING:
    from collections.abc import Callable

COMMANDS = (
    "backfill", "caption", "check", "cluster", "compare", "completion", "dead", "demo",
    "deploy", "dims", "doctor", "duplicates", "erase", "explore", "export", "fit", "gc",
    "init", "label", "lineage", "logs", "maintain", "map", "monitor", "plan", "probe",
    "promote", "recipe", "recommend", "reduced", "replay", "report", "retire", "rollback",
    "run", "runs", "schema", "search", "serve", "snooze", "sql", "status", "tune", "ui", "versions",
    "words",
)  # fmt: skip

WITHOUT_JSON = {  # and why
    "completion": "prints a script for a shell",
    "demo": "is to be watched; what it runs has --json",
    "explore": "opens a page in a browser, and prints nothing",
    "init": "writes a file",
    "schema": "prints a JSON Schema, whatever the options",
    "serve": "goes on until it is stopped",
    "ui": "goes on until it is stopped",
}


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_help_reads_well(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command([*command.split(), "--help"]) == 0
    said = capsys.readouterr().out
    assert said.startswith(f"Usage: vecmill {command}".rstrip())
    for name in ("NoneType", "flows.", "Annotated", "[default: False]", "[ARG"):
        assert name not in said, name
    told = re.findall(r"^│ \*?\s{0,3}(\S.*?)(?:  +(.*\S))? *│$", said, re.MULTILINE)
    assert told
    assert [option for option, words in told if option.startswith("--") and not words] == []


def test_the_list_of_commands_goes_by_what_one_wants(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(["--help"]) == 0
    heads = re.split(r"^╭─ (.*?) ─+╮$", capsys.readouterr().out, flags=re.MULTILINE)[1:]
    listed = {
        head: re.findall(r"^│ (\w\S*)", box, re.MULTILINE)
        for head, box in zip(heads[::2], heads[1::2], strict=True)
    }
    assert [*listed] == [
        "Begin", "Run", "Search and SQL", "Look", "Versions", "Watch", "Upkeep", "Operate",
        "Options",
    ]  # fmt: skip
    assert listed.pop("Options") == []
    assert sorted(name for names in listed.values() for name in names) == sorted(COMMANDS)
    assert (listed["Begin"][0], listed["Run"][:2]) == ("init", ["plan", "run"])


def test_every_command_is_tested_here() -> None:
    assert {name for name in app if not name.startswith("-")} == set(COMMANDS)


def test_every_command_that_prints_a_result_prints_it_as_json() -> None:
    without = {
        name for name in COMMANDS
        if not any("--json" in each.names for each in app[name].assemble_argument_collection())
    }  # fmt: skip
    assert without <= set(WITHOUT_JSON)


@pytest.mark.parametrize("command", sorted({*COMMANDS} - {*WITHOUT_JSON}))
def test_with_json_standard_output_is_json_lines_alone(
    everything: Callable[..., Answer], command: str
) -> None:
    said = everything(*CALLS[command], "--json")
    assert said.code in {0, 2}, said.err
    assert all(isinstance(row, dict) for row in said.rows)
    if said.code == 2:
        assert (said.rows, json.loads(said.err.splitlines()[-1])["code"]) == ([], 2)


CALLS: dict[str, list[str]] = {
    name: [name, "notes"] for name in COMMANDS if name not in WITHOUT_JSON
} | {
    "backfill": ["backfill", "notes", "--since", "2026-01-01", "--dry-run"],
    "caption": ["caption", "notes", "--from", "notes"],
    "check": ["check"],
    "cluster": ["cluster", "notes", "-k", "2"],
    "compare": ["compare", "notes", "1", "1"],
    "deploy": ["deploy", "--pool", "pool", "--write-only"],
    "doctor": ["doctor"],
    "erase": ["erase", "notes", "--id", "a"],
    "export": ["export", "notes", "--output", "{root}/notes.parquet"],
    "fit": ["fit", "notes", "--direct"],
    "label": ["label", "notes", "--labels", "a,b"],
    "lineage": ["lineage", "notes", "a"],
    "map": ["map", "notes", "--method", "pca", "-o", "{root}/map.html"],
    "monitor": ["monitor", "notes", "--direct"],
    "probe": ["probe", "notes", "--label", "label"],
    "promote": ["promote", "notes", "1"],
    "recipe": ["recipe", "notes", "1"],
    "recommend": ["recommend", "notes", "--user", "a"],
    "replay": ["replay", "notes", "--direct"],
    "report": ["report", "notes"],
    "retire": ["retire", "notes", "2"],
    "run": ["run", "--direct"],
    "search": ["search", "notes", "--id", "a"],
    "sql": ["sql", "FROM notes"],
    "status": ["status"],
    "tune": ["tune", "notes", "--sample", "2"],
    "words": ["words", "notes", "wheel"],
}


def test_features_are_offered_to_a_shell(vecmill: Callable[..., Answer], project: Project) -> None:
    project.more = TWO
    conf = str(project.settings().conf)
    for words in (["run"], ["search"], ["erase"], ["run", "notes"]):
        offered = vecmill("__complete", *words[:1], "--conf", conf, *words[1:], "").out
        assert offered.split()[1:] == ["notes", "gone", "other"], words


@pytest.mark.slow
def test_bash_completes_commands_and_features(project: Project, tmp_path: Path) -> None:
    conf = project.settings().conf
    script_file = tmp_path / "completion.bash"
    folder = Path(sys.executable).parent
    script_file.write_text(
        subprocess.run(  # noqa: S603 - our own script
            [folder / "vecmill", "completion", "bash"], capture_output=True, text=True, check=True
        ).stdout,
        "utf-8",
    )
    asked = f"""
        export VECMILL_CONF={conf} PATH={folder}:$PATH
        source {script_file}
        offer() {{
            COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=()
            $(complete -p vecmill | sed 's/.*-F \\([^ ]*\\).*/\\1/') vecmill "${{@: -1}}"
            echo "${{COMPREPLY[@]}}"
        }}
        offer vecmill dea
        offer vecmill run no
        offer vecmill plan --js
    """
    said = subprocess.run(  # noqa: S603 - as above
        ["/bin/bash", "-c", asked], capture_output=True, text=True, check=True
    )
    assert [line.split() for line in said.stdout.splitlines()] == [["dead"], ["notes"], ["--json"]]


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a project after its first run."""
    with installed():
        project = Project(tmp_path_factory.mktemp("ran"))
        project.write(ROWS)
        project.run()
    return project.root


@pytest.fixture
def everything(
    vecmill: Callable[..., Answer], project: Project, ran: Path
) -> Callable[..., Answer]:
    """A copy of the project after its first run; ``{root}`` in an argument is its folder."""
    shutil.copytree(ran, project.root, dirs_exist_ok=True)

    def call(*arguments: str) -> Answer:
        return vecmill(*(argument.format(root=project.root) for argument in arguments))

    return call
