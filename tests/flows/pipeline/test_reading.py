"""What is not read: sources that have not changed, and rows before a cursor."""

from __future__ import annotations

import os
import sqlite3
import time
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from flows.engines.engine import Direct
from flows.lifecycle.status import status
from flows.output.progress import Silent
from flows.pipeline import stages as pipeline
from flows.pipeline.reading import Reading
from flows.pipeline.scope import Scope
from flows.pipeline.versions import open_source
from tests.flows.interruptions import Interruption, Stopping
from tests.flows.project import check_counts

if TYPE_CHECKING:
    from flows.pipeline.outcomes import Outcome
    from tests.flows.project import Project

LONG_AGO = 1_600_000_000
ROWS = [("a", "wheel", "x"), ("b", "grain", "x"), ("c", "FAIL", "x")]


class Told(Silent):
    """Remembers what it is told, and how many records were read."""

    def __init__(self) -> None:
        super().__init__()
        self.notes: list[str] = []
        self.read = 0

    def note(self, message: str) -> None:
        self.notes.append(message)

    def stage(self, feature: str, stage: str, total: int | None) -> None:
        self.planning = stage == "plan"
        super().stage(feature, stage, total)

    def advance(self, done: int) -> None:
        self.read += done if self.planning else 0


def settle(project: Project, moment: int = LONG_AGO) -> None:
    """A file that was written a moment ago may yet be written again, so nothing is told by it."""
    os.utime(project.root / "notes.csv", (moment, moment))


def run(project: Project, **scope: Any) -> tuple[Outcome, int, list[str]]:  # noqa: ANN401 - as Scope takes it
    """A run, how many records it read, and what it said."""
    told = Told()
    outcome = pipeline.embed(
        project.settings(), "notes", Direct(), told, scope=Scope(**scope) if scope else None
    )
    check_counts(outcome.counts)
    return outcome, told.read, told.notes


@pytest.fixture
def still(project: Project) -> Project:
    """A project whose source says that it is what the last run read."""
    project.write(ROWS)
    settle(project)
    _, read, _ = run(project)
    assert read == 3
    return project


def test_what_has_not_changed_is_not_read(still: Project) -> None:
    before = still.rows()
    planned = still.plan()
    outcome, read, notes = run(still)
    assert read == 0
    assert "nothing in the source has changed, so it is not read (--full" in notes[0]
    for counts in (planned.counts, outcome.counts):
        assert (counts.records, counts.unchanged, counts.dead, counts.encoded) == (3, 2, 1, 0)
    assert still.rows() == before
    assert still.dead().keys() == {"notes.csv:4"}
    assert [r["status"] for r in still.runs()] == ["done", "done"]
    assert run(still)[1] == 0


def test_what_was_touched_is_read(still: Project) -> None:
    settle(still, LONG_AGO + 1)
    assert run(still)[1] == 3
    assert run(still)[1] == 0
    still.write([*ROWS, ("d", "stone", "x")])
    settle(still, LONG_AGO + 2)
    outcome, read, _ = run(still)
    assert (read, outcome.counts.new) == (4, 1)


@pytest.mark.parametrize("scope", [{"full": True}, {"retry_dead": True}])
def test_what_is_asked_for_is_read(still: Project, scope: dict[str, bool]) -> None:
    outcome, read, _ = run(still, **scope)
    assert (read, outcome.counts.records, outcome.counts.dead) == (3, 3, 1)
    assert run(still)[1] == 0


@pytest.mark.parametrize("change", ["source", "vanished", "history", "encoder"])
def test_what_is_read_otherwise_is_read_anew(still: Project, change: str) -> None:
    if change == "source":
        still.source = {"keep": []}
    elif change == "encoder":
        still.encoder = {"revision": 2}
    else:
        still.feature = {change: "keep" if change == "vanished" else True}
    outcome, read, _ = run(still)
    assert read == 3
    assert outcome.version == (2 if change == "encoder" else 1)
    assert run(still)[1] == 0


def test_a_source_of_this_moment_is_read(project: Project) -> None:
    project.write(ROWS)
    settle(project, int(time.time()) + 3600)  # however slow the runs are
    assert [run(project)[1] for _ in range(2)] == [3, 3]


def test_what_failed_for_a_passing_reason_is_met_again(still: Project) -> None:
    """A cursor or stamp would pass it over, so neither is noted."""
    feature, stores = still.settings().feature("notes"), still.stores()
    [version] = still.versions()
    source = open_source(still.settings(), feature, version)
    reading = Reading.of(feature, source, Scope(), stores.catalog.cursor(version))
    assert reading.unchanged
    kept, dropped = reading.cursor(passing=0), reading.cursor(passing=1)
    assert kept == stores.catalog.cursor(version)
    assert (dropped.stamp, dropped.cursor) == (None, None)
    assert not Reading.of(feature, source, Scope(), dropped).unchanged
    partial = Reading.of(feature, source, Scope(limit=1), kept).cursor(passing=0)
    assert partial == replace(kept, stamp=None), "the next whole run has to look"


