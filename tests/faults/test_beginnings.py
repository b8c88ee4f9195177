"""Runs that fail before they have a version, and what a run makes up for that an earlier missed."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from flows.engines.engine import Direct
from flows.lifecycle.status import status
from flows.monitoring.looks import missed
from flows.sources.base import SourceAwayError, SourceError

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.flows.project import Project

ROWS = [(n, f"text {n}", "x") for n in range(30)]


def test_a_run_without_a_source_is_put_down_and_shown(project: Project) -> None:
    with pytest.raises(SourceError, match=r"notes\.csv"):
        project.run()
    (run,) = project.runs()
    assert (run["status"], run["version"]) == ("failed", None)
    assert "notes.csv" in run["error"]
    (row,) = status(project.settings())
    assert (row["last_status"], row["error"], row["version"]) == ("failed", run["error"], None)
    project.write(ROWS)
    project.run()
    (row,) = status(project.settings())
    assert (row["last_status"], row["error"], row["version"]) == ("done", None, 1)
    project.source = {"content": "body"}
    with pytest.raises(SourceError, match="body"):
        project.run()
    (row,) = status(project.settings())
    assert (row["last_status"], row["standing"], row["rows"]) == ("failed", "live", 30)


@dataclass(frozen=True)
class Patient(Direct):
    """Waits for what a first try lacked, and tries once more."""

    free: Callable[[], None] = lambda: None

    def step(self, name: str, function: Callable[[], None]) -> None:
        """Call the function, twice if need be."""
        try:
            super().step(name, function)
        except SourceAwayError:
            self.free()
            super().step(name, function)


def test_a_source_that_is_away_as_a_run_begins_is_tried_again(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flows.sources._sqlite._WAIT_SECONDS", 0.1)
    path = project.root / "a.db"
    with closing(sqlite3.connect(path)) as con, con:
        con.execute("CREATE TABLE t (id INTEGER, body TEXT)")
        con.executemany("INSERT INTO t VALUES (?, ?)", [row[:2] for row in ROWS])
    project.source = {
        "kind": "query", "url": f"sqlite:///{path}", "table": "t", "id": "id", "content": "body",
    }  # fmt: skip
    with closing(sqlite3.connect(path, isolation_level=None)) as holder:
        holder.execute("BEGIN EXCLUSIVE")
        outcome = project.run(Patient(free=holder.rollback))
    assert outcome.counts.encoded == 30
    assert [run["status"] for run in project.runs()] == ["done"]


def test_what_no_monitor_has_looked_at_is_known(project: Project) -> None:
    from flows.monitoring import looking as monitoring
    from flows.output.progress import Silent

    project.write(ROWS)
    project.run()
    assert missed(project.settings(), "notes") == []
    project.feature = {"monitors": ["health"]}
    assert missed(project.settings(), "notes") == [1]
    project.encoder = {"revision": 2}
    project.run()
    assert missed(project.settings(), "notes") == [1, 2]
    monitoring.monitor(project.settings(), "notes", Silent(), 2)
    assert missed(project.settings(), "notes") == [1]
    project.run()
    assert missed(project.settings(), "notes") == [1]
    project.write([*ROWS, (99, "more", "x")])
    project.run()
    assert missed(project.settings(), "notes") == [1, 2]
    project.promote(2)
    assert missed(project.settings(), "notes") == [2]
