"""`vecmill runs`: the last runs, the newest first, however they ended."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from flows.cli import run_command
from flows.config.settings import SettingsError
from flows.config.stores import Stores
from flows.lifecycle.past_runs import past_runs
from storage.model import UsageError

if TYPE_CHECKING:
    from tests.flows.project import Project


def test_the_newest_comes_first_with_how_it_ended(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = project.settings()
    conf = ["--conf", str(settings.conf)]
    assert past_runs(settings, "notes", 5) == []
    assert run_command(["runs", *conf]) == 0
    assert capsys.readouterr() == ("", "nothing has run yet; `vecmill run` does\n")
    project.write([("a", "wheel", "x"), ("b", "grain", "y")])
    done = project.run().row()["run"]
    catalog = Stores.of(settings).catalog
    catalog.start_run("20990101T000000-failed", "notes", 1)
    catalog.fail_run("20990101T000000-failed", "the disk is full")
    catalog.start_run("20990101T000001-killed", "notes", 1, "replay")  # and holds no lock
    killed, failed, first = past_runs(settings, None, 5)
    assert (killed["run"], killed["status"]) == ("20990101T000001-killed", "crashed")
    assert (killed["kind"], killed["seconds"]) == ("replay", None)
    assert (failed["status"], failed["error"]) == ("failed", "the disk is full")
    assert (first["run"], first["status"], first["encoded"]) == (done, "done", 2)
    assert past_runs(settings, "notes", 1) == [killed]
    assert run_command(["runs", "notes", *conf]) == 0
    said = capsys.readouterr()
    assert [done in line for line in said.out.splitlines()] == [False, False, False, True]
    assert said.err == "`vecmill logs 20990101T000001-killed` says what went wrong\n"


def test_what_cannot_be_listed_is_refused(project: Project) -> None:
    settings = project.settings()
    with pytest.raises(SettingsError, match="no feature 'notse'; did you mean 'notes'"):
        past_runs(settings, "notse", 5)
    with pytest.raises(UsageError, match="-k must be at least 1, got 0"):
        past_runs(settings, None, 0)
