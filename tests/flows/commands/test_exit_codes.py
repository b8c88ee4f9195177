"""The exit codes are those that docs/everyday.md has, and commands give them."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from flows.cli import run_command
from flows.output import codes
from tests.processes import ROOT

if TYPE_CHECKING:
    from tests.flows.project import Project

PAGE = (ROOT / "docs" / "everyday.md").read_text("utf-8")
TABLE = {int(code) for code in re.findall(r"^\| (\d+) \|", PAGE, re.MULTILINE)}
ROWS = [("a", "wheel", "x"), ("b", "grain", "y"), ("c", "flour", "z")]


def test_every_code_is_in_the_table() -> None:
    known = {value for name, value in vars(codes).items() if name.isupper()}
    assert known <= TABLE


def give(project: Project, *arguments: str) -> int:
    return run_command([*arguments, "--quiet", "--conf", str(project.settings().conf)])


def test_commands_give_them(project: Project) -> None:
    project.write(ROWS)
    assert give(project, "plan") == codes.FINE
    assert give(project, "run", "--direct") == codes.FINE
    assert give(project, "plan", "nope") == codes.USAGE
    project.write([*ROWS, ("d", "FAIL", "x")])
    project.feature = {"max_dead": 0.0}
    assert give(project, "run", "--direct") == codes.FAILED
    project.feature = {"gates": {"min_coverage": 1.0}}
    project.encoder = {"revision": 2}
    project.write([("a", "wheel", "x")])
    assert give(project, "run", "--direct") == codes.FINE
    assert give(project, "promote", "notes", "2") == codes.FINDING


@pytest.mark.slow
def test_a_reader_that_leaves_has_its_code(project: Project) -> None:
    project.encoder = {"kind": "lsa"}  # which the script knows too
    vecmill = Path(sys.executable).with_name("vecmill")
    done = subprocess.run(  # noqa: S602 - a pipe is what this is about
        f"{vecmill} sql 'FROM range(2000000)' --format csv | head -c 1 > /dev/null; "
        "echo ${PIPESTATUS[0]}",
        cwd=project.root,
        shell=True,
        executable="/bin/bash",
        env={"VECMILL_CONF": str(project.settings().conf), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == f"{codes.UNREAD}\n"
