"""Canaries are kept from the first run on, erased with their records, and cleared away."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
import pytest

from flows.config.settings import SettingsError
from flows.monitoring.looking import monitor
from flows.output.progress import Silent
from flows.upkeep.erase import Eraser
from flows.upkeep.gc import Collector
from storage import canaries as kept_canaries
from storage.canaries import Canaries
from tests.flows.interruptions import Interruption, Stopping, stop
from tests.flows.monitoring.canary_scenes import kept, look, texts
from tests.flows.project import Project, vector
from tests.flows.shop import Heard

if TYPE_CHECKING:
    from pathlib import Path

    from tests.processes import Forking


def test_the_lowest_hashes_of_the_first_run_are_kept_with_their_vectors(project: Project) -> None:
    project.feature = {"canaries": 10}
    project.write(texts(0, 40))
    run = project.run().run
    rows = {row["content_hash"]: row for row in project.rows().values()}
    found = kept(project)
    assert found["content_hash"].to_list() == sorted(rows)[:10]
    assert set(found["run_id"]) == {run}
    for row in found.iter_rows(named=True):
        published = rows[row["content_hash"]]
        assert row["record_id"] == published["record_id"]
        assert np.float32(row["vector"]).tobytes() == vector(published).tobytes()
    project.write(texts(0, 60))
    project.run()
    assert kept(project).equals(found), "a later run has changed them"


def test_few_contents_are_all_kept_and_later_runs_add_to_them(project: Project) -> None:
    project.feature = {"canaries": 10}
    project.write(texts(0, 4))
    project.run()
    first = kept(project)
    assert len(first) == 4
    project.write([*texts(0, 4), ("bad", "FAIL", "x"), *texts(4, 30)])
    project.run()
    assert kept(project)[:4].equals(first)
    assert len(kept(project)) in {9, 10}, "one of those chosen may have failed"


def test_a_version_has_its_own(project: Project) -> None:
    project.write(texts(0, 10))
    project.run()
    project.encoder = {"revision": 2}
    project.run()
    one, two = kept(project), kept(project, "notes_v2")
    assert one["content_hash"].to_list() == two["content_hash"].to_list()
    assert not one["vector"].equals(two["vector"])


def test_none_are_kept_where_the_feature_says_so(project: Project) -> None:
    project.write(texts(0, 10))
    project.run()
    assert project.stores().canaries.tables() == ["notes_v1"]
    project.feature = {"canaries": 0}
    project.run()
    assert project.stores().canaries.tables() == []
    project.write(texts(0, 20))
    project.run()
    assert project.stores().canaries.tables() == []
    assert look(project)["encoder"].verdict == "cannot tell"
    project.feature = {"canaries": 1001}
    with pytest.raises(SettingsError, match="canaries is how many contents are kept, up to 1,000"):
        project.settings()


def test_their_contents_take_no_more_than_so_many_bytes(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept_canaries, "MAX_BYTES", 10_000)
    project.write([(n, f"{n} " + "long " * 400, "x") for n in range(20)])
    project.run()
    assert 2 <= len(kept(project)) <= 4


@pytest.mark.parametrize("point", ["plan", "shard", "encode", "commit"])
def test_a_run_that_was_stopped_and_its_next_keep_what_one_would(
    project: Project, point: str
) -> None:
    project.feature = {"canaries": 10}
    project.write(texts(0, 40))
    with pytest.raises(Interruption, match="stopped here"):
        project.run(Stopping(point=point, how=stop))
    project.run()
    rows = {row["content_hash"]: vector(row).tolist() for row in project.rows().values()}
    found = kept(project)
    assert found["content_hash"].to_list() == sorted(rows)[:10]
    assert found["vector"].to_list() == [rows[content] for content in sorted(rows)[:10]]


def test_a_damaged_file_costs_the_canaries_alone(watched: Project) -> None:
    watched.write(texts(0, 30))
    watched.run()
    (path,) = watched.stores().canaries.files("notes_v1")
    path.write_bytes(path.read_bytes()[:-100])
    heard = Heard()
    findings = {f.monitor: f for f in monitor(watched.settings(), "notes", heard)}
    assert findings["encoder"].verdict == "cannot tell"
    assert any("are damaged" in note for note in heard.notes)
    watched.write(texts(0, 60))
    watched.run()
    assert len(kept(watched)) == 30, "others are to take their place"


def marked(project: Project) -> list[Path]:
    return [
        path
        for path in (project.root / "data").rglob("*")
        if path.is_file() and b"MARK-" in path.read_bytes()
    ]


def test_a_record_that_is_erased_is_no_canary_any_more(project: Project) -> None:
    rows = texts(0, 20)
    mine = ("MARK-ID-0001", "MARK-TEXT the content", "x")
    project.write([*rows, mine])
    project.run()
    before = kept(project)
    (path,) = project.stores().canaries.files("notes_v1")
    assert path in marked(project)
    project.write(rows)
    receipt = Eraser(project.settings(), "notes", [mine[0]]).erase(Silent())
    assert marked(project) == []
    assert receipt["proved"], receipt["proof"]
    assert receipt["found"]["canaries of notes_v1"] == 1
    assert receipt["removed"]["canaries of notes_v1"] == 1
    assert kept(project).equals(before.filter(pl.col("record_id") != mine[0]))


def test_a_canary_goes_with_whoever_has_its_content_and_with_the_last_the_file(
    project: Project,
) -> None:
    project.feature = {"canaries": 5}
    project.write([("one-of-two", "the same words", "x"), ("two-of-two", "the same words", "y")])
    project.run()
    assert kept(project)["record_id"].to_list() == ["one-of-two"]
    project.write([("one-of-two", "the same words", "x")])
    Eraser(project.settings(), "notes", ["two-of-two"]).erase(Silent())
    assert project.stores().canaries.tables() == []


def test_what_a_run_chose_that_never_published_is_erased_too(project: Project) -> None:
    project.write([*texts(0, 10), ("MARK-ID-0001", "MARK-TEXT the content", "x")])
    with pytest.raises(Interruption, match="stopped here"):
        project.run(Stopping(point="plan", how=stop))
    assert marked(project) != []
    project.write(texts(0, 10))
    receipt = Eraser(project.settings(), "notes", ["MARK-ID-0001"]).erase(Silent())
    assert marked(project) == []
    assert receipt["proved"], receipt["proof"]


def test_chunks_go_with_their_record(tmp_path: Path) -> None:
    rows = pl.DataFrame(
        {"record_id": ["a#0", "a#1", "b#0"], "place": ["", "", ""],
         "content": ["one", "two", "three"], "content_hash": ["1", "2", "3"]}
    )  # fmt: skip
    chosen = Canaries(tmp_path).choice("notes_v1", 5)
    chosen.add(rows)
    chosen.close()
    assert Canaries(tmp_path).count("notes_v1", ["a"], chunked=True) == 2
    assert Canaries(tmp_path).erase("notes_v1", ["a"], [], chunked=True) == 2
    assert Canaries(tmp_path).erase("notes_v1", ["a"], [], chunked=True) == 0
    assert Canaries(tmp_path).count("notes_v1", ["b"], chunked=True) == 1


def test_an_id_that_json_writes_otherwise_is_seen_within_a_content(tmp_path: Path) -> None:
    name = 'the "first" record'
    rows = pl.DataFrame(
        {"record_id": ["a", "b"], "place": ["", ""], "content_hash": ["1", "2"],
         "content": [{"of": name}, {"of": "another"}]}
    )  # fmt: skip
    chosen = Canaries(tmp_path).choice("notes_v1", 5)
    chosen.add(rows)
    chosen.close()
    assert Canaries(tmp_path).erase("notes_v1", [name], [], chunked=False) == 1


KILL = """
import sys
from pathlib import Path
from flows.upkeep.erase import Eraser
from flows.output.progress import Silent
from flows.pipeline.refusals import RunError
from tests.flows.interruptions import Stopping, die
from tests.flows.plugins import installed
from tests.flows.project import Project
with installed():
    settings = Project(Path(sys.argv[1])).settings()
    Eraser(settings, "notes", sys.argv[3:], Stopping(point=sys.argv[2], how=die)).erase(Silent())
