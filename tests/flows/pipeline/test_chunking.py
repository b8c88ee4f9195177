"""Rows that are chunks of records: what a run writes, changes and removes."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import polars as pl
import pytest

from encoders.base import EncoderError
from flows.config.settings import SettingsError
from flows.output.progress import Silent
from flows.pipeline.chunking import split
from flows.pipeline.refusals import RunError
from flows.pipeline.scope import Scope
from flows.sources.base import Chunk, Reject, SourceUsageError
from storage.ids import hash_text
from tests.flows.chunked import check_vectors, cut, expected, held
from tests.flows.plugins.phrases import Params, splitter

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from tests.flows.project import Project
    from tests.processes import Forking

TEXTS = {
    "a": "one two three four five six seven",
    "b": "one two three",
    "a#1": "an id like that of a chunk",
    "ü'": "ein  Wort\nmehr als drei",
}


@pytest.fixture
def chunked(project: Project) -> Project:
    return cut(project)


def write(project: Project, texts: Mapping[str, str], label: str = "x") -> None:
    project.write([(record, text, label) for record, text in texts.items()])


def test_a_row_a_chunk_with_its_record_and_span(chunked: Project) -> None:
    write(chunked, TEXTS)
    planned = chunked.plan()
    outcome = chunked.run()
    assert held(chunked) == expected(TEXTS)
    check_vectors(chunked, TEXTS)
    assert planned.counts == outcome.counts
    counts = outcome.counts
    assert (counts.records, counts.new, counts.deduplicated) == (9, 9, 1)
    assert {row["label"] for row in chunked.rows().values()} == {"x"}
    with chunked.connect() as con:
        names = con.sql("FROM notes LIMIT 0").columns
    assert names[-6:] == ["label", "parent_id", "parent_hash", "chunk", "chunk_start", "chunk_end"]
    assert chunked.run().counts.unchanged == 9
    assert [version.chunked for version in chunked.versions()] == [True]


def test_chunks_may_overlap(project: Project) -> None:
    cut(project, words=3, overlap=1)
    write(project, TEXTS)
    project.run()
    assert held(project) == expected(TEXTS, 3, 1)
    check_vectors(project, TEXTS)


def test_an_edit_has_only_the_chunks_encoded_that_it_touched(chunked: Project) -> None:
    write(chunked, TEXTS)
    chunked.run()
    chunked.encoded()
    edited = TEXTS | {"a": "one two three four OTHER six seven"}
    write(chunked, edited)
    counts = chunked.run().counts
    assert chunked.encoded() == ["four OTHER six"]
    assert (counts.changed, counts.updated, counts.encoded, counts.unchanged) == (1, 2, 1, 6)
    assert held(chunked) == expected(edited)


def test_a_record_that_got_shorter_loses_its_last_chunks(chunked: Project) -> None:
    write(chunked, TEXTS)
    chunked.run()
    less = {"a": "one two three", "a#1": TEXTS["a#1"]}
    write(chunked, less)
    assert chunked.plan().counts.deleted == 5
    outcome = chunked.run()
    assert (outcome.counts.deleted, outcome.rows) == (5, 4)
    assert held(chunked) == expected(less)


def test_vanished_records_stay_where_they_are_to_but_not_chunks_that_a_record_lost(
    chunked: Project,
) -> None:
    chunked.feature = {"vanished": "keep"}
    write(chunked, TEXTS)
    chunked.run()
    write(chunked, {"a": "one two three"})
    assert chunked.run().counts.deleted == 2
    assert held(chunked) == expected(TEXTS | {"a": "one two three"})


def test_a_second_record_of_an_id_is_refused_with_all_its_chunks(chunked: Project) -> None:
    rows = [("a", "one two", "x"), ("a", "other words of the second of them", "y")]
    chunked.write(rows)
    counts = chunked.run().counts
    assert (counts.records, counts.new, counts.dead) == (2, 1, 1)
    assert held(chunked) == expected({"a": "one two"})
    assert chunked.dead() == {"notes.csv:3": "duplicate id, first seen at notes.csv:2"}


def test_records_without_ids_are_numbered_before_they_are_cut(chunked: Project) -> None:
    chunked.source = {"kind": "table", "path": "notes.csv", "content": "text", "keep": ["label"]}
    twice, other = "one two three four", "another text"
    chunked.write([(twice, "1"), (other, "2"), (twice, "3")], ("text", "label"))
    counts = chunked.run().counts
    assert (counts.new, counts.encoded, counts.deduplicated) == (5, 3, 2)
    first = hash_text(twice)
    texts = {first: twice, hash_text(other): other, f"{first}#2": twice}
    assert held(chunked) == expected(texts)
    labels = {row["parent_id"]: row["label"] for row in chunked.rows().values()}
    assert labels == {first: 1, hash_text(other): 2, f"{first}#2": 3}
    chunked.write([(twice, "1"), (other, "2")], ("text", "label"))
    assert chunked.run().counts.deleted == 2


def test_a_chunk_that_fails_is_a_dead_letter_of_its_record(chunked: Project) -> None:
    write(chunked, TEXTS | {"a": "one two three FAIL five six seven"})
    counts = chunked.run().counts
    assert (counts.dead, counts.new) == (1, 8)
    [letter] = chunked.stores().catalog.query("FROM dead_letters").to_pylist()
    words = "the encoder failed: ValueError: cannot encode 'FAIL five six'"
    assert letter["record_id"] == "a"
    assert letter["place"] == "notes.csv:2"
    assert letter["reason"] == f"{words} (chunk 1, characters 14 to 27)"
    assert {"a#0", "a#2"} <= chunked.rows().keys()
    write(chunked, TEXTS | {"a": "zero one two three four five FAIL five six"})
    chunked.run()
    assert chunked.dead() == {"notes.csv:2": f"{words} (chunk 2, characters 29 to 42)"}
    write(chunked, TEXTS | {"a": "FAIL five six"})
    chunked.run()
    reasons = chunked.dead()
    assert reasons == {"notes.csv:2": f"{words} (chunk 0, characters 0 to 13)"}
    assert {"a#0"} == {name for name, row in chunked.rows().items() if row["parent_id"] == "a"}


def test_a_record_that_cannot_be_read_any_more_keeps_all_its_chunks(chunked: Project) -> None:
    write(chunked, TEXTS)
    chunked.run()
    rows = [("a", TEXTS["a"], "x", "one too many"), ("b", "one two three", "x")]
    chunked.write(rows)
    assert chunked.run().counts.deleted == 5
    left = {"a": TEXTS["a"], "b": TEXTS["b"]}
    assert held(chunked) == expected(left)


def test_shares_are_of_records_however_many_chunks_they_have(chunked: Project) -> None:
    chunked.feature = {"max_deleted": 0.5, "max_dead": 0.2}
    long = " ".join(f"word{n}" for n in range(150))
    short = {f"s{n}": f"text {n}" for n in range(24)}
    write(chunked, {"long": long, **short})
    chunked.run()
    write(chunked, short)
    assert chunked.plan().problem is None
    assert chunked.run().counts.deleted == 50
    write(chunked, {"long": long.replace("word", "FAIL"), **short})
    assert chunked.run().counts.dead == 50
    write(
        chunked, {**dict(list(short.items())[:18]), **{f"s{n}": f"FAIL {n}" for n in range(18, 24)}}
    )
    with pytest.raises(RunError, match="6 of 24 records cannot be read or encoded"):
        chunked.run()
    write(chunked, {"s0": "text 0"})
    with pytest.raises(RunError, match="23 of 24 published records are not in the source"):
        chunked.run()


def test_a_run_of_a_part_counts_a_dead_record_once(chunked: Project) -> None:
    chunked.feature = {"max_dead": 0.6}
    write(chunked, {f"a{n}": f"FAIL two {n} four" for n in range(10)})
    with pytest.raises(RunError, match="10 of 10 records cannot be read or encoded"):
        chunked.run(scope=Scope(limit=100))
    write(chunked, {f"a{n}": f"one two {n} four" for n in range(10)})
    chunked.run()
    chunked.write(
        [(f"a{n}", f"FAIL two {n} four", "x") for n in range(7)] + [("b", "new", "x")] * 2
    )
    with pytest.raises(RunError, match="8 of 12 records cannot be read or encoded"):
        chunked.run(scope=Scope(limit=100))
    chunked.write([(f"a{n}", "one", "x", "one too many") for n in range(7)])
    with pytest.raises(RunError, match="7 of 10 records cannot be read or encoded"):
        chunked.run(scope=Scope(limit=100))


def test_a_plan_of_an_unchanged_source_foretells_no_refusal(chunked: Project) -> None:
    """Its dead letters are of chunks, more of them than a run is refused for in records."""
    chunked.feature = {"max_dead": 0.2}
    long = " ".join(f"FAIL{n} and more" for n in range(30))
    write(chunked, {f"a{n}": f"one two {n}" for n in range(9)} | {"b": long})
    os.utime(chunked.root / "notes.csv", (1e9, 1e9))
    chunked.run()
    counts = chunked.run().counts
    assert (counts.unchanged, counts.dead, counts.encoded) == (9, 30, 0)
    planned = chunked.plan()
    assert planned.problem is None
    assert planned.counts == counts


def test_a_limit_takes_records_whole(chunked: Project) -> None:
    write(chunked, TEXTS)
    chunked.run()
    edited = {record: text.upper() for record, text in TEXTS.items()}
    write(chunked, edited)
    chunked.encoded()
    outcome = chunked.run(scope=Scope(limit=2))
    assert not outcome.complete
    assert chunked.encoded() == ["FOUR FIVE SIX", "ONE TWO THREE", "SEVEN"]
    assert held(chunked) == expected(TEXTS | {record: edited[record] for record in ("a", "b")})
    while not chunked.run(scope=Scope(limit=1)).complete:
        pass
    assert held(chunked) == expected(edited)


def test_a_record_met_behind_a_cursor_loses_what_it_has_no_more(chunked: Project) -> None:
    by_cursor(chunked, [("a", "one two three four five", 1), ("b", "six seven eight nine", 2)])
    chunked.run()
    by_cursor(chunked, [("a", "only these", 3)])
    outcome = chunked.run()
    assert (outcome.counts.records, outcome.counts.deleted) == (3, 1)
    assert held(chunked) == expected({"a": "only these", "b": "six seven eight nine"})


def by_cursor(project: Project, rows: list[tuple[str, str, int]]) -> None:
    project.source = {
        "kind": "query", "url": "sqlite:///notes.db", "table": "notes", "id": "id",
        "content": "text", "cursor": "at",
    }  # fmt: skip
    with closing(sqlite3.connect(project.root / "notes.db")) as con, con:
        con.execute("CREATE TABLE IF NOT EXISTS notes (id TEXT PRIMARY KEY, text TEXT, at INTEGER)")
        con.executemany("INSERT OR REPLACE INTO notes VALUES (?, ?, ?)", rows)


def test_a_window_changes_the_records_in_it_alone(chunked: Project) -> None:
    chunked.source = {"event_time": "at"}
    header = ("id", "text", "label", "at")
    chunked.write([("a", "one two three four", "x", "2026-01-01"),
                   ("b", "five six seven eight", "x", "2026-01-05")], header)  # fmt: skip
    chunked.run()
    chunked.write([("a", "one", "x", "2026-01-01"), ("b", "five", "x", "2026-01-05")], header)
    since = datetime(2026, 1, 4, tzinfo=UTC)
    counts = chunked.run(scope=Scope("backfill", since)).counts
    assert (counts.records, counts.changed, counts.deleted) == (1, 1, 1)
    assert held(chunked) == expected({"a": "one two three four", "b": "five"})


def test_a_pooled_encoder_makes_a_version_of_records(chunked: Project) -> None:
    write(chunked, TEXTS)
    chunked.run()
    cut(chunked, pool=True)
    assert chunked.run().version == 2
    assert chunked.rows("notes_v2").keys() == TEXTS.keys()
    assert "parent_id" not in chunked.rows("notes_v2")["a"]
    assert [version.chunked for version in chunked.versions()] == [True, False]


def test_the_plan_tells_records_and_chunks(chunked: Project) -> None:
    from flows.pipeline import stages as pipeline

    write(chunked, TEXTS)
    told = Telling()
    assert pipeline.plan(chunked.settings(), "notes", told).counts.records == 9
    assert "notes: 4 records are 9 chunks, a row each" in told.notes


class Telling(Silent):
    """Keeps what is said."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, message: str) -> None:
        self.notes.append(message)


