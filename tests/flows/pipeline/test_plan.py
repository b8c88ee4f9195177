"""A plan writes nothing, and says what a run will do."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from flows.pipeline.refusals import RunError
from storage.model import StorageError
from storage.vectors import Vectors
from tests.flows.interruptions import Interruption, Stopping

if TYPE_CHECKING:
    from pathlib import Path

    from tests.flows.project import Project

ROWS = [(n, f"text {n}", "x") for n in range(12)]
NEXT = [*((n, f"text {n}", "y") for n in range(4)), (4, "new", "x"), (50, "new", "x"), (51, "", "")]


def bytes_of(folder: Path) -> dict[str, bytes]:
    return {str(file): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def test_a_plan_of_a_first_run_makes_no_store(project: Project) -> None:
    project.write(ROWS)
    planned = project.plan()
    assert (planned.version, planned.creates, planned.lance_version) == (1, True, None)
    assert not (project.root / "data").exists()
    assert project.run().counts == planned.counts


def test_a_plan_writes_nothing_and_agrees_with_the_run(project: Project) -> None:
    project.write(ROWS)
    project.run()
    project.write(NEXT)
    before = bytes_of(project.root / "data")
    planned = project.plan()
    assert bytes_of(project.root / "data") == before
    assert planned.seconds is not None
    outcome = project.run()
    assert planned.counts == outcome.counts
    assert (planned.version, planned.fingerprint) == (outcome.version, outcome.fingerprint)


def test_vectors_that_cannot_be_written_are_noticed_before_any_is_made(project: Project) -> None:
    project.write(ROWS)
    project.more = '[store]\nvectors = "notes.csv"\n'
    with pytest.raises(StorageError, match=r"notes\.csv cannot be written: Not a directory"):
        project.run()
    assert project.encoded() == []
    project.more = ""
    assert project.run().counts.encoded == len(ROWS)


def test_a_run_that_encodes_nothing_asks_for_no_place(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.write(ROWS)
    project.run()
    asked: list[str] = []

    def ask(_: Vectors, table: str) -> None:
        asked.append(table)

    monkeypatch.setattr(Vectors, "check_writable", ask)
    project.run()
    assert asked == []
    project.write(NEXT)
    project.run()
    assert asked == ["notes_v1"]


def test_an_encoder_that_learns_asks_before_it_does(project: Project) -> None:
    project.write(ROWS)
    project.encoder = {"kind": "lsa", "dim": 4, "min_texts": 1, "max_share": 1.0}
    project.more = '[store]\nvectors = "notes.csv"\n'
    with pytest.raises(StorageError, match="cannot be written"):
        project.run()
    assert not project.stores().states.exists()


def test_a_plan_counts_on_what_an_interrupted_run_has_staged(project: Project) -> None:
    project.write(ROWS)
    with pytest.raises(Interruption, match="stopped"):
        project.run(Stopping(point="shard"))
    before = bytes_of(project.root / "data")
    planned = project.plan()
    assert (planned.counts.resumed, planned.counts.encoded) == (8, 4)
    assert bytes_of(project.root / "data") == before
    assert project.run().counts == planned.counts


def test_a_plan_of_a_new_version(project: Project) -> None:
    project.write(ROWS)
    project.run()
    project.encoder = {"revision": 2}
    planned = project.plan()
    assert (planned.version, planned.creates, planned.counts.new) == (2, True, 12)
    assert replace(planned.counts) == project.run().counts


def test_steps_out_of_order_are_refused(project: Project) -> None:
    class Hasty(Stopping):
        def step(self, name: str, function: object) -> None:
            if name != "plan":
                super().step(name, function)  # type: ignore[arg-type] # handed on as it came

    project.write(ROWS)
    with pytest.raises(RunError, match="must be planned before it is committed"):
        project.run(Hasty(point="never"))


def test_what_failed_runs_leave_behind_does_not_grow(project: Project) -> None:
    project.write(ROWS)
    sizes = []
    for _ in range(3):
        with pytest.raises(Interruption, match="stopped"):
            project.run(Stopping(point="plan"))
        files = [*(project.root / "data" / "staging").rglob("*.*")]
        sizes.append(sum(file.stat().st_size for file in files))
    assert sizes[2] <= sizes[0] * 1.5
    assert project.run().counts.encoded == 12