"""


def test_an_erasure_that_was_killed_after_the_canaries_is_finished(
    forking: Forking, project: Project
) -> None:
    project.write([*texts(0, 10), ("MARK-ID-0001", "MARK-TEXT the content", "x")])
    project.run()
    project.write(texts(0, 10))
    killed = forking.run(KILL, project.root, "canaries", "MARK-ID-0001")
    assert killed.code == -9, killed.err
    receipt = Eraser(project.settings(), "notes", []).erase(Silent())
    assert receipt["proved"], receipt["proof"]
    assert marked(project) == []


def test_gc_clears_away_those_of_a_version_that_goes(project: Project) -> None:
    project.write(texts(0, 10))
    project.run()
    project.encoder = {"revision": 2}
    project.run()
    project.promote(2)
    settings = project.settings()
    policy = dataclasses.replace(settings.gc, grace_hours=0.0, drop_retired_after_days=0.0)
    folder = project.root / "data" / "canaries"
    left = [folder / "notes_v2.arrow.99.tmp", folder / "gone_v7.arrow"]
    for path in left:
        path.write_bytes(b"left by a process that ended")
    items = Collector(settings, policy).collect([], Silent())
    assert sorted(path.name for path in folder.iterdir()) == ["notes_v2.arrow"]
    assert [i.what for i in items if i.kind == "canaries"] == [str(left[0])]
    # a drop that was broken off leaves them for the next one
    (folder / "notes_v1.arrow").write_bytes(b"left")
    (item,) = (i for i in Collector(settings, policy).collect([], Silent()) if i.kind == "canaries")
    assert (item.what, item.why) == ("the canaries of notes_v1", "notes_v1 is dropped")
    assert sorted(path.name for path in folder.iterdir()) == ["notes_v2.arrow"]