# --- kills ----------------------------------------------------------------------------------------

RUN = """
import sys
from pathlib import Path
from tests.flows.chunked import cut
from tests.flows.interruptions import Stopping, die
from tests.flows.plugins import installed
from tests.flows.project import Project
with installed():
    cut(Project(Path(sys.argv[1]))).run(Stopping(point=sys.argv[2], how=die))
"""


@pytest.mark.slow
@pytest.mark.parametrize("point", ["encode", "merge", "commit"])
def test_a_killed_run_is_made_good_by_the_next(
    forking: Forking, chunked: Project, point: str
) -> None:
    write(chunked, TEXTS)
    chunked.run()
    before = chunked.rows()
    chunked.encoded()
    edited = {"a": "one two three NEW five six", "b": "longer than it was before", "c": "and new"}
    write(chunked, edited)
    killed = forking.run(RUN, chunked.root, point)
    assert killed.code == -9, killed.err
    assert chunked.rows() == before
    chunked.run()
    assert held(chunked) == expected(edited)
    check_vectors(chunked, edited)
    assert chunked.encoded() == ["NEW five six", "and new", "longer than it", "was before"]


# --- refusals -------------------------------------------------------------------------------------


def test_a_history_of_chunks_is_refused(chunked: Project) -> None:
    chunked.source = {"event_time": "label"}
    chunked.feature = {"history": True}
    write(chunked, TEXTS, "2026-01-01")
    with pytest.raises(SettingsError, match="history = true, and its encoder 'mill' cuts texts"):
        chunked.run()
    with pytest.raises(SettingsError, match="which have no history"):
        chunked.plan()
    assert chunked.versions() == []


