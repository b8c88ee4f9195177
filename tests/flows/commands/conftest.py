"""Commands on a project, in this process, before its first run and after it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from flows.cli import run_command
from tests.flows.commands.commanding import ROWS, Answer

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.flows.project import Project


@pytest.fixture
def vecmill(project: Project, capfd: pytest.CaptureFixture[str]) -> Callable[..., Answer]:
    """Run a command in this process on the project, which has some records."""
    project.write(ROWS)

    def call(*arguments: str) -> Answer:
        conf = ["--conf", str(project.settings().conf)] if "--conf" not in arguments else []
        capfd.readouterr()
        code = run_command([*arguments, *conf])
        got = capfd.readouterr()
        assert "\x1b" not in got.out + got.err, "a pipe gets no colours"
        return Answer(code, got.out, got.err)

    return call


@pytest.fixture
def filled(vecmill: Callable[..., Answer]) -> Callable[..., Answer]:
    """The project after its first run."""
    assert vecmill("run", "--direct").code == 0
    return vecmill
