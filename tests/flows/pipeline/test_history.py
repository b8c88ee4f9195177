"""Histories: every content that a record ever had stays, and each is told from what is current."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from flows.config.settings import SettingsError
from flows.monitoring.looking import monitor
from flows.output.progress import Silent
from flows.pipeline.refusals import RunError
from flows.searching.queries import SearchError
from flows.searching.search import search
from flows.sources.base import SourceUsageError
from storage.ids import hash_text
from storage.model import UsageError
from tests.flows.interruptions import POINTS
from tests.flows.plugins.letters import vector_of
from tests.flows.project import vector

if TYPE_CHECKING:
    from collections.abc import Sequence

    from storage.model import Counts
    from tests.flows.project import Project
    from tests.processes import Forking

HEADER = ("id", "text", "label", "at")
KILLED = """
import sys
from pathlib import Path
from tests.flows.interruptions import Stopping, die
from tests.flows.plugins import installed
from tests.flows.project import Project
with installed():
    project = Project(Path(sys.argv[1]))
    project.source, project.feature = {"event_time": "at"}, {"history": True}
    project.run(Stopping(point=sys.argv[2], how=die))
"""


def day(n: int) -> datetime:
    return datetime(2026, 1, n, tzinfo=UTC)


@pytest.fixture
def kept(project: Project) -> Project:
    """The project, keeping a history."""
    project.source = {"event_time": "at"}
    project.feature = {"history": True}
    return project


def run(project: Project, *rows: Sequence[object]) -> Counts:
    """One run over rows of id, text, label and day of January."""
    lines = [(*row[:3], f"2026-01-{row[3]:02}" if row[3] else "") for row in rows]
    project.write(lines, HEADER)
    return project.run().counts


def rows_of(project: Project, view: str) -> list[dict[str, Any]]:
    with project.connect() as con:
        sql = f"FROM {view} ORDER BY record_id, event_time NULLS FIRST, content_hash"
        found: list[dict[str, Any]] = con.sql(sql).to_arrow_table().to_pylist()
    return found


def valid(project: Project, view: str = "notes_history") -> list[tuple[Any, ...]]:
    """Id, text, from and until of each row of a history; each vector must be that of its text."""
    texts = {hash_text(text): text for text in ("A", "B", "C", "D", "E")}
    found = rows_of(project, view)
    for row in found:
        text = texts[row["content_hash"]]
        np.testing.assert_array_equal(vector(row), vector_of(text))
    return [
        (r["record_id"], texts[r["content_hash"]], r["valid_from"], r["valid_until"])
        for r in found
    ]  # fmt: skip


def current(project: Project, view: str = "notes") -> dict[str, tuple[str, Any]]:
    """The content and time of each record, of which there must be one row."""
    return {
        k: (row["content_hash"], row["event_time"]) for k, row in project.rows(view).items()
    }  # fmt: skip


# --- what a history holds -------------------------------------------------------------------------


def test_contents_stay_and_come_back(kept: Project) -> None:
    run(kept, ("a", "A", "x", 1), ("b", "B", "x", 1))
    changed = run(kept, ("a", "C", "x", 3), ("b", "B", "x", 2))
    back = run(kept, ("a", "A", "x", 5), ("b", "B", "x", 2))
    assert (changed.changed, changed.encoded, changed.deduplicated) == (2, 1, 1)
    assert (back.changed, back.encoded, back.deduplicated, back.unchanged) == (1, 0, 1, 1)
    assert valid(kept) == [
        ("a", "A", day(1), day(3)),
        ("a", "C", day(3), day(5)),
        ("a", "A", day(5), None),
        ("b", "B", day(1), day(2)),
        ("b", "B", day(2), None),
    ]
    assert current(kept) == {"a": (hash_text("A"), day(5)), "b": (hash_text("B"), day(2))}
    assert kept.encoded() == ["A", "B", "C"]


def test_what_was_written_last_counts_of_one_moment(kept: Project) -> None:
    """A, then B, then A again, all of one time and in runs of the same second."""
    for text, changed in (("A", 0), ("B", 1), ("A", 1), ("A", 0), ("B", 1)):
        assert run(kept, ("a", text, "x", 1)).changed == changed
        assert valid(kept) == [("a", text, day(1), None)]
        assert current(kept) == {"a": (hash_text(text), day(1))}
    assert len(rows_of(kept, "notes_v1")) == 2
    assert kept.encoded() == ["A", "B"]


def test_a_log_of_events_gives_many_rows_a_record(kept: Project) -> None:
    log = [
        *(("a", "A", "x", 1), ("a", "B", "x", 4), ("b", "A", "y", 2), ("a", "C", "x", 2)),
        *(("a", "D", "x", 4), ("b", "E", "y", None)),
    ]
    counts = run(kept, *log)
    assert (counts.records, counts.new, counts.encoded, counts.dead) == (6, 4, 3, 2)
    assert kept.dead() == {
        "notes.csv:6": "duplicate id and event time, first seen at notes.csv:3",
        "notes.csv:7": "no event time: history = true keeps contents by the time they are of",
    }
    late = run(kept, *log, ("a", "E", "x", 3))
    assert (late.changed, late.unchanged, late.dead) == (1, 4, 2)
    assert valid(kept) == [
        ("a", "A", day(1), day(2)),
        ("a", "C", day(2), day(3)),
        ("a", "E", day(3), day(4)),
        ("a", "B", day(4), None),
        ("b", "A", day(2), None),
    ]


def test_kept_columns_are_updated_in_place(kept: Project) -> None:
    run(kept, ("a", "A", "x", 1))
    run(kept, ("a", "B", "x", 2))
    counts = run(kept, ("a", "B", "y", 2))
    assert (counts.updated, counts.encoded) == (1, 0)
    assert [row["label"] for row in rows_of(kept, "notes_history")] == ["x", "y"]


def test_other_columns_rewrite_the_whole_history(kept: Project) -> None:
    run(kept, ("a", "A", "x", 1), ("b", "B", "x", 1))
    run(kept, ("a", "C", "x", 2), ("b", "B", "x", 1))
    kept.source |= {"keep": ["size"]}
    kept.write(
        [("a", "A", 7, "2026-01-02"), ("b", "B", 8, "2026-01-01")], ("id", "text", "size", "at")
    )
    counts = kept.run().counts
    assert (counts.changed, counts.updated, counts.deduplicated) == (1, 1, 1)
    found = rows_of(kept, "notes_history")
    assert [(r["record_id"], r["size"]) for r in found] == [("a", None), ("a", 7), ("b", 8)]
    assert valid(kept)[1] == ("a", "A", day(2), None)
    assert "label" not in found[0]


@pytest.mark.parametrize("vanished", ["remove", "keep"])
def test_a_record_that_vanishes_goes_with_its_past(kept: Project, vanished: str) -> None:
    kept.feature |= {"vanished": vanished}
    run(kept, ("a", "A", "x", 1), ("b", "B", "x", 1))
    run(kept, ("a", "C", "x", 2), ("b", "B", "x", 1))
    counts = run(kept, ("b", "B", "x", 1))
    gone = vanished == "remove"
    assert counts.deleted == int(gone)
    assert [row[0] for row in valid(kept)] == (["b"] if gone else ["a", "a", "b"])


def test_the_share_of_the_vanished_is_one_of_records(kept: Project) -> None:
    """With ten rows a record, all could go and be a tenth of the rows."""
    ids = [f"r{i}" for i in range(21)]
    run(kept, *((i, "A", "x", n) for i in ids for n in range(1, 11)))
    kept.feature |= {"max_deleted": 0.5}
    kept.write([("other", "A", "x", "2026-01-01")], HEADER)
    problem = kept.plan().problem
    assert problem is not None
    assert problem.startswith("notes: 21 of 21 published records are not in the source any more")
    with pytest.raises(RunError, match="21 of 21 published records are not in the source"):
        kept.run()
    assert len(rows_of(kept, "notes_v1")) == 210


# --- switching it on, and not off -----------------------------------------------------------------


def test_a_history_begins_with_what_is_there(project: Project) -> None:
    project.write([("a", "A", "x", ""), ("b", "B", "x", "2026-01-01")], HEADER)
    project.run()
    project.source, project.feature = {"event_time": "at"}, {"history": True}
    counts = run(project, ("a", "C", "x", 2), ("b", "B", "x", 1))
    # So far b had no event time either, as none was named.
    assert (counts.changed, counts.encoded, counts.deduplicated) == (2, 1, 1)
    assert valid(project) == [
        ("a", "A", None, day(2)),
        ("a", "C", day(2), None),
        ("b", "B", None, day(1)),
        ("b", "B", day(1), None),
    ]
    assert current(project) == {"a": (hash_text("C"), day(2)), "b": (hash_text("B"), day(1))}
    assert rows_of(project, "notes_at('2026-01-01 12:00')")[0]["record_id"] == "b"
    assert len(rows_of(project, "notes_at('2026-01-01 12:00')")) == 1
    again = run(project, ("a", "C", "x", 2), ("b", "B", "x", 1))
    assert (again.unchanged, again.changed) == (2, 0)


def test_a_history_is_not_thrown_away(kept: Project) -> None:
    run(kept, ("a", "A", "x", 1))
    kept.feature = {}
    with pytest.raises(UsageError, match=r"history = false .* would throw it away"):
        kept.run()
    with pytest.raises(UsageError, match="set history = true, or give the feature without"):
        kept.plan()


# --- names ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["notes_history", "notes_at", "notes_v1_history", "notes_v12_at"])
def test_no_feature_is_called_as_a_history_is(kept: Project, name: str) -> None:
    kept.more = f'[features.{name}]\nsource = "notes"\nencoder = "mill"\n'
    with pytest.raises(SettingsError, match=rf"cannot be called '{name}' beside \[features.notes"):
        kept.settings()
    kept.feature = {}
    assert name in kept.settings().features


@pytest.mark.parametrize("name", ["valid_from", "Valid_Until"])
def test_no_kept_column_is_called_as_a_validity_is(kept: Project, name: str) -> None:
    kept.write([("a", "A", "x", "2026-01-01")], ("id", "text", name, "at"))
    kept.source |= {"keep": [name]}
    with pytest.raises(SourceUsageError, match="in a history valid_from or valid_until"):
        kept.run()
    kept.feature = {}
    assert kept.run().counts.new == 1


# --- who reads it ---------------------------------------------------------------------------------


def test_a_search_finds_what_records_are_now(kept: Project) -> None:
    run(kept, *(("a", f"past {n}", "x", n) for n in range(1, 21)), ("b", "B", "x", 1))
    run(kept, ("a", "now", "x", 25), ("b", "B", "x", 1), ("c", "C", "x", 1))
    found = search(kept.settings(), "notes", "text", "past 20", 3)
    assert sorted(found["record_id"].to_pylist()) == ["a", "b", "c"]
    assert min(found["distance"].to_pylist()) > 1e-3, "a row of the past was found"
    by_text = search(kept.settings(), "notes", "text", "now", 1)
    assert by_text["record_id"].to_pylist() == ["a"]
    assert by_text["distance"][0].as_py() == pytest.approx(0, abs=1e-6)
    like = search(kept.settings(), "notes", "id", "a", 9)
    assert sorted(like["record_id"].to_pylist()) == ["b", "c"]
    x, q = vector_of("B"), vector_of("now")
    expected = 1 - x @ q / np.linalg.norm(x) / np.linalg.norm(q)
    distances = dict(zip(*(like[c].to_pylist() for c in ("record_id", "distance")), strict=True))
    assert distances["b"] == pytest.approx(expected, abs=1e-5)
    with pytest.raises(SearchError, match="has no record 'nobody'"):
        search(kept.settings(), "notes", "id", "nobody", 1)


def test_monitors_compare_what_records_are_and_were_to_readers(kept: Project) -> None:
    first = [(f"r{i}", f"text {i}", "x", 5) for i in range(30)]
    run(kept, *first, *((f"r{i}", f"old {i}", "x", 1) for i in range(30)))
    new = [(f"r{i}", f"new {i}", "x", 9) for i in range(10)]
    late = [(f"r{i}", f"late {i}", "x", 2) for i in range(5)]
    run(kept, *first, *new, *late)
    kept.feature |= {"monitors": ["drift", "health"]}
    for finding in monitor(kept.settings(), "notes", Silent()):
        assert (finding.n_reference, finding.n_current) == (30, 10)


# --- runs that die --------------------------------------------------------------------------------

BEFORE = [("a", "A", "x", 1), ("b", "B", "x", 1), ("c", "C", "x", 1)]
AFTER = [("a", "D", "x", 2), ("b", "A", "x", 1), ("c", "C", "y", 1), ("d", "E", "x", 3)]


@pytest.mark.slow
@pytest.mark.parametrize("point", POINTS)
def test_a_run_that_is_killed_leaves_the_history_whole(
    forking: Forking, kept: Project, point: str
) -> None:
    run(kept, *BEFORE)
    before = rows_of(kept, "notes_history")
    kept.write([(*row[:3], f"2026-01-{row[3]:02}") for row in AFTER], HEADER)
    killed = forking.run(KILLED, kept.root, point)
    assert killed.code == -9, killed.err
    if point != "publish":
        assert rows_of(kept, "notes_history") == before
    run(kept, *AFTER)
    _is_after(kept)


def _is_after(kept: Project) -> None:
    assert valid(kept) == [
        ("a", "A", day(1), day(2)),
        ("a", "D", day(2), None),
        ("b", "A", day(1), None),
        ("c", "C", day(1), None),
        ("d", "E", day(3), None),
    ]
    assert len(rows_of(kept, "notes_v1")) == 6
    assert kept.rows()["c"]["label"] == "y"
    assert kept.encoded() == ["A", "B", "C", "D", "E"]