@pytest.mark.parametrize("name", ["parent_id", "Chunk", "chunk_end"])
def test_a_kept_column_called_as_one_of_ours_is_refused(chunked: Project, name: str) -> None:
    chunked.source = {"keep": [name]}
    chunked.write([("a", "text", "x")], ("id", "text", name))
    with pytest.raises(SourceUsageError, match=f"keeps a column '{name}', and the encoder 'mill'"):
        chunked.run()
    cut(chunked, pool=True)
    assert chunked.run().counts.new == 1


def test_a_splitter_that_leaves_a_text_without_a_chunk_is_told(project: Project) -> None:
    cut(project, broken=True)
    write(project, TEXTS)
    with pytest.raises(EncoderError, match="splitter must give at least one span within a text"):
        project.run()


def test_a_splitter_that_leaves_a_text_out_is_told() -> None:
    records = pl.DataFrame({"record_id": ["a", "b"], "content": ["one", "two"]})
    with pytest.raises(EncoderError, match="for each text, got 1 lists for 2 texts"):
        split(Chunk(records), lambda _: [[(0, 1)]])


def test_what_could_not_be_read_is_handed_on(tmp_path: Path) -> None:
    cutting = splitter(Params(log=str(tmp_path / "log")))
    assert cutting is not None
    records = pl.DataFrame(
        {
            "record_id": ["a"],
            "place": ["f:1"],
            "content": ["one two three four"],
            "content_hash": [hash_text("one two three four")],
            "event_time": pl.Series([None], dtype=pl.Datetime("us", "UTC")),
            "k": [7],
        }
    )
    reject = Reject("f:2", "why", "b")
    found = split(Chunk(records, [reject]), cutting)
    assert found.rejects == [reject]
    assert found.records["content"].to_list() == ["one two three", "four"]
    assert found.records["place"].to_list() == ["f:1", "f:1"]
    assert found.records["k"].to_list() == [7, 7]
    empty = split(Chunk(records[:0]), cutting)
    assert empty.records.schema == found.records.schema
