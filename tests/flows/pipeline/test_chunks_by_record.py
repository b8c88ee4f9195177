"""What goes by a record's id where rows are chunks: erasing, searching, tracing, comparing."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from flows.cli import run_command
from flows.lifecycle import promotion as lifecycle
from flows.lifecycle.compare import compare
from flows.lifecycle.lineage import lineage
from flows.output.progress import Silent
from flows.searching.queries import SearchError
from flows.searching.search import search
from flows.upkeep.erase import Eraser
from storage.ids import hash_text
from storage.model import UsageError
from tests.flows.chunked import cut, expected, held
from tests.flows.interruptions import Interruption, Stopping
from tests.flows.project import vector
from tests.processes import ROOT

if TYPE_CHECKING:
    from pathlib import Path

    from tests.flows.project import Project

MARK = "MARK-record"
TEXTS = {
    MARK: "one two three four five six seven",
    f"{MARK}#1": "an id like that of a chunk",
    "b": "one two three",
    "c": "four five six and others",
}


@pytest.fixture
def chunked(project: Project) -> Project:
    """A published version of chunks."""
    cut(project)
    write(project, TEXTS)
    project.run()
    return project


def write(project: Project, texts: dict[str, str]) -> None:
    project.write([(record, text, f"label of {record}") for record, text in texts.items()])


def erase(project: Project, *ids: str) -> dict[str, Any]:
    return Eraser(project.settings(), "notes", ids).erase(Silent())


def everything(project: Project, mark: bytes) -> list[Path]:
    """All files of the store that hold a text, found without Vecmill's help."""
    files = (path for path in (project.root / "data").rglob("*") if path.is_file())
    return [path for path in files if mark in path.read_bytes()]


# --- erasing --------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_record_is_erased_with_all_its_chunks_wherever_they_are(chunked: Project) -> None:
    rest = {record: text for record, text in TEXTS.items() if not record.startswith(MARK)}
    write(chunked, {MARK: "one two three FAIL MARK-dead six", **rest})
    chunked.run()
    out = str(chunked.root / "data" / "out.parquet")
    conf = ["--conf", str(chunked.settings().conf)]
    assert run_command(["export", "notes", "--output", out, *conf]) == 0
    with chunked.stores().catalog.transaction() as con:
        con.execute(
            "INSERT INTO findings (feature, version, run_id, monitor, verdict, summary, record_ids)"
            " VALUES ('notes', 1, 'r', 'drift', 'alarm', ?, ?)",
            [f"'{MARK}#40' is far out", [f"{MARK}#0", f"{MARK}#40", "b#0"]],
        )
    write(chunked, {MARK: "MARK-new words on their way", **rest})
    with pytest.raises(Interruption, match="stopped here"):
        chunked.run(Stopping(point="encode"))
    write(chunked, rest)
    assert len(everything(chunked, b"MARK-")) > 3
    receipt = erase(chunked, MARK)
    assert receipt["proved"], [p for p in receipt["proof"] if p["found"]]
    assert receipt["records"] == 1
    assert everything(chunked, b"MARK-") == []
    assert held(chunked) == expected(rest)
    assert set(pq.read_table(out)["record_id"].to_pylist()) == expected(rest).keys()
    found = chunked.stores().catalog.query("SELECT record_ids FROM findings").to_pylist()
    assert found == [{"record_ids": ["b#0"]}]
    assert chunked.dead() == {}
    assert chunked.run().counts.unchanged == 3


def test_a_record_whose_id_is_like_that_of_a_chunk_is_the_one_that_is_erased(
    chunked: Project,
) -> None:
    write(chunked, {record: text for record, text in TEXTS.items() if record != f"{MARK}#1"})
    assert erase(chunked, f"{MARK}#1")["proved"]
    left = {record: text for record, text in TEXTS.items() if record != f"{MARK}#1"}
    assert held(chunked) == expected(left)


def test_an_id_means_a_record_in_each_version_be_it_of_chunks_or_not(chunked: Project) -> None:
    cut(chunked, pool=True)
    chunked.run()
    write(chunked, {record: text for record, text in TEXTS.items() if record != MARK})
    assert erase(chunked, MARK)["proved"]
    assert chunked.rows("notes_v2").keys() == TEXTS.keys() - {MARK}
    left = {record: text for record, text in TEXTS.items() if record != MARK}
    assert held(chunked, "notes_v1") == expected(left)


