"""Runs and readers at once: all end right, and nobody sees half of anything."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from storage.model import StorageError
from tests.flows.interruptions import POINTS, Stopping
from tests.processes import python

if TYPE_CHECKING:
    from tests.flows.project import Project

RUN = """
import sys
from pathlib import Path
from tests.flows.plugins import installed
from tests.flows.project import Project
with installed():
    print("ready", flush=True)
    sys.stdin.readline()
    outcome = Project(Path(sys.argv[1]), more=sys.argv[2]).run(name=sys.argv[3])
    # DuckDB takes `python -c` for a terminal, and may have drawn a progress bar above
    print(chr(10), outcome.counts.new, outcome.counts.unchanged)
"""
HOLD = """
import duckdb, sys
con = duckdb.connect(sys.argv[1])
print("held", flush=True)
sys.stdin.readline()
"""
ROWS = [(n, f"text {n}", "x") for n in range(60)]
OTHERS = """
[features.others]
source = "notes"
encoder = "mill"
"""


def both(project: Project, *names: str) -> list[list[int]]:
    """Let processes run features at the same time; what each counted as new and unchanged."""
    project.more = OTHERS
    project.settings()
    children = [python(RUN, project.root, OTHERS, name) for name in names]
    for child in children:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
    for child in children:
        assert child.stdin is not None
        child.stdin.write("go\n")
        child.stdin.flush()
    told = [child.communicate() for child in children]
    assert [child.returncode for child in children] == [0, 0], told
    return sorted([int(n) for n in answer.splitlines()[-1].split()] for answer, _ in told)


@pytest.mark.slow
def test_two_runs_of_one_feature_follow_one_another(project: Project) -> None:
    project.write(ROWS)
    assert both(project, "notes", "notes") == [[0, 60], [60, 0]]
    assert len(project.encoded()) == 60
    assert len(project.rows()) == 60
    assert [run["status"] for run in project.runs()] == ["done", "done"]


@pytest.mark.slow
def test_two_features_run_at_once(project: Project) -> None:
    project.write(ROWS)
    assert both(project, "notes", "others") == [[60, 0], [60, 0]]
    assert len(project.encoded()) == 120
    assert project.rows().keys() == project.rows("others").keys()


@pytest.mark.slow
def test_readers_see_whole_runs_while_one_goes_on(project: Project) -> None:
    project.write(ROWS)
    project.run()
    seen = set()
    with python(RUN, project.root, "", "notes") as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        project.write([(n, f"other {n}", "y") for n in range(30, 120)])
        assert child.stdin is not None
        child.stdin.write("go\n")
        child.stdin.flush()
        while child.poll() is None:
            rows = project.rows()
            seen.add((len(rows), *{row["label"] for row in rows.values()}))
    assert child.returncode == 0
    assert seen <= {(60, "x"), (90, "y")}
    assert len(project.rows()) == 90


@pytest.mark.parametrize("point", [p for p in POINTS if p not in {"merge", "shard"}])
def test_a_reader_between_two_steps_sees_what_is_published(project: Project, point: str) -> None:
    project.write(ROWS[:20])
    project.run()
    seen: list[int] = []
    project.write(ROWS)
    project.run(Stopping(point=point, how=lambda: seen.append(len(project.rows()))))
    assert seen == [60 if point == "publish" else 20]
    assert len(project.rows()) == 60


def test_a_session_stays_with_what_it_began_with(project: Project) -> None:
    project.write(ROWS[:20])
    project.run()
    with project.connect() as con:
        project.write(ROWS[10:])
        project.run()
        counted = con.sql("SELECT count(*), count(DISTINCT run_id) FROM notes").fetchall()
    assert counted == [(20, 1)]
    assert len(project.rows()) == 50


def test_a_program_that_holds_the_catalog_is_named(project: Project) -> None:
    project.write(ROWS[:2])
    project.run()
    project.engine = {"wait_seconds": 0.5}
    with python(HOLD, project.settings().catalog) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "held\n"
        words = rf"cannot open the catalog .*process {child.pid} has held open for .*; close that"
        with pytest.raises(StorageError, match=words):
            project.run()
        with pytest.raises(StorageError, match=words):
            project.rows()
        child.communicate("\n")
    assert project.run().counts.unchanged == 2
