"""Views of a session: what a history is shown as, what is read for it, and what cannot be had."""

from __future__ import annotations

import shutil
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from storage import query, views
from storage.model import UsageError
from tests.storage.conftest import begun
from tests.storage.test_joins import START, TICK, session, table

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import duckdb

    from tests.storage.conftest import Store

ROWS = [
    ("a", None, "hash 0", "run 0"),
    ("a", START, "hash 1", "run 1"),
    ("a", START, "hash 2", "run 2"),
    ("a", START + TICK, "hash 3", "run 1"),
    ("b", None, "hash 4", "run 1"),
]


@pytest.fixture(scope="module")
def con(
    tmp_path_factory: pytest.TempPathFactory, empty_catalog: Path
) -> Iterator[duckdb.DuckDBPyConnection]:
    with session(begun(tmp_path_factory.mktemp("views"), empty_catalog), ROWS) as opened:
        yield opened


def test_a_history_has_what_was_valid_and_when(con: duckdb.DuckDBPyConnection) -> None:
    for name in ("notes", "notes_v1"):
        found = con.sql(
            f"SELECT label, valid_from, valid_until FROM {name}_history ORDER BY label"  # noqa: S608 - one of two names
        ).fetchall()
        assert found == [
            (0, None, START),
            (2, START, START + TICK),
            (3, START + TICK, None),
            (4, None, None),
        ]
    assert con.sql("SELECT label FROM notes ORDER BY 1").fetchall() == [(3,), (4,)]
    assert con.sql("SELECT count(*) FROM notes_v1").fetchall() == [(5,)]
    assert con.execute("SELECT label FROM notes_at(?)", [START]).fetchall() == [(2,)]
    assert con.sql("SELECT label FROM notes_at('2025-12-31')").fetchall() == []


@pytest.mark.parametrize("rows", ["notes", "notes_history", "notes_at('2026-01-02')"])
def test_vectors_are_read_only_where_they_are_asked_for(
    con: duckdb.DuckDBPyConnection, rows: str
) -> None:
    sql = f"SELECT label FROM {rows} WHERE record_id = 'b'"  # noqa: S608 - one of three names
    plan = con.sql(f"EXPLAIN {sql}").fetchall()[0][1]
    assert "vector" not in plan
    assert "\"record_id\"='b'" in plan.replace(" ", "")
    where = "label >= 3 AND event_time IS NULL"
    found = con.sql(f"SELECT label FROM {rows} WHERE {where} ORDER BY 1").fetchall()  # noqa: S608 - as above
    everything = con.sql(f"FROM {rows}").to_arrow_table().to_pylist()
    expected = [r["label"] for r in everything if r["label"] >= 3 and r["event_time"] is None]
    assert [label for (label,) in found] == sorted(expected)


def test_what_another_feature_is_called_stays_its_own(store: Store) -> None:
    version = store.version("f2", feature="notes_history")
    lance_version = store.vectors.rewrite(version.table, table(ROWS[:2]))
    store.publish(version, "r9", lance_version)
    with session(store, ROWS) as con:
        assert con.sql("SELECT count(*) FROM notes_history").fetchall() == [(2,)]
        assert con.sql("SELECT count(*) FROM notes_v1_history").fetchall() == [(4,)]


def test_a_table_that_is_away_keeps_no_other_from_being_read(store: Store) -> None:
    version = store.version("f2", feature="other")
    store.publish(version, "r9", store.vectors.rewrite(version.table, table(ROWS[:2])))
    assert store.vectors.folder is not None
    shutil.rmtree(store.vectors.folder / "other_v1.lance")
    with session(store, ROWS) as con:
        assert [shown.table for shown in views.shown(con)] == ["notes_v1"]
        assert set(views.missing(con)) == {"other", "other_v1"}
        with pytest.raises(query.QueryError, match=r"(?s)other cannot be had: .*cannot be opened"):
            query.run(con, "FROM other")
        with pytest.raises(UsageError, match=r"other has no live version to be read: .*cannot be"):
            views.choose(con, "other", None)
        assert views.choose(con, "notes", 1) == replace(views.shown(con)[0])
        with pytest.raises(UsageError, match=r"no version v7 .* published by then; there are: v1"):
            views.choose(con, "notes", 7)
