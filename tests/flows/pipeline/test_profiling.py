"""The profile of a run's raw records: what is counted, of which contents, and how often."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest

from flows.monitors._profile import Profile, bucket, usual_length
from flows.pipeline.profiling import MAX_TEXTS, Profiler, languages
from flows.pipeline.scope import Scope
from storage import query
from storage.ids import hash_text
from storage.model import Counts
from storage.moments import moment_of
from storage.staging import Unread

if TYPE_CHECKING:
    from pathlib import Path

    from tests.flows.project import Project

ENGLISH = "The committee said on Monday that the results of the vote would be told in a week"
GERMAN = "Der Ausschuss teilte am Montag mit, dass die Ergebnisse der Wahl in einer Woche kommen"


def of_run(project: Project, run: str) -> Profile:
    found = project.stores().catalog.query(
        "SELECT profile::VARCHAR AS profile FROM profiles WHERE run_id = $1", run
    )
    (told,) = found.column("profile").to_pylist()
    given: dict[str, Any] = json.loads(told)
    return Profile.parse(given)


def test_contents_that_are_new_count_once(project: Project) -> None:
    project.source = {"event_time": "at"}
    header = ("id", "text", "label", "at")
    rows: list[tuple[object, ...]] = [
        (n, f"text {n % 6}", "x" if n else None, f"2026-01-{1 + n:02}") for n in range(10)
    ]
    project.write(rows, header)
    first = of_run(project, project.run().run)
    assert (first.contents, first.rows) == (6, 10)
    assert first.lengths == {bucket(6): 6}
    assert first.nulls == {"label": (1, 6), "event_time": (0, 6)}
    assert first.newest is not None
    assert (first.newest.day, first.languages) == (6, {"unknown": 6})
    rows += [(20, "text 3", "x", "2026-02-01"), (21, "a new one", "x", None)]
    project.write(rows, header)
    second = of_run(project, project.run().run)
    assert (second.contents, second.rows, second.newest) == (1, 2, None)
    assert second.nulls == {"label": (0, 1), "event_time": (1, 1)}


def test_the_moment_of_a_run_has_its_profile(project: Project) -> None:
    for stop in (1, 2):
        project.write([(n, f"text {n}", "x") for n in range(stop)])
        run = project.run().run
    stores = project.stores()
    moment = moment_of(stores.catalog, run)
    with query.connect(stores.catalog, stores.vectors, moment) as con:
        assert len(con.sql("FROM profiles").fetchall()) == 2


def test_a_run_that_writes_nothing_has_no_profile(project: Project) -> None:
    project.write([(1, "text", "x")])
    project.run()
    project.write([(1, "text", "y")])
    project.run()
    assert len(project.stores().catalog.query("FROM profiles")) == 1


def test_fields_of_tables_are_counted_and_have_no_lengths(project: Project) -> None:
    project.source = {"content": ["size", "weight"], "keep": ["label"]}
    project.encoder = {"kind": "tabular"}
    rows = [(n, n, "" if n < 4 else n * 2, "x") for n in range(30)]
    project.write(rows, ("id", "size", "weight", "label"))
    found = of_run(project, project.run().run)
    assert found.nulls == {
        "event_time": (30, 30), "size": (0, 30), "weight": (4, 30), "label": (0, 30),
    }  # fmt: skip
    assert (found.unit, found.lengths, found.languages) == (None, {}, {})


def test_files_are_as_long_as_they_have_bytes(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"x" * 4096)
    paths = [str(tmp_path / "a.png"), str(tmp_path / "gone.png"), "s3://bucket/far.png"]
    rows = _rows(paths)
    profiler = Profiler("image")
    profiler.add(rows)
    found = profiler.profile(Counts(new=3), Unread(), 0)
    assert (found.unit, found.contents) == ("bytes", 3)
    assert usual_length(found.lengths) == pytest.approx(4096, rel=0.09)
    windows = Profiler("audio", whole=False)
    windows.add(rows)
    assert windows.profile(Counts(new=3), Unread(), 0).lengths == {}


def test_languages_are_told_where_a_text_is_long_enough() -> None:
    assert languages([ENGLISH, GERMAN, GERMAN, "ja", "x" * 50]) == {"en": 1, "de": 2, "unknown": 2}


def test_many_texts_are_drawn_alike_however_they_come() -> None:
    texts = [f"{GERMAN if n % 4 == 0 else ENGLISH} {n}" for n in range(MAX_TEXTS + 600)]
    there, back = Profiler("text"), Profiler("text")
    there.add(_rows(texts))
    for start in range(0, len(texts), 700):
        back.add(_rows(texts[::-1][start : start + 700]))
    one, two = (p.profile(Counts(new=len(texts)), Unread(), 0) for p in (there, back))
    assert one == two
    assert sum(one.languages.values()) == MAX_TEXTS
    assert one.languages["de"] == pytest.approx(MAX_TEXTS / 4, abs=80)
    assert "committee" not in json.dumps(one.plain())


def test_a_scope_that_allows_alarms_travels() -> None:
    scope = Scope("replay", full=True, allow_alarms=True)
    assert Scope.parse(scope.plain()) == scope
    assert not Scope.parse(Scope().plain()).allow_alarms


def _rows(contents: list[str]) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "content": contents,
            "content_hash": [hash_text(content) for content in contents],
            "event_time": pl.Series([None] * len(contents), dtype=pl.Datetime("us", "UTC")),
        }
    )