def test_a_chunk_is_not_erased_by_itself(chunked: Project) -> None:
    with pytest.raises(UsageError, match="'c#0' is a chunk of the record 'c' in notes_v1"):
        Eraser(chunked.settings(), "notes", ["c#0"]).look(Silent())
    with pytest.raises(UsageError, match="a record is erased whole: name 'c'"):
        erase(chunked, "c#0", "b")
    assert held(chunked) == expected(TEXTS)


def test_a_condition_names_the_records_of_the_chunks_it_holds_for(
    chunked: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    conf = ["--conf", str(chunked.settings().conf)]
    assert run_command(["erase", "notes", "--where", "chunk = 1", "--json", *conf]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    found = {row["where"]: row["rows"] for row in rows}
    assert found["rows of notes_v1 (live)"] == 8
    assert found["records still in the source"] == 3


# --- searching ------------------------------------------------------------------------------------


def test_a_search_shows_record_and_span_and_on_wish_each_record_once(chunked: Project) -> None:
    found = search(chunked.settings(), "notes", "text", "four five six", 20)
    rows = found.to_pylist()
    assert found.column_names[:2] == ["record_id", "distance"]
    assert {rows[0]["record_id"], rows[1]["record_id"]} == {f"{MARK}#1", "c#0"}
    spans = {row["record_id"]: (row["parent_id"], row["chunk_start"], row["chunk_end"])
             for row in rows}  # fmt: skip
    assert spans == {name: (row[0], *row[3:5]) for name, row in expected(TEXTS).items()}
    best = search(chunked.settings(), "notes", "text", "four five six", 20, per_record=True)
    nearest: dict[str, str] = {}
    for row in rows:
        nearest.setdefault(row["parent_id"], row["record_id"])
    assert best["record_id"].to_pylist() == list(nearest.values())
    two = search(chunked.settings(), "notes", "text", "four five six", 2, per_record=True)
    assert two.equals(best.slice(0, 2))


def test_what_is_like_a_record_is_like_one_of_its_chunks(chunked: Project) -> None:
    settings = chunked.settings()
    found = search(settings, "notes", "id", MARK, 2)
    assert set(found["record_id"].to_pylist()) == {"b#0", "c#0"}
    assert found["distance"].to_pylist() == pytest.approx([0, 0], abs=1e-6)
    every = search(settings, "notes", "id", MARK, 20)
    assert set(every["parent_id"].to_pylist()) == TEXTS.keys() - {MARK}
    by_chunk = search(settings, "notes", "id", "c#0", 20)
    assert by_chunk["record_id"][0].as_py() == f"{MARK}#1"
    assert set(by_chunk["parent_id"].to_pylist()) == TEXTS.keys() - {"c"}
    both = search(settings, "notes", "id", f"{MARK}#1", 20)
    assert set(both["parent_id"].to_pylist()) == TEXTS.keys() - {f"{MARK}#1"}
    with pytest.raises(SearchError, match="no record 'c#7'"):
        search(settings, "notes", "id", "c#7", 1)


def test_per_record_asks_for_more_until_there_are_enough_records(project: Project) -> None:
    """The chunks of one record take the first places, more of them than are asked for at first."""
    cut(project, words=1)
    long = " ".join(["same"] * 30)
    write(project, {"long": long, "a": "one", "b": "two"})
    project.run()
    found = search(project.settings(), "notes", "text", "same", 3, per_record=True)
    assert found["parent_id"][0].as_py() == "long"
    assert sorted(found["parent_id"].to_pylist()) == ["a", "b", "long"]


def test_the_command_shows_where_a_chunk_stands(
    chunked: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    conf = ["--conf", str(chunked.settings().conf)]
    command = ["search", "notes", "--id", "b", "-k", "1", "--per-record"]
    assert run_command([*command, *conf]) == 0
    told = capsys.readouterr().out
    assert [line.split()[-2:] for line in told.splitlines()] == [
        ["parent_id", "characters"], [MARK, "0-13"],
    ]  # fmt: skip


# --- tracing --------------------------------------------------------------------------------------


def test_a_record_is_traced_with_its_chunks_and_a_chunk_by_itself(chunked: Project) -> None:
    settings = chunked.settings()
    found = lineage(settings, "notes", MARK, place=True)
    [trace] = found.traces
    assert [(c.row_id, c.span) for c in trace.chunks] == [
        (f"{MARK}#0", (0, 13)), (f"{MARK}#1", (14, 27)), (f"{MARK}#2", (28, 33)),
    ]  # fmt: skip
    assert trace.content == trace.chunks[0]
    assert trace.whole == hash_text(TEXTS[MARK])
    assert found.place == "notes.csv:2, with the same content"
    [trace] = lineage(settings, "notes", "c#1").traces
    assert [chunk.row_id for chunk in trace.chunks] == ["c#1"]
    assert lineage(settings, "notes", "c#1", place=True).place == (
        "notes.csv:5, with the same content"
    )
    [trace] = lineage(settings, "notes", f"{MARK}#1").traces
    assert trace.whole == hash_text(TEXTS[f"{MARK}#1"])
    with pytest.raises(UsageError, match=r"no record 'd', .*; the nearest ids: 'MARK-record', "):
        lineage(settings, "notes", "d")


def test_a_chunk_tells_the_dead_letters_of_its_record(
    chunked: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    write(chunked, TEXTS | {"c": "four five six FAIL others"})
    chunked.run()
    [letter] = lineage(chunked.settings(), "notes", "c#0").dead
    assert "(chunk 1, characters 14 to 25)" in letter["reason"]
    assert run_command(["lineage", "notes", "c", "--conf", str(chunked.settings().conf)]) == 0
    assert "chunk c#0, characters 0 to 13" in capsys.readouterr().out


# --- comparing ------------------------------------------------------------------------------------


def test_versions_that_cut_otherwise_are_compared_by_record(project: Project) -> None:
    texts = {f"r{n:02}": f"one word {n}" if n % 2 else f"and {n} more of them" for n in range(40)}
    write(project, texts)
    cut(project, pool=True)
    project.run()
    edited = dict(list(texts.items())[:38]) | {"r01": "another text now of more words"}
    write(project, edited)
    cut(project)
    project.run()
    found = compare(project.settings(), "notes", 1, 2)
    shared = found.shared
    assert (shared.first, shared.second, shared.both, shared.same) == (40, 38, 38, 37)
    assert shared.missing == ("r38", "r39")
    assert found.space is not None
    assert found.space.sampled == 18, "the records that are one chunk, and are as they were"
    assert found.space.overlap is not None
    assert found.space.overlap.value == 1
    told = "\n".join(found.sentences())
    assert "notes_v1 holds 40 rows, a record each, notes_v2 holds 58 rows, a chunk each" in told
    assert "only where the chunk is the whole record" in told
    cut(project, words=4, revision=2)
    project.run()
    again = compare(project.settings(), "notes", 2, 3)
    assert (again.shared.both, again.shared.same) == (38, 38)
    assert again.space is not None
    assert all("#" in name for name, _ in again.space.moved)


def test_a_candidate_of_chunks_passes_its_gates_by_record(project: Project) -> None:
    write(project, TEXTS)
    cut(project, pool=True)
    project.run()
    cut(project)
    project.run()
    assert lifecycle.promote(project.settings(), "notes", 2).changed
    write(project, TEXTS | {"b": "other words"})
    project.run()
    cut(project, pool=True)
    with pytest.raises(lifecycle.GateError, match=r"min_fresh: 75.00% of the records"):
        lifecycle.promote(project.settings(), "notes", 1)


# --- the page -------------------------------------------------------------------------------------


def test_the_statements_of_the_page_do_what_they_say(chunked: Project) -> None:
    page = (ROOT / "docs" / "chunks.md").read_text("utf-8")
    named = page.replace("passages", "notes").replace("'n1'", f"'{MARK}'")
    nearest, mean, mixed = re.findall(r"```sql\n(.*?)```", named, re.DOTALL)
    with chunked.connect() as con:
        found = con.sql(nearest).fetchall()
        means = dict(con.sql(mean).fetchall())
        assert con.sql(mixed).fetchall() == []
    assert found[0][:2] == ("b", 0)
    assert {row[0] for row in found} == TEXTS.keys() - {MARK}
    own = [vector(row) for row in chunked.rows().values() if row["parent_id"] == MARK]
    np.testing.assert_allclose(means[MARK], np.mean(own, axis=0), rtol=1e-5)
    write(chunked, TEXTS | {MARK: "one two three FAIL five six seven"})
    chunked.run()
    with chunked.connect() as con:
        assert con.sql(mixed).fetchall() == [(MARK,)]
