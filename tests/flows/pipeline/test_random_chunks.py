"""Whatever happens to documents, the table of their chunks is that of a fresh run."""

from __future__ import annotations

import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flows.pipeline.scope import Scope
from storage.ids import hash_text
from tests.flows.chunked import check_vectors, cut, expected, held
from tests.flows.interruptions import Interruption, Stopping
from tests.flows.plugins import installed
from tests.flows.project import Project

Step = tuple[dict[str, str | None], str, int | None]
"""What is edited, where a first run breaks off, and its limit."""

WORDS = st.lists(st.sampled_from(["wheel", "grain", "flour", "mill", "a\nb", "ü"]), min_size=1)
TEXT = WORDS.map(" ".join)
EDIT = st.dictionaries(
    st.sampled_from(["a", "b", "a#0", "a#1", "c'", "long id #2"]), st.none() | TEXT, max_size=4
)
POINTS = st.sampled_from(["", "", "plan", "shard", "encode", "commit"])
STEPS = st.lists(st.tuples(EDIT, POINTS, st.none() | st.integers(1, 3)), min_size=2, max_size=3)
OFTEN = settings(
    max_examples=4,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)


@OFTEN
@given(steps=STEPS, overlap=st.integers(0, 2))
def check_whole(steps: list[Step], overlap: int) -> None:
    """A file that is read whole, after runs that broke off or reached a limit."""
    with tempfile.TemporaryDirectory() as folder:
        project = cut(Project(Path(folder), engine={"shard_size": 3}), overlap=overlap)
        texts: dict[str, str] = {}
        for edit, interrupted_at, limit in steps:
            before = project.rows_or_none()
            had = {row["content_hash"] for row in (before or {}).values()}
            project.encoded()
            texts = edited(texts, edit)
            project.write([(record, text, "x") for record, text in texts.items()])
            planned = project.plan().counts
            try:
                project.run(Stopping(point=interrupted_at), scope=Scope(limit=limit))
            except Interruption:
                assert project.rows_or_none() == before
            one_state_a_record(project)
            counts = project.run().counts
            assert counts.records == planned.records
            assert held(project) == expected(texts, 3, overlap)
            check_vectors(project, texts)
            encoded = project.encoded()
            assert len(encoded) == len(set(encoded)), "a content was encoded twice"
            assert not {hash_text(text) for text in encoded} & had, "a published one was encoded"


@OFTEN
@given(steps=STEPS)
def check_behind_a_cursor(steps: list[Step]) -> None:
    """A database that is read from a cursor on: what was deleted stays, until all is read."""
    with tempfile.TemporaryDirectory() as folder:
        project = cut(Project(Path(folder), engine={"shard_size": 3}))
        project.source = {
            "kind": "query", "url": "sqlite:///notes.db", "table": "notes", "id": "id",
            "content": "text", "cursor": "at",
        }  # fmt: skip
        texts: dict[str, str] = {}
        seen: dict[str, str] = {}
        first: Step = ({"a": "some words"}, "", None)
        for at, (edit, interrupted_at, _) in enumerate([first, *steps]):
            texts = edited(texts, edit)
            stored(project.root / "notes.db", edit, at)
            try:
                project.run(Stopping(point=interrupted_at))
            except Interruption:
                project.run()
            seen |= texts
            assert held(project) == expected(seen)
            check_vectors(project, seen)
        project.run(scope=Scope(full=True))
        assert held(project) == expected(texts)


def edited(texts: dict[str, str], edit: dict[str, str | None]) -> dict[str, str]:
    """The texts after an edit; None deletes."""
    return {record: text for record, text in (texts | edit).items() if text is not None}


def stored(path: Path, edit: dict[str, str | None], at: int) -> None:
    with closing(sqlite3.connect(path)) as con, con:
        con.execute("CREATE TABLE IF NOT EXISTS notes (id TEXT PRIMARY KEY, text TEXT, at INTEGER)")
        for record, text in edit.items():
            con.execute("DELETE FROM notes WHERE id = ?", [record])
            if text is not None:
                con.execute("INSERT INTO notes VALUES (?, ?, ?)", [record, text, at])


def one_state_a_record(project: Project) -> None:
    """No record is of two contents, however little a run has taken on."""
    wholes: dict[str, set[str]] = {}
    for row in (project.rows_or_none() or {}).values():
        wholes.setdefault(row["parent_id"], set()).add(row["parent_hash"])
    assert all(len(hashes) == 1 for hashes in wholes.values())


@pytest.mark.slow
def test_chunks_are_those_of_a_fresh_run_whatever_happened_before() -> None:
    with installed():
        check_whole()


@pytest.mark.slow
def test_chunks_behind_a_cursor_are_those_of_the_records_that_were_seen() -> None:
    with installed():
        check_behind_a_cursor()
