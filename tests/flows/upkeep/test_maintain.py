"""maintain: indexes that pay and that lag without harm, whatever else changes the table."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

import flows
from flows.config.settings import Gc, SettingsError
from flows.engines.engine import Direct
from flows.lifecycle.status import status
from flows.monitoring.looking import monitor
from flows.output.progress import Silent
from flows.searching.asked import Asked, answer
from flows.searching.narrowing import Narrow
from flows.searching.queries import SearchError
from flows.searching.recalled import recall_of
from flows.searching.search import Searched, live
from flows.upkeep import told
from flows.upkeep.checkup import look
from flows.upkeep.erase import Eraser
from flows.upkeep.gc import Collector
from storage.indexes import indexes
from storage.locks import exclusive
from storage.model import StorageError
from storage.vectors import Effort
from tests.flows.interruptions import Interruption, Stopping

if TYPE_CHECKING:
    from flows.engines.engine import Engine
    from flows.upkeep.leftovers import Item
    from tests.flows.project import Project

Row = tuple[int, str, str]


def rows_of(n: int, turn: int = 0) -> list[Row]:
    """Every seventh row differs from turn to turn."""
    return [(i, f"text {i} {turn if i % 7 == 0 else 0}", f"label {i % 5}") for i in range(n)]


@pytest.fixture
def filled(project: Project) -> Project:
    """Three hundred rows, and indexes asked for."""
    project.source = {"keep": ["label", "text"]}
    project.engine = {"shard_size": 512}
    project.more = '[features.notes.index]\nrows = 290\ncolumns = ["label"]\nwords = ["text"]\n'
    project.write(rows_of(300))
    project.run()
    return project


def maintained(
    project: Project, policy: Gc | None = None, engine: Engine | None = None
) -> list[Item]:
    settings = project.settings()
    collector = Collector(settings, policy or settings.gc, indexes=True, engine=engine or Direct())
    return collector.collect(["notes"], Silent())


def searched(project: Project, narrow: Narrow | None = None) -> Searched:
    settings, stores = project.settings(), project.stores()
    return Searched(settings, stores, *live(settings, stores, "notes"), narrow or Narrow())


def there(project: Project) -> dict[str, tuple[str, int]]:
    """The indexes of the published state, by column: kind, and rows not in it."""
    vectors, state = project.stores().vectors, searched(project).state
    return {one.column: (one.kind, one.unindexed) for one in indexes(vectors, *state)}


def found(project: Project, text: str) -> str:
    rows = answer(project.settings(), "notes", Asked({"text": text}, 1))
    name: str = rows["record_id"][0].as_py()
    return name


def goes(items: list[Item]) -> list[str]:
    return [f"{item.action} {item.what}" for item in items if item.goes and item.kind == "index"]


def test_looking_writes_nothing_and_tells_what_pays(filled: Project) -> None:
    before = filled.versions(), searched(filled).state
    items = Collector(filled.settings(), filled.settings().gc, indexes=True).look(["notes"])
    assert goes(items) == [
        f"build the index of {column} of notes_v1"
        for column in ("record_id", "label", "text", "vector")
    ]
    assert (filled.versions(), searched(filled).state) == before
    assert there(filled) == {}
    [row] = status(filled.settings())
    assert len(row["upkeep"]) == 4
    assert "no index of vector: it pays from 290 rows on" in row["upkeep"]


def test_indexes_are_built_published_and_used(filled: Project) -> None:
    before, rows = searched(filled).state, filled.rows()
    maintained(filled)
    assert there(filled) == {
        "label": ("BTree", 0), "record_id": ("BTree", 0), "text": ("FTS", 0), "vector": ("IvfSq", 0)
    }  # fmt: skip
    assert filled.rows().keys() == rows.keys()
    assert filled.stores().vectors.rows(*before) == 300, "who reads the state before still can"
    assert goes(maintained(filled)) == [], "a second time finds nothing to do"
    [row] = status(filled.settings())
    assert (row["upkeep"], row["unindexed"], row["rows"]) == ([], 0, 300)
    measured = recall_of(searched(filled), 10, np.random.default_rng(0))
    assert measured.recall >= 0.95
    assert measured.index == "IvfSq"


def test_it_says_what_it_would_do_and_what_it_did(filled: Project) -> None:
    settings = filled.settings()
    items = Collector(settings, settings.gc, indexes=True).look(["notes"])
    rows = told.rows(items, done=False)
    assert [(row["would"], row["what"]) for row in rows[:2]] == [
        ("build", "the index of record_id of notes_v1"),
        ("build", "the index of label of notes_v1"),
    ]
    assert told.summary(items, done=False).startswith("this would build 4 indexes, remove ")
    done = maintained(filled)
    row = told.rows(done, done=True)[0]
    assert (row["did"], row["what"]) == ("built", "the index of record_id of notes_v1")
    assert row["took"].endswith((" s", " ms"))
    assert "built 4 indexes" in told.summary(done, done=True)
    again = maintained(filled)
    assert told.summary(again, done=True) == "nothing to do"
    assert "it knows all 300 rows" in {item.why for item in again}


def test_what_is_due_is_a_finding_a_line_of_status_and_a_note_of_the_doctor(
    filled: Project,
) -> None:
    filled.feature = {"monitors": ["upkeep"]}
    filled.more += (
        "[monitors.upkeep]\nmax_fragments = 2\nmax_unindexed = 0.1\nmax_old_states = 0\n"
        "[gc]\ngrace_hours = 0.0\nkeep_days = 0.0\nkeep_runs = 1\ncompact_fragments = 2\n"
    )
    for _ in range(2):  # the state that readers saw until then goes a turn later
        maintained(filled)
    [quiet] = monitor(filled.settings(), "notes", Silent())
    assert (quiet.verdict, quiet.detail["unindexed_share"]) == ("quiet", 0.0)
    for turn in (1, 2):
        filled.write(rows_of(340 + turn, turn))
        filled.run()
    [found] = monitor(filled.settings(), "notes", Silent())
    assert (found.verdict, found.statistic) == ("alarm", 3.0)
    assert "3 small fragments (at most 2)" in found.summary
    assert "`vecmill maintain --yes` mends it" in found.summary
    assert [part["name"] for part in found.parts] == ["fragments", "indexes", "states", "orphans"]
    assert found.detail["orphan_bytes"] > 0
    [row] = status(filled.settings())
    assert row["old_states"] == found.detail["old_states"] > 0
    assert row["orphan_bytes"] == found.detail["orphan_bytes"]
    assert "3 small fragments" in row["upkeep"]
    [note] = [check for check in look(filled.settings()) if check.check == "upkeep of notes_v1"]
    assert (note.state, "3 small fragments" in note.found) == ("note", True)
    assert "vecmill maintain notes --yes" in note.advice
    for _ in range(3):  # what an index did not know is put together a turn later, too
        maintained(filled)
    [mended] = monitor(filled.settings(), "notes", Silent())
    assert (mended.verdict, mended.detail["orphan_bytes"]) == ("quiet", 0.0)
    assert not [check for check in look(filled.settings()) if check.check.startswith("upkeep")]


def test_an_index_that_lags_gives_right_answers(filled: Project) -> None:
    maintained(filled)
    filled.write([*rows_of(300, turn=1), (900, "an unheard-of text", "new")])
    filled.run()
    assert there(filled)["vector"] == ("IvfSq", 44)
    assert found(filled, "an unheard-of text") == "900"
    assert found(filled, "text 7 1") == "7"
    worded = answer(filled.settings(), "notes", Asked(words="unheard", column="text"))
    assert worded["record_id"].to_pylist() == ["900"]
    narrow = Narrow("label = 'new'")
    for exact in (True, False):
        asked = Asked({"id": "3"}, 5, narrow=Narrow(narrow.where, exact))
        assert answer(filled.settings(), "notes", asked)["record_id"].to_pylist() == ["900"]
    [row] = status(filled.settings())
    assert row["unindexed"] == 44
    assert "index of vector: 44 of 301 rows are not in it" in row["upkeep"]
    assert len(goes(maintained(filled))) == 4
    assert {unindexed for _, unindexed in there(filled).values()} == {0}
    assert found(filled, "an unheard-of text") == "900"


def test_how_hard_an_index_is_looked_through_is_configured_and_asked_for(filled: Project) -> None:
    maintained(filled)
    assert searched(filled).effort == Effort(20, 10)
    filled.more = filled.more.replace("rows = 290", "rows = 290\nprobes = 3\nrefine = 1")
    assert searched(filled).effort == Effort(3, 1)
    assert searched(filled, Narrow(probes=7)).effort == Effort(7, 1)
    assert searched(filled, Narrow(exact=True)).effort is None
    with flows.connect(filled.settings().conf) as session:
        found = session.sql("FROM knn('notes', 'text 3 xxx', 10, probes := 7)")["record_id"]
    asked = Asked({"text": "text 3 xxx"}, narrow=Narrow(probes=7))
    assert found.to_pylist() == answer(filled.settings(), "notes", asked)["record_id"].to_pylist()
    with pytest.raises(SearchError, match=r"--exact looks at every row, .* give one"):
        Narrow(exact=True, probes=3)
    with pytest.raises(SearchError, match="--probes must be at least 1, got 0"):
        Narrow(probes=0)


def test_an_index_that_is_extended_stays_one_and_its_rows_are_put_together(
    filled: Project,
) -> None:
    maintained(filled)
    for turn in (1, 2):
        filled.write(rows_of(300 + 20 * turn, turn))
        filled.run()
        maintained(filled, Gc(compact_fragments=2))
    maintained(filled, Gc(compact_fragments=2))
    dataset = filled.stores().vectors.state(*searched(filled).state)
    assert {one.name: len(one.segments) for one in dataset.describe_indices()} == dict.fromkeys(
        ("label_idx", "record_id_idx", "text_idx", "vector_idx"), 1
    )
    assert len(dataset.get_fragments()) == 1
    assert found(filled, "text 7 2") == "7"


def test_runs_over_indexed_tables_change_what_they_should(filled: Project) -> None:
    maintained(filled)
    rng = np.random.default_rng(1)
    for turn in range(1, 5):
        rows = [row for row in rows_of(310, turn) if rng.random() < 0.9]
        filled.write(rows)
        filled.run()
        held = {name: row["text"] for name, row in filled.rows().items()}
        assert held == {str(name): text for name, text, _ in rows}
        if turn % 2 == 0:
            maintained(filled)
    for name, text, _ in rows[::40]:
        assert found(filled, text) == str(name)


@pytest.mark.parametrize("point", ["restore", "compact", "index", "publish"])
def test_whatever_it_is_stopped_after_a_run_and_another_try_end_right(
    filled: Project, point: str
) -> None:
    policy = Gc(compact_fragments=2)
    filled.write(rows_of(320, turn=1))
    filled.run()
    before = filled.rows()
    with pytest.raises(Interruption, match="stopped here"):
        maintained(filled, policy, Stopping(point=point))
    assert filled.rows().keys() == before.keys()
    assert filled.run().counts.written == 0
    filled.write(rows_of(330, turn=2))
    filled.run()
    maintained(filled, policy)
    assert len(filled.rows()) == 330
    assert {unindexed for _, unindexed in there(filled).values()} == {0}


def test_it_waits_for_a_run(filled: Project) -> None:
    filled.engine["wait_seconds"] = 0.1
    with (
        exclusive(filled.stores().locks / "notes.lock", "notes", 1, print),
        pytest.raises(StorageError, match="another run of notes still holds"),
    ):
        maintained(filled)


def test_what_is_not_asked_for_any_more_goes_and_another_kind_takes_its_place(
    filled: Project,
) -> None:
    maintained(filled)
    filled.more = '[features.notes.index]\nrows = 290\nvector = "ivf_flat"\ncolumns = ["gone"]\n'
    items = maintained(filled)
    assert there(filled) == {"record_id": ("BTree", 0), "vector": ("IvfFlat", 0)}
    [kept] = [item for item in items if not item.goes and "of gone" in item.what]
    assert "no such column is kept" in kept.why


def test_few_rows_get_no_index(filled: Project) -> None:
    filled.more = ""
    assert goes(maintained(filled)) == []
    assert there(filled) == {}


def test_an_erasure_leaves_nothing_in_an_index(filled: Project) -> None:
    maintained(filled)
    name, text = "287", "text 287 0"
    assert filled.rows()[name]["text"] == text
    receipt = Eraser(filled.settings(), "notes", [name]).erase(Silent())
    assert receipt["proved"], receipt["proof"]
    assert there(filled) == {}
    assert len(filled.rows()) == 299
    maintained(filled)
    assert {*there(filled)} == {"record_id", "label", "text", "vector"}


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ('vectors = "ivf_sq"', "unknown key 'vectors' in .*index.*did you mean 'vector'"),
        ('vector = "hnsw"', "index.*vector"),
        ("rows = 0", "rows must be at least 1, got 0"),
        ("probes = 0", "probes must be at least 1, got 0"),
        ("stale = 2.0", "stale is a share from 0 to 1"),
        ('words = ["vector"]', "words names kept columns, each once, got 'vector'"),
        ('words = ["a"]\ncolumns = ["a"]', "'a' is in both columns and words"),
    ],
)
def test_a_policy_that_makes_no_sense_is_refused(project: Project, line: str, told: str) -> None:
    project.more = f"[features.notes.index]\n{line}\n"
    with pytest.raises(SettingsError, match=told):
        project.settings()
