"""Two processes that serve one project: the second is refused, and told of the first."""

from __future__ import annotations

import os
import re
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from flows.cli import run_command
from flows.operations.alone import alone
from flows.pipeline.refusals import RunError

if TYPE_CHECKING:
    from tests.flows.project import Project

SCHEDULES = '[schedules.often]\nevery = "1 hour"\n'


def test_a_second_is_told_of_the_first(project: Project, capfd: pytest.CaptureFixture[str]) -> None:
    project.more = SCHEDULES
    settings = project.settings()
    with alone(settings):
        assert run_command(["serve", "--port", "1", "--conf", str(settings.conf)]) == 1
    assert re.search(
        rf"error: the schedule often is served already, by process {os.getpid()} on .+, since 20"
        r"\d\d-\d\d-\d\d \d\d:\d\d UTC; end that first \(SIGTERM\)",
        capfd.readouterr().err,
    )
    with alone(settings):
        pass  # it holds nothing once it has ended
    [lock] = project.stores().locks.glob("*.serve.lock")
    assert lock.read_text("utf-8") == "", "who has ended is not named any more"


def test_what_another_project_has_scheduled_over_the_same_store_is_its_own(
    project: Project,
) -> None:
    project.more = SCHEDULES
    settings = project.settings()
    other = replace(settings, root=settings.root.with_name("other"))
    with alone(settings), alone(other), pytest.raises(RunError, match="served already"):
        alone(other).__enter__()
