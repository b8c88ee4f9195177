"""Runs over a part of a source beside runs over all of it: none leaves what the other would not."""

from __future__ import annotations

import csv
import errno
import os
import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from flows.pipeline.refusals import RunError
from flows.pipeline.scope import Scope
from flows.sources.base import SourceUsageError
from tests.flows.interruptions import Interruption, Stopping

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.flows.project import Project

HEADER = ("id", "text", "label", "at")
ROWS = [(n, f"text {n}", "x", f"2026-01-{n:02}") for n in range(1, 21)]
LONG_AGO = 1_600_000_000
COUNT = 20


def window(first: int, last: int) -> Scope:
    since, until = (datetime(2026, 1, day, tzinfo=UTC) for day in (first, last))
    return Scope("backfill", since, until)


@pytest.fixture
def timed(project: Project) -> Project:
    """A source with event times, of long ago."""
    project.source = {"event_time": "at"}
    write(project, ROWS)
    return project


def write(project: Project, rows: Sequence[Sequence[object]], name: str = "notes.csv") -> None:
    with (project.root / name).open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([HEADER, *rows])
    os.utime(project.root / name, (LONG_AGO, LONG_AGO))


def database(path: Path, values: Sequence[int], text: str = "text") -> None:
    with closing(sqlite3.connect(path)) as con, con:
        con.execute("CREATE TABLE IF NOT EXISTS notes (id TEXT, text TEXT, label TEXT, u INTEGER)")
        rows = [(f"{path.stem}{n}", f"{text} {n}", "x", n) for n in values]
        con.executemany("INSERT INTO notes VALUES (?, ?, ?, ?)", rows)


def by_query(project: Project, **more: Any) -> None:  # noqa: ANN401 - keys of a source
    keys = {"kind": "query", "table": "notes", "content": "text", "keep": ["label"], "cursor": "u"}
    project.source = keys | {"url": "sqlite:///a.db", "id": "id"} | more


def test_a_window_of_another_source_is_seen_through_by_the_next_run(timed: Project) -> None:
    timed.run()
    before = timed.rows()
    assert timed.run().counts.unchanged == COUNT
    write(timed, [(n, f"other {n}", "y", at) for n, _, _, at in ROWS], "others.csv")
    timed.source["path"] = "others.csv"
    assert timed.run(scope=window(3, 6)).counts.changed == 3
    timed.source["path"] = "notes.csv"
    assert timed.run().counts.changed == 3
    after = timed.rows()
    assert {k: r["vector"] for k, r in after.items()} == {k: r["vector"] for k, r in before.items()}


def test_a_cursor_of_another_database_is_not_gone_on_from(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    database(project.root / "a.db", range(100, 105))
    database(project.root / "b.db", range(5))
    monkeypatch.setenv("NOTES_DB", "a.db")
    by_query(project, url="sqlite:///${NOTES_DB}")
    assert project.run().counts.new == 5
    monkeypatch.setenv("NOTES_DB", "b.db")
    outcome = project.run()
    assert (outcome.counts.new, outcome.counts.deleted) == (5, 5)


def test_records_by_content_are_not_read_in_parts(timed: Project) -> None:
    del timed.source["event_time"]
    by_query(timed)
    del timed.source["id"]
    database(timed.root / "a.db", range(5))
    timed.run()
    database(timed.root / "a.db", [7], "text")
    with pytest.raises(SourceUsageError, match="without ids go by their content"):
        timed.run()


def test_a_few_dead_records_behind_a_cursor_do_not_stop_all_runs(project: Project) -> None:
    database(project.root / "a.db", range(30))
    database(project.root / "a.db", [31], "FAIL")
    with closing(sqlite3.connect(project.root / "a.db")) as con, con:
        con.execute("UPDATE notes SET text = 'FAIL' WHERE u = 31")
    by_query(project)
    project.feature = {"max_dead": 0.1}
    assert project.run().counts.dead == 1
    assert project.run().counts.dead == 1
    with closing(sqlite3.connect(project.root / "a.db")) as con, con:
        con.execute("UPDATE notes SET text = 'NAN', u = 40 WHERE u < 6")
    with pytest.raises(RunError, match=r"7 of 31 records cannot be read or encoded"):
        project.run()


def test_a_window_leaves_what_a_killed_run_has_staged(timed: Project) -> None:
    with pytest.raises(Interruption, match="stopped"):
        timed.run(Stopping(point="encode"))
    assert timed.run(scope=window(1, 3)).counts.resumed == 2
    timed.encoded()
    counts = timed.run().counts
    assert (counts.resumed, counts.encoded, timed.encoded()) == (COUNT - 2, 0, [])


def test_what_is_not_read_counts_as_it_did_when_it_was(timed: Project) -> None:
    timed.run()
    write(timed, [*ROWS[:-1], (20, "FAIL", "x", "2026-01-20")])
    os.utime(timed.root / "notes.csv", (LONG_AGO + 9, LONG_AGO + 9))
    read = timed.run().counts
    unread = timed.run().counts
    assert (read.records, read.unchanged, read.dead) == (COUNT, COUNT - 1, 1)
    assert (unread.records, unread.unchanged, unread.dead) == (COUNT, COUNT - 1, 1)


def test_a_file_that_could_not_be_read_just_now_is_tried_again(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = project.root / "texts"
    folder.mkdir()
    for n in range(3):
        (folder / f"{n}.txt").write_text(f"text {n}")
        os.utime(folder / f"{n}.txt", (LONG_AGO, LONG_AGO))
    project.source = {"kind": "files", "path": "texts/*.txt"}
    whole = Path.open

    def short(self: Path, *args: Any, **keys: Any) -> Any:  # noqa: ANN401 - handed on as they came
        if self.name == "1.txt":
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        return whole(self, *args, **keys)

    with monkeypatch.context() as few:
        few.setattr(Path, "open", short)
        counts = project.run().counts
        assert (counts.new, counts.dead) == (2, 1)
    assert project.run().counts.new == 1
    assert project.dead() == {}
