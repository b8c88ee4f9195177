"""A run killed at any instant, and run again, ends as one that nothing disturbed."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import numpy as np
import pytest

from storage.ids import hash_text
from tests.flows.interruptions import POINTS
from tests.flows.plugins.letters import vector_of
from tests.flows.project import vector
from tests.processes import python

if TYPE_CHECKING:
    from tests.flows.project import Project
    from tests.processes import Forking

pytestmark = pytest.mark.slow

RUN = """
import sys
from pathlib import Path
from tests.flows.interruptions import Stopping, die
from tests.flows.plugins import installed
from tests.flows.project import Project
with installed():
    print("begun", flush=True)
    Project(Path(sys.argv[1])).run(Stopping(point=sys.argv[2], how=die))
"""

BEFORE = [(n, f"text {n}", "x") for n in range(20)]
AFTER = [
    *((n, f"text {n}", "x") for n in range(5)),
    *((n, f"text {n}", "updated") for n in range(5, 8)),
    *((n, f"changed {n}", "x") for n in range(8, 15)),
    *((n, f"new {n % 12}", "x") for n in range(100, 124)),
    (200, "FAIL", "x"),
    (201, "text 19", "x"),
]
ENCODED = sorted({text for _, text, _ in AFTER if text.startswith(("changed", "new"))})


def published(project: Project) -> dict[str, tuple[str, str]]:
    rows = project.rows()
    return {k: (row["content_hash"], row["label"]) for k, row in rows.items()}


def expected() -> dict[str, tuple[str, str]]:
    return {str(n): (hash_text(text), label) for n, text, label in AFTER if text != "FAIL"}


@pytest.mark.parametrize("point", POINTS)
def test_a_killed_run_is_made_good_by_the_next(
    forking: Forking, project: Project, point: str
) -> None:
    project.write(BEFORE)
    project.run()
    before = project.rows()
    project.encoded()
    project.write(AFTER)
    killed = forking.run(RUN, project.root, point)
    assert killed.code == -9, killed.err
    if point != "publish":
        assert project.rows() == before
        assert project.runs()[-1]["status"] == "running"
    outcome = project.run()
    assert published(project) == expected()
    rows = project.rows()
    for n, text, _ in AFTER:
        if text != "FAIL":
            np.testing.assert_array_equal(vector(rows[str(n)]), vector_of(text))
    assert project.encoded() == ENCODED, "lost, or encoded twice"
    c = outcome.counts
    assert (c.records, c.dead) == (len(AFTER), 1)
    if point == "publish":
        assert c.unchanged == len(AFTER) - 1
        assert [run["status"] for run in project.runs()] == ["done", "done", "done"]
    else:
        assert (c.new, c.changed, c.updated, c.unchanged, c.deleted) == (25, 7, 3, 5, 5)
        assert c.encoded + c.resumed == len(ENCODED)
        assert (c.resumed == 0) == (point == "plan")
        assert [run["status"] for run in project.runs()] == ["done", "crashed", "done"]
    assert not any((project.root / "data" / "staging").rglob("*.*"))


@pytest.mark.parametrize("point", ["plan", "merge", "commit", "publish"])
def test_a_killed_first_run_is_made_good_by_the_next(
    forking: Forking, project: Project, point: str
) -> None:
    project.settings()
    project.write(AFTER)
    killed = forking.run(RUN, project.root, point)
    assert killed.code == -9, killed.err
    assert (project.rows_or_none() is None) == (point != "publish")
    outcome = project.run()
    assert published(project) == expected()
    assert outcome.rows == len(AFTER) - 1
    texts = project.encoded()
    assert texts == sorted({text for _, text, _ in AFTER} - {"FAIL"})


def test_a_run_killed_at_random_instants_gets_there_in_the_end(project: Project) -> None:
    project.engine = {"shard_size": 4}
    project.settings()
    project.write(AFTER)
    delays = np.random.default_rng(5).uniform(0.05, 3.0, 4)
    for delay in delays:
        with python(RUN, project.root, "never") as child:
            assert child.stdout is not None
            child.stdout.readline()
            timer = threading.Timer(float(delay), child.kill)
            timer.start()
            child.wait()
            timer.cancel()
    project.run()
    assert published(project) == expected()
    assert {run["status"] for run in project.runs()} <= {"crashed", "done"}
