"""gc: what no reader and no policy needs goes, and nothing else, wherever it is killed."""

from __future__ import annotations

import dataclasses
import os
import shutil
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import numpy as np
import pytest

from flows.config.settings import Gc
from flows.output.progress import Silent
from flows.upkeep.gc import Collector
from storage import cleaning
from storage.locks import exclusive
from storage.model import StorageError, UsageError
from tests.flows.interruptions import Interruption, Stopping, stop
from tests.flows.plugins import installed
from tests.flows.project import Project, vector

if TYPE_CHECKING:
    from pathlib import Path

    from flows.upkeep.leftovers import Item
    from tests.processes import Forking

NONE_STAYS = Gc(keep_runs=1, keep_days=0, drop_retired_after_days=0, grace_hours=0)


def runs(project: Project, n: int, first: int = 0) -> None:
    """Runs that each change one record of forty and write one new."""
    for i in range(first, first + n):
        rows = [(k, f"text {k} {i if k == i % 40 else 0}", "x") for k in range(40 + i)]
        project.write(rows)
        project.run()


@pytest.fixture(scope="module")
def six(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a project with six runs."""
    with installed():
        project = Project(tmp_path_factory.mktemp("six"))
        runs(project, 6)
    return project.root


@pytest.fixture
def grown(project: Project, six: Path) -> Project:
    """A project with six runs, from which each test takes what it likes."""
    shutil.copytree(six, project.root, dirs_exist_ok=True)
    return project


def collect(project: Project, policy: Gc = NONE_STAYS, *, orphans: bool = False) -> list[Item]:
    return Collector(project.settings(), policy, orphans).collect([], Silent())


def lance_versions(project: Project, table: str = "notes_v1") -> list[int]:
    return [*cleaning.physical(project.stores().vectors, table).versions]


def readable(project: Project) -> list[int]:
    (version,) = [v for v in project.versions() if v.standing == "live"]
    manifests = project.stores().catalog.manifests(version)
    return sorted({m.lance_version for m in manifests if m.forgotten_at is None})


def age(project: Project, days: float) -> None:
    """Let all that is published lie so many days further back."""
    with project.stores().catalog.transaction() as con:
        for table, column in (
            ("manifests", "published_at"), ("standings", "changed_at"), ("versions", "created_at"),
        ):  # fmt: skip
            con.execute(f"UPDATE {table} SET {column} = {column} - to_seconds({days * 86400:f})")  # noqa: S608 - our own words


def size(project: Project) -> int:
    return cleaning.size_of(project.root / "data" / "vectors")


def rows_equal(project: Project, before: dict[str, dict[str, object]]) -> None:
    after = project.rows()
    assert after.keys() == before.keys()
    for record_id, row in before.items():
        np.testing.assert_array_equal(vector(after[record_id]), vector(row))
        assert {**after[record_id], "vector": 0} == {**row, "vector": 0}


def test_a_dry_run_writes_nothing_and_tells_of_everything(grown: Project) -> None:
    data = grown.root / "data"
    before = {file: file.stat().st_mtime_ns for file in cleaning.files_under(data)}
    items = Collector(grown.settings(), NONE_STAYS).look([])
    assert before == {file: file.stat().st_mtime_ns for file in cleaning.files_under(data)}
    states = [item for item in items if item.kind == "state"]
    assert [item.goes for item in states] == [*[True] * 5, False]
    assert states[-1].why == "readers see it"
    (leftover,) = [item for item in items if item.kind == "leftover"]
    assert leftover.goes
    assert leftover.bytes > 0


def test_states_go_with_their_bytes_and_the_published_one_stays(grown: Project) -> None:
    before, bytes_before = grown.rows(), size(grown)
    (leftover,) = [i for i in collect(grown) if i.kind == "leftover"]
    assert bytes_before - size(grown) >= leftover.bytes > 0
    rows_equal(grown, before)
    assert lance_versions(grown) == readable(grown)
    assert len(readable(grown)) == 1
    assert [i for i in collect(grown) if i.goes] == [], "a second gc finds something"
    runs(grown, 2, first=6)
    assert len(grown.rows()) == 47


@pytest.mark.parametrize(
    ("policy", "left"),
    [
        ({"keep_runs": 3}, 3),
        ({"keep_days": 30.0}, 6),
        ({"keep_days": 5.0, "keep_runs": 2}, 2),
        ({"grace_hours": 24.0 * 30}, 6),
        ({}, 1),
    ],
)
def test_age_and_count_must_both_allow_it(
    grown: Project, policy: dict[str, float], left: int
) -> None:
    age(grown, 10)
    collect(grown, dataclasses.replace(NONE_STAYS, **policy))  # type: ignore[arg-type] # some are whole
    assert len(readable(grown)) == left
    (version,) = grown.versions()
    manifests = grown.stores().catalog.manifests(version)
    forgotten = [m for m in manifests if m.forgotten_at is not None]
    assert {m.forgotten_by for m in forgotten} <= {"gc"}
    for lance_version in readable(grown):
        assert grown.stores().vectors.rows("notes_v1", lance_version) >= 40


def test_a_state_that_was_read_lately_stays_however_old_its_run(grown: Project) -> None:
    age(grown, 100)
    runs(grown, 1, first=6)
    collect(grown, dataclasses.replace(NONE_STAYS, keep_days=30))
    assert len(readable(grown)) == 2, "what readers saw until a moment ago"


def test_the_first_state_stays_while_monitors_compare_with_it(project: Project) -> None:
    project.feature = {"reference": "first", "monitors": ["health"]}
    runs(project, 5)
    first = readable(project)[0]
    collect(project)
    assert readable(project)[0] == first
    assert len(readable(project)) == 2


def test_monitors_go_on_after_states_are_gone(grown: Project) -> None:
    from flows.monitoring.looking import monitor

    collect(grown)
    assert monitor(grown.settings(), "notes", Silent())
    runs(grown, 1, first=6)
    assert monitor(grown.settings(), "notes", Silent())


def test_what_a_tag_pins_stays(grown: Project) -> None:
    pinned = readable(grown)[1]
    grown.stores().vectors.head("notes_v1").tags.create("mine", pinned)
    items = collect(grown)
    assert "the tag 'mine' pins it" in {item.why for item in items}
    assert pinned in lance_versions(grown)
    assert len(lance_versions(grown)) == 2
    grown.stores().vectors.rows("notes_v1", pinned)


def test_many_small_fragments_are_put_together(grown: Project) -> None:
    before = grown.rows()
    vectors = grown.stores().vectors
    assert cleaning.physical(vectors, "notes_v1").small_fragments >= 6
    policy = dataclasses.replace(NONE_STAYS, compact_fragments=4)
    collect(grown, policy)
    found = cleaning.physical(vectors, "notes_v1")
    assert found.small_fragments == 1
    rows_equal(grown, before)
    (version,) = grown.versions()
    last = grown.stores().catalog.published(version)
    assert last is not None
    assert (last.kind, last.rows, last.counts.records) == ("gc", len(before), 0)
    assert last.lance_version == found.head
    collect(grown, policy)  # what readers saw until the compaction
    assert readable(grown) == [found.head]
    assert [i for i in collect(grown, policy) if i.goes] == []
    runs(grown, 1, first=6)
    assert len(grown.rows()) == 46


def test_dead_letters_and_standings_stay_through_a_compaction(project: Project) -> None:
    project.write([(1, "wheel", "x"), (2, "FAIL", "x")])
    project.run()
    project.write([(1, "wheel", "y"), (2, "FAIL", "x"), (3, "grain", "x")])
    project.run()
    dead, versions = project.dead(), project.versions()
    collect(project, dataclasses.replace(NONE_STAYS, compact_fragments=2))
    assert dead
    assert (project.dead(), project.versions()) == (dead, versions)
    assert [run["status"] for run in project.runs()] == ["done", "done"]


def test_what_a_run_left_that_broke_off_goes(grown: Project) -> None:
    before = grown.rows()
    grown.write([(k, f"another {k}", "x") for k in range(60)])
    with pytest.raises(Interruption, match="stopped here"):
        grown.run(Stopping(point="commit", how=stop))
    collect(grown)
    rows_equal(grown, before)
    assert lance_versions(grown) == readable(grown)
    grown.run()
    assert len(grown.rows()) == 60


def test_staged_work_stays_and_what_is_beside_it_goes(project: Project) -> None:
    project.write([(k, f"text {k}", "x") for k in range(20)])
    with pytest.raises(Interruption, match="stopped here"):
        project.run(Stopping(point="encode", how=stop))
    items = collect(project, dataclasses.replace(NONE_STAYS, keep_days=1))
    staging = project.root / "data" / "staging"
    left = [file.name for file in cleaning.files_under(staging)]
    assert left
    assert all(name.startswith("staged-") for name in left)
    assert {(i.kind, i.goes) for i in items} == {("staging", True), ("staging", False)}
    project.encoded()
    assert project.run().counts.resumed == 20
    assert project.encoded() == []


def test_a_version_retired_for_long_is_dropped_but_its_story_stays(project: Project) -> None:
    runs(project, 2)
    project.encoder = {"revision": 2}
    project.run()
    project.promote(2)
    policy = dataclasses.replace(NONE_STAYS, drop_retired_after_days=90.0)
    collect(project, policy)
    assert "notes_v1" in project.stores().vectors.tables(), "retired a moment ago"
    stay = [item for item in Collector(project.settings(), policy).look([]) if item.kind == "state"]
    told = {item.version: item.why for item in stay}
    assert told == {1: "the version can be promoted", 2: "readers see it"}
    age(project, 91)
    before = project.rows()
    (item,) = [i for i in collect(project, policy) if i.kind == "table"]
    assert (item.version, item.goes, item.bytes > 0) == (1, True, True)
    assert project.stores().vectors.tables() == ["notes_v2"]
    first, second = project.versions()
    assert first.dropped_at is not None
    assert second.dropped_at is None
    assert project.stores().catalog.published(first) is None
    rows_equal(project, before)
    with pytest.raises(UsageError, match=r"notes_v1 was dropped on .*`vecmill recipe notes 1`"):
        project.run(target=1)
    with project.connect() as con:
        assert con.sql("SELECT count(*) FROM runs WHERE version = 1").fetchall() == [(2,)]
        assert ("notes_v1",) not in con.sql("SELECT name FROM (SHOW TABLES)").fetchall()


def test_a_table_of_nobody_is_told_and_goes_only_if_asked_for(project: Project) -> None:
    runs(project, 1)
    vectors = project.stores().vectors
    rows = vectors.dataset("notes_v1", readable(project)[0]).to_table()
    vectors.rewrite("others_v1", rows.to_reader())
    (item,) = [i for i in collect(project) if i.kind == "table"]
    assert (item.feature, item.goes, "--orphans" in item.why) == (None, False, True)
    assert set(vectors.tables()) == {"notes_v1", "others_v1"}
    collect(project, orphans=True)
    assert vectors.tables() == ["notes_v1"]


def test_files_of_nobody_go_once_they_are_old(project: Project) -> None:
    runs(project, 1)
    data = project.root / "data"
    old = [data / "states" / "abc.safetensors", data / ".vecmill-sql-1" / "rows",
           data / "staging" / "gone_v7" / "run" / "staged-1.parquet",
           data / "catalog.duckdb.schema-1.77.tmp"]  # fmt: skip
    for file in old:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"left")
    policy = dataclasses.replace(NONE_STAYS, grace_hours=1)
    collect(project, policy)
    assert all(file.exists() for file in old)
    past = time.time() - 7200
    for file in old:
        for path in (file, file.parent, file.parent.parent):
            os.utime(path, (past, past))
    collect(project, policy)
    assert not any(file.exists() for file in old)


def test_the_note_of_an_export_stays_without_its_file(project: Project) -> None:
    """It may lie on a share that is not mounted now, and erasing has to tell of it."""
    runs(project, 1)
    catalog = project.stores().catalog
    with catalog.transaction() as con:
        row = ["notes", 1, "run", str(project.root / "away.parquet"), "parquet", 1]
        con.execute("INSERT INTO exports VALUES (?, ?, ?, ?, ?, ?, ?)", [*row, datetime.now(UTC)])
    collect(project)
    assert len(cleaning.exports(catalog)) == 1


def test_it_waits_for_a_run_and_says_so(project: Project) -> None:
    project.engine = {"wait_seconds": 0.1}
    runs(project, 1)
    lock = project.stores().locks / "notes.lock"
    with (
        exclusive(lock, "notes", 1.0, lambda _: None),
        pytest.raises(StorageError, match="another run of notes still holds"),
    ):
        collect(project)


def test_a_session_that_reads_goes_on_within_the_grace(project: Project) -> None:
    runs(project, 1)
    before = project.rows()
    with project.connect() as con:
        runs(project, 3, first=1)
        collect(project, dataclasses.replace(NONE_STAYS, grace_hours=1))
        assert len(con.sql("FROM notes").fetchall()) == len(before)


KILL = """
import sys, dataclasses
from pathlib import Path
from flows.upkeep.gc import Collector
from flows.output.progress import Silent
from tests.flows.interruptions import Stopping, die
from tests.flows.plugins import installed
from tests.flows.project import Project
from tests.flows.upkeep.test_gc import NONE_STAYS
with installed():
    policy = dataclasses.replace(NONE_STAYS, compact_fragments=3)
    engine = Stopping(point=sys.argv[2], how=die)
    project = Project(Path(sys.argv[1]), encoder={"revision": 2})
    Collector(project.settings(), policy, engine=engine).collect([], Silent())
"""


@pytest.fixture(scope="module")
def torn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a project with two versions, and a run that was stopped as it committed."""
    with installed():
        project = Project(tmp_path_factory.mktemp("torn"))
        runs(project, 1)
        project.encoder = {"revision": 2}
        runs(project, 3, first=1)
        project.promote(2)
        project.write([(k, f"another {k}", "x") for k in range(60)])
        with pytest.raises(Interruption, match="stopped here"):
            project.run(Stopping(point="commit", how=stop))
    return project.root


@pytest.mark.slow
@pytest.mark.parametrize("point", ["restore", "compact", "publish", "forget", "remove", "staging"])
def test_killed_anywhere_the_next_one_finishes(
    forking: Forking, project: Project, torn: Path, point: str
) -> None:
    shutil.copytree(torn, project.root, dirs_exist_ok=True)
    project.encoder = {"revision": 2}
    before = project.rows()
    killed = forking.run(KILL, project.root, point)
    assert killed.code == -9, killed.err
    rows_equal(project, before)
    policy = dataclasses.replace(NONE_STAYS, compact_fragments=3)
    collect(project, policy)
    rows_equal(project, before)
    assert project.stores().vectors.tables() == ["notes_v2"]
    assert lance_versions(project, "notes_v2") == readable(project)
    collect(project, policy)  # what readers saw until the compaction
    assert [i for i in collect(project, policy) if i.goes] == []
    assert project.run().rows == 60


def test_clocks_that_were_set_back_lose_nothing(grown: Project) -> None:
    with grown.stores().catalog.transaction() as con:
        con.execute("UPDATE manifests SET published_at = ?", [datetime.now(UTC) + timedelta(9)])
    collect(grown, dataclasses.replace(NONE_STAYS, keep_days=1))
    assert len(readable(grown)) == 6
