"""Where each feature stands."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from flows.lifecycle.status import status
from flows.pipeline.refusals import RunError
from storage.model import FindingRow

if TYPE_CHECKING:
    from tests.flows.project import Project

ROWS = [(f"r{i}", f"text {i}", "x") for i in range(30)]
OTHER = """
[features.other]
source = "notes"
encoder = "mill"
"""


def test_a_feature_that_never_ran_stands_there(project: Project) -> None:
    project.write(ROWS)
    rows = status(project.settings())
    assert [(r["feature"], r["last_status"], r["version"]) for r in rows] == [
        ("notes", "never run", None)
    ]
    assert not (project.root / "data").exists(), "looking must not make a store"


def test_rows_have_the_same_keys_before_and_after_a_run(project: Project) -> None:
    project.write(ROWS)
    before = status(project.settings())
    project.run()
    project.more = OTHER
    after = status(project.settings())
    assert {r["feature"]: r["last_status"] for r in after} == {
        "notes": "done",
        "other": "never run",
    }
    assert {tuple(sorted(row)) for row in before + after} == {tuple(sorted(after[0]))}


def test_every_version_has_a_row(project: Project) -> None:
    project.write([*ROWS, ("bad", "FAIL", "x")])
    project.run()
    project.encoder = {"revision": 2}
    project.run()
    project.promote(2)
    rows = status(project.settings())
    assert [(r["version"], r["standing"], r["rows"], r["dead"]) for r in rows] == [
        (1, "retired", 30, 1),
        (2, "live", 30, 1),
    ]


def test_a_failure_is_shown_until_a_run_succeeds(project: Project) -> None:
    project.write(ROWS)
    project.run()
    project.write([(i, "FAIL " + i, "x") for i, _, _ in ROWS])
    project.feature = {"max_dead": 0.1}
    with pytest.raises(RunError, match="cannot be read or encoded"):
        project.run()
    [failed] = status(project.settings())
    assert failed["last_status"] == "failed"
    assert "RunError: notes: 30 of 30 records" in failed["error"]
    assert (failed["standing"], failed["rows"]) == ("live", 30)
    project.write(ROWS)
    project.run()
    [healed] = status(project.settings())
    assert (healed["last_status"], healed["error"]) == ("done", None)


def finding(monitor: str, verdict: str) -> FindingRow:
    return FindingRow(monitor, verdict, "told", None, None, None, None, 30, 30, None)


def test_alarms_stay_until_the_monitors_look_again(project: Project) -> None:
    project.write(ROWS)
    counts = []

    def look(run: str, *findings: FindingRow) -> None:
        if findings:
            project.stores().catalog.add_findings("notes", 1, run, findings)
        counts.append([row["alarms"] for row in status(project.settings())])

    first = project.run().run
    look(first)
    look(first, finding("drift", "alarm"), finding("health", "quiet"))
    look(first, finding("drift", "alarm"), finding("health", "alarm"))
    look(project.run().run)  # nothing was to be done, so what they saw is still there
    look(first, finding("drift", "cannot tell"))
    look(first, finding("health", "quiet"))
    assert counts == [[0], [1], [2], [2], [1], [0]]