def test_a_version_that_is_not_complete_is_not_built_upon(still: Project) -> None:
    still.encoder = {"revision": 2}
    outcome, read, _ = run(still, limit=1)
    assert (outcome.counts.encoded, outcome.complete) == (1, False)
    assert not still.versions()[1].complete
    outcome, read, _ = run(still)
    assert (read, outcome.counts.new, outcome.counts.unchanged) == (3, 1, 1)
    assert still.versions()[1].complete
    assert run(still)[1] == 0


# --- cursors --------------------------------------------------------------------------------------


def execute(project: Project, *statements: str) -> None:
    with closing(sqlite3.connect(project.root / "a.db")) as con, con:
        for statement in statements:
            con.execute(statement)


@pytest.fixture
def grown(project: Project) -> Project:
    """A project over a table that only grows, read once: two good rows and a dead one."""
    project.source = {
        "kind": "query", "url": "sqlite:///a.db", "table": "notes", "id": "id", "content": "text",
        "keep": ["label"], "cursor": "at",
    }  # fmt: skip
    execute(
        project,
        "CREATE TABLE notes (id TEXT, text TEXT, label TEXT, at INTEGER)",
        "INSERT INTO notes VALUES ('a', 'wheel', 'x', 1), ('b', 'grain', 'x', 2)",
        "INSERT INTO notes VALUES ('c', 'FAIL', 'x', 1)",
    )
    assert run(project)[1] == 3
    return project


def test_only_what_came_since_is_read(grown: Project) -> None:
    execute(grown, "INSERT INTO notes VALUES ('d', 'stone', 'x', 3), ('e', 'FAIL 2', 'x', 3)")
    outcome, read, _ = run(grown)
    # The last value is read again, as more rows may have it by now.
    assert read == 3
    counts = outcome.counts
    assert (counts.new, counts.unchanged, counts.dead, counts.deleted) == (1, 1, 1, 0)
    assert grown.rows().keys() == {"a", "b", "d"}
    assert len(grown.dead()) == 2, "that of the first run stays"
    [stands] = status(grown.settings())
    assert stands["dead"] == 2, "and is told, though this run met one alone"


def test_what_changed_is_taken_and_what_vanished_stays_until_all_is_read(grown: Project) -> None:
    execute(grown, "UPDATE notes SET text = 'flour', at = 5 WHERE id = 'a'")
    execute(grown, "DELETE FROM notes WHERE id IN ('b', 'c')")
    outcome, read, _ = run(grown)
    assert (read, outcome.counts.changed, outcome.counts.deleted) == (1, 1, 0)
    assert grown.rows().keys() == {"a", "b"}
    assert len(grown.dead()) == 1
    outcome, read, _ = run(grown, full=True)
    assert (read, outcome.counts.unchanged, outcome.counts.deleted) == (1, 1, 1)
    assert grown.rows().keys() == {"a"}
    assert grown.dead() == {}
    assert run(grown)[1] == 1


def test_a_run_that_dies_does_not_move_the_cursor(grown: Project) -> None:
    execute(grown, "INSERT INTO notes VALUES ('d', 'stone', 'x', 3)")
    with pytest.raises(Interruption, match="stopped here"):
        pipeline.embed(grown.settings(), "notes", Stopping(point="commit"), Silent())
    execute(grown, "INSERT INTO notes VALUES ('e', 'flour', 'x', 4)")
    outcome, read, notes = run(grown)
    assert (read, outcome.counts.new, outcome.counts.resumed) == (3, 2, 1)
    assert grown.rows().keys() == {"a", "b", "d", "e"}
    assert any("goes on from what was encoded" in note for note in notes)


def test_what_was_gone_on_from_is_not_told_of_again(grown: Project) -> None:
    """Behind a cursor it stays staged until all is read: the rest of it may lie there."""
    execute(grown, "INSERT INTO notes VALUES ('d', 'stone', 'x', 3)")
    with pytest.raises(Interruption, match="stopped here"):
        pipeline.embed(grown.settings(), "notes", Stopping(point="commit"), Silent())
    assert run(grown)[0].counts.resumed == 1
    assert list((grown.root / "data").rglob("staged-*.parquet"))
    execute(grown, "INSERT INTO notes VALUES ('e', 'flour', 'x', 4)")
    outcome, _, notes = run(grown)
    assert (outcome.counts.encoded, outcome.counts.resumed) == (1, 0)
    assert not any("goes on" in note for note in notes)
