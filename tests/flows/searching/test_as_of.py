"""Earlier moments: what a session shows of one is what a session showed then."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from flows.config.settings import Gc
from flows.export import Asked, export
from flows.output.progress import Silent
from flows.pipeline.refusals import RunError
from flows.upkeep.gc import Collector
from storage import query, standings
from storage.model import StorageError, UsageError
from storage.moments import moment_of
from storage.schema import TABLES
from tests.flows.interruptions import Interruption, Stopping

if TYPE_CHECKING:
    from tests.flows.project import Project

Picture = dict[str, Any]

REPLACED = {"features", "cursors", "dead_letters", "backfill_windows"}
"""Tables of which runs replace rows: of what they were there is nothing left."""

COLUMNS_REPLACED = {"types", "params", "complete"}


def picture(project: Project, moment: datetime | None = None) -> Picture:
    """All that a session shows."""
    stores = project.stores()
    with query.connect(stores.catalog, stores.vectors, moment) as con:
        names = {row[0] for row in con.sql("SELECT name FROM (SHOW TABLES)").fetchall()}
        seen: Picture = {}
        for name in sorted(names - REPLACED):
            found = con.sql(f'FROM "{name}"').to_arrow_table().to_pylist()
            rows = [{k: v for k, v in r.items() if k not in COLUMNS_REPLACED} for r in found]
            seen[name] = sorted(map(repr, rows))
    return seen


def now() -> datetime:
    return datetime.now(UTC)


def write(project: Project, *texts: str) -> None:
    project.write([(n, text, "x") for n, text in enumerate(texts)])


def promote(project: Project, number: int) -> None:
    catalog = project.stores().catalog
    basis = standings.basis(catalog, "notes", number)
    assert standings.promote(catalog, "notes", number, basis)


def collect(project: Project) -> None:
    everything = Gc(keep_runs=1, keep_days=0, drop_retired_after_days=365, grace_hours=0)
    Collector(replace(project.settings(), gc=everything), everything).collect([], Silent())


def story(project: Project) -> list[tuple[datetime, Picture]]:
    """Runs, promotions, a rollback, a failure: each moment, and what a session showed at it."""
    album: list[tuple[datetime, Picture]] = []

    def look() -> None:
        seen = picture(project)
        album.append((now(), seen))

    look()
    write(project, "A", "B", "FAIL")
    project.run()
    look()
    write(project, "A", "C")
    project.run()
    look()
    project.encoder = {"revision": 2}
    project.run()
    look()
    promote(project, 2)
    look()
    write(project, "D", "C", "E")
    with pytest.raises(Interruption, match="stopped here"):
        project.run(Stopping(point="commit"))
    look()
    project.run()
    look()
    standings.rollback(project.stores().catalog, "notes")
    look()
    return album


@pytest.mark.slow
def test_each_moment_is_shown_as_it_was(project: Project) -> None:
    write(project, "A")
    album = story(project)
    for nth, (moment, seen) in enumerate(album):
        assert picture(project, moment) == seen, f"picture {nth}"
    live = [sum("'standing': 'live'" in row for row in seen["versions"]) for _, seen in album]
    assert live == [0, 1, 1, 1, 1, 1, 1, 1]


@pytest.mark.slow
def test_what_was_cleaned_away_is_told_of_and_the_rest_is_shown(project: Project) -> None:
    write(project, "A")
    album = story(project)
    collect(project)
    stores = project.stores()
    (moment, _), (last, seen) = album[1], album[-1]
    with query.connect(stores.catalog, stores.vectors, moment) as con:
        names = {row[0] for row in con.sql("SELECT name FROM (SHOW TABLES)").fetchall()}
        told = (
            r"(?s)no table or view 'notes'.*notes cannot be had: what \d{8}T\d{6}-\w+ had "
            r"published was cleaned away by `vecmill gc` on 20"
        )
        with pytest.raises(query.QueryError, match=told):
            query.run(con, "FROM notes")
        assert not names & {"notes", "notes_v1"}
    asked = Asked(project.root / "rows.parquet", "parquet", as_of=moment.isoformat())
    with pytest.raises(UsageError, match=r"no live version to be read: what .* `vecmill"):
        export(project.settings(), "notes", asked)
    shown = picture(project, last)
    assert shown["manifests"] == seen["manifests"], "then, nothing was cleaned away"
    assert shown["notes_v2"] == seen["notes_v2"]


def test_a_run_names_the_moment_that_it_was_published(project: Project) -> None:
    write(project, "A", "FAIL")
    first = project.run()
    write(project, "B")
    second = project.run()
    catalog, vectors = project.stores().catalog, project.stores().vectors
    for outcome, dead in ((first, 1), (second, 0)):
        moment = moment_of(catalog, outcome.run)
        with query.connect(catalog, vectors, moment) as con:
            runs = con.sql("SELECT run_id, status FROM runs ORDER BY started_at").fetchall()
            wrote = con.sql("SELECT DISTINCT run_id FROM notes").fetchall()
            letters = con.sql("SELECT count(*) FROM dead_letters").fetchall()
        assert runs[-1] == (outcome.run, "done")
        assert wrote == [(outcome.run,)]
        # That of the first is none any more, and nothing says that it was one.
        assert letters == [(0,)], dead
    write(project, "B", "FAIL")
    third = project.run()
    with query.connect(catalog, vectors, moment_of(catalog, third.run)) as con:
        assert con.sql("SELECT place FROM dead_letters").fetchall() == [("notes.csv:3",)]


def test_before_everything_there_was_nothing(project: Project) -> None:
    write(project, "A")
    project.run()
    catalog, vectors = project.stores().catalog, project.stores().vectors
    with query.connect(catalog, vectors, datetime(2000, 1, 1, tzinfo=UTC)) as con:
        for table in sorted(set(TABLES) - {"features"}):
            assert con.table(table).fetchall() == [], table
        told = "notes cannot be had: no run of it was published, or no .* live, by 2000-01-01 00:00"
        with pytest.raises(StorageError, match=f"(?s)no table or view.*{told}"):
            query.run(con, "FROM notes")
    with query.connect(catalog, vectors, now() + timedelta(days=9)) as con:
        assert con.sql("SELECT count(*) FROM notes").fetchall() == [(1,)]


def test_what_names_no_moment_is_refused(project: Project) -> None:
    write(project, "A")
    project.run()
    project.feature = {"max_dead": 0.1}
    write(project, "FAIL")
    with pytest.raises(RunError, match="1 of 1 record cannot be read"):
        project.run()
    catalog = project.stores().catalog
    failed = project.runs()[-1]["run_id"]
    with pytest.raises(UsageError, match=rf"{failed} is failed \(.*\) and published nothing"):
        moment_of(catalog, failed)
    for text in ("20260131T235959-f423f1a2b3c", "yesterday", ""):
        with pytest.raises(UsageError, match=f"--as-of takes a published run.*got '{text}'"):
            moment_of(catalog, text)
    assert moment_of(catalog, "2026-01-31T12:00+02:00") == datetime(2026, 1, 31, 10, tzinfo=UTC)
    assert moment_of(catalog, "2026-01-31") == datetime(2026, 1, 31, tzinfo=UTC)
