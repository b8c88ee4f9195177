"""Queries over SQLite and DuckDB, and addresses of databases."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import duckdb
import polars as pl
import pytest

from flows.sources import base, query
from flows.sources._params import ParamError
from flows.sources._sql import check_select
from flows.sources._url import redacted, shown
from flows.sources.base import SourceAwayError, SourceError, SourceUsageError
from tests.flows.sources.reading import everything
from tests.processes import python

if TYPE_CHECKING:
    from pathlib import Path


def sqlite(root: Path, *statements: str) -> None:
    with closing(sqlite3.connect(root / "a.db")) as con, con:
        for statement in statements:
            con.execute(statement)


def duck(root: Path, *statements: str) -> None:
    with duckdb.connect(str(root / "a.duckdb")) as con:
        for statement in statements:
            con.sql(statement)


def opened(root: Path, url: str = "sqlite:///a.db", **keys: Any) -> base.Source:  # noqa: ANN401 - whatever a key takes
    modality = keys.pop("modality", "text")
    params = query.Params(**{"url": url, "id": "id", "content": "body", **keys})
    return base.open("query", params, root, modality)


def from_duck(root: Path, **keys: Any) -> base.Source:  # noqa: ANN401 - as above
    return opened(root, "duckdb:///a.duckdb", **keys)


def ids(chunks: Any) -> list[str]:  # noqa: ANN401 - an iterator of chunks
    return [i for chunk in chunks for i in chunk.records["record_id"]]


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("news.db", "got one without ://"),
        ("mysql://u:secret@h/d", r"one of postgresql, .* got 'mysql'"),
        ("postgresql://u:se@cret@h/d", "must be percent-encoded"),
        ("postgresql://u:se cret@h/d", "must be percent-encoded"),
        ("postgresql://u:se%cret@h/d", "must be percent-encoded"),
        ("postgresql://u:se/cret@h/d", "must be percent-encoded"),
        ("sqlite://a.db", "with three slashes"),
        ("duckdb:///", "with three slashes"),
    ],
)
def test_addresses_that_cannot_be_are_refused(url: str, reason: str) -> None:
    with pytest.raises(ParamError, match=reason) as caught:
        query.Params(url=url, table="t")
    assert "cret" not in str(caught.value)


@pytest.mark.parametrize(
    ("keys", "reason"),
    [
        ({}, "needs one of sql and table"),
        ({"sql": "SELECT 1", "table": "t"}, "needs one of sql and table"),
        ({"table": "a..b"}, r"schema\.name"),
        ({"sql": "DROP TABLE t"}, r"begins with SELECT or WITH, got 'DROP'"),
        ({"sql": "-- SELECT\n/* SELECT */ (delete FROM t)"}, "got 'delete'"),
        ({"sql": ""}, "begins with SELECT or WITH, got ''"),
        ({"table": "t", "keep": ["place"]}, "keep cannot hold 'place'"),
        ({"table": "t", "types": {"x": "integer"}}, r"types\.x must be one of"),
    ],
)
def test_parameters_that_cannot_be_are_refused(keys: dict[str, Any], reason: str) -> None:
    with pytest.raises(ParamError, match=reason):
        query.Params(url="sqlite:///a.db", **keys)


def test_a_query_may_begin_with_a_comment_and_end_with_a_semicolon() -> None:
    assert check_select("-- news\n (SELECT 1) ; \n") == "-- news\n (SELECT 1)"


def test_addresses_are_shown_without_secrets() -> None:
    url = "postgresql://anna:p%40ss@host:5432/news?sslmode=require&password=other"
    assert shown(url) == "postgresql://host:5432/news"
    told = redacted("no p%40ss, no p@ss, no other for anna", url)
    assert told == "no ***, no ***, no *** for anna"
    assert "p%40ss" not in repr(query.Params(url=url, table="t"))


def test_a_column_of_sqlite_is_typed_by_what_it_holds(tmp_path: Path) -> None:
    sqlite(
        tmp_path,
        "CREATE TABLE t (id, body, n, f, s, at)",
        "INSERT INTO t VALUES (1, 'caf\u00e9', 1, 0.5, '007', '2024-01-31 12:00:00')",
        "INSERT INTO t VALUES ('b', 42, NULL, 2, 'x', 1706702400)",
    )
    source = opened(tmp_path, table="t", keep=["n", "f", "s"], event_time="at")
    assert source.kept == {"n": pl.Int64(), "f": pl.Float64(), "s": pl.String()}
    found = everything(source)
    assert found.ids == ["1", "b"]
    assert found.contents == ["caf\u00e9", "42"]
    assert found.records["f"].to_list() == [0.5, 2.0]
    assert found.records["event_time"].to_list() == [datetime(2024, 1, 31, 12, tzinfo=UTC)] * 2


def test_a_value_that_is_no_text_costs_its_row(tmp_path: Path) -> None:
    sqlite(
        tmp_path,
        "CREATE TABLE t (id, body)",
        "INSERT INTO t VALUES (1, x'ff'), (2, CAST(x'ff' AS TEXT)), (3, 'x')",
    )
    found = everything(opened(tmp_path, table="t"))
    assert found.ids == ["3"]
    assert found.refused == {
        "t#0": "a BLOB, which is no text, in column 'body'",
        "t#1": "invalid UTF-8 in column 'body'",
    }


def test_a_late_value_of_another_type_costs_its_row_and_no_more(tmp_path: Path) -> None:
    sqlite(
        tmp_path,
        "CREATE TABLE t (id INTEGER PRIMARY KEY, body, n)",
        "WITH RECURSIVE s (v) AS (SELECT 1 UNION ALL SELECT v + 1 FROM s WHERE v < 20000) "
        "INSERT INTO t SELECT v, 'x', v FROM s",
        "INSERT INTO t VALUES (20001, 'x', 'many')",
    )
    found = everything(opened(tmp_path, table="t", keep=["n"]))
    assert len(found.ids) == 20_000
    assert "column 'n' wants int, got 'many'" in found.refused["t#20000"]


@pytest.mark.parametrize("values", [(1, 5, 30), (1.5, 2.25, 10), ("2024-01", "2024-02", "2024-10")])
def test_a_cursor_of_sqlite_keeps_its_kind(tmp_path: Path, values: tuple[object, ...]) -> None:
    with closing(sqlite3.connect(tmp_path / "a.db")) as con, con:
        con.execute("CREATE TABLE t (id, body, c)")
        con.executemany("INSERT INTO t VALUES (?, 'x', ?)", enumerate([*values, None], 1))
    source = opened(tmp_path, table="t", cursor="c")
    assert isinstance(source, base.Incremental)
    everything(source)
    assert source.cursor is not None
    assert ids(source.scan_from(source.cursor)) == ["3", "4"]


def test_the_order_of_a_query_is_that_of_its_rows(tmp_path: Path) -> None:
    values = ", ".join(f"({i}, 'x', {i * 7919 % 1000})" for i in range(1000))
    make = f"CREATE TABLE t AS WITH s (id, body, n) AS (VALUES {values}) {'SELECT'} * FROM s"
    sqlite(tmp_path, make)
    duck(tmp_path, make)
    statement = "SELECT id, body, n FROM t ORDER BY n DESC"
    wanted = [str(i) for i in sorted(range(1000), key=lambda i: -(i * 7919 % 1000))]
    assert everything(opened(tmp_path, sql=statement)).ids == wanted
    assert everything(from_duck(tmp_path, sql=statement)).ids == wanted


def test_duckdb_hands_on_its_types(tmp_path: Path) -> None:
    duck(
        tmp_path,
        "CREATE TABLE t AS SELECT i AS id, 'x' || i AS body, DATE '2024-01-01' + i::INT AS day, "
        "TIMESTAMPTZ '2024-01-01 00:00:00+01' + INTERVAL (i) HOUR AS at, uuid() AS u, "
        "i::HUGEINT AS h, INTERVAL 1 DAY AS span, [i] AS l, 'a'::ENUM ('a', 'b') AS e "
        "FROM range(5000) AS r (i)",
    )
    source = from_duck(
        tmp_path, table="t", event_time="at", keep=["day", "u", "h", "span", "l", "e"]
    )
    kinds = {name: str(dtype) for name, dtype in source.kept.items()}
    assert kinds == {
        "day": "Date", "u": "String", "h": "String", "span": "String",
        "l": "List(Int64)", "e": "String",
    }  # fmt: skip
    found = everything(source)
    assert len(found.ids) == 5000
    assert found.records["event_time"][0] == datetime(2023, 12, 31, 23, tzinfo=UTC)


@pytest.mark.parametrize("kind", ["TIMESTAMP", "TIMESTAMPTZ", "DATE", "TIMESTAMP_NS"])
def test_duckdb_is_asked_for_windows_and_cursors(tmp_path: Path, kind: str) -> None:
    duck(
        tmp_path,
        "SET TimeZone = 'UTC'",
        f'CREATE TABLE t (id INT, body TEXT, "at" {kind})',
        "INSERT INTO t SELECT i, 'x', DATE '2024-01-01' + i::INT FROM range(9) AS r (i)",
        "INSERT INTO t VALUES (9, 'x', NULL)",
    )
    source = from_duck(tmp_path, table="t", event_time="at", cursor="at")
    assert isinstance(source, base.Windowed)
    assert isinstance(source, base.Incremental)
    since, until = datetime(2024, 1, 3, tzinfo=UTC), datetime(2024, 1, 5, tzinfo=UTC)
    assert ids(source.scan_window(since, until))[:2] == ["2", "3"]
    assert len(ids(source.scan_window(since, until))) <= 3
    everything(source)
    assert source.cursor is not None
    assert ids(source.scan_from(source.cursor)) == ["8", "9"]


@pytest.mark.parametrize("engine", ["sqlite:///a.db", "duckdb:///a.duckdb"])
@pytest.mark.parametrize(
    "statement",
    [
        "SELECT 1 AS id, 'x' AS body; DROP TABLE t",
        "SELECT 1 AS id, 'x' AS body) AS q; DROP TABLE t; --",
        "WITH a AS (SELECT 1) DELETE FROM t",
        "SELECT nope FROM t",
        "SELECT * FROM nowhere",
    ],
)
def test_what_is_no_query_is_refused(tmp_path: Path, engine: str, statement: str) -> None:
    sqlite(tmp_path, "CREATE TABLE t (id)")
    duck(tmp_path, "CREATE TABLE t (id INT)")
    with pytest.raises(SourceUsageError, match="mend `sql`"):
        everything(opened(tmp_path, engine, sql=statement))
    sqlite(tmp_path, "SELECT * FROM t")
    duck(tmp_path, "SELECT * FROM t")


@pytest.mark.parametrize("engine", ["sqlite:///a.db", "duckdb:///a.db"])
def test_a_file_that_is_no_database_is_told(tmp_path: Path, engine: str) -> None:
    with pytest.raises(SourceError, match=r"no database .*a\.db"):
        opened(tmp_path, engine, table="t")
    assert not (tmp_path / "a.db").exists()
    (tmp_path / "a.db").write_text("no database\n" * 1000)
    with pytest.raises(SourceError, match=r"a\.db cannot be read"):
        opened(tmp_path, engine, table="t")


HOLD = """
import duckdb, sqlite3, sys
if sys.argv[1] == "duckdb":
    con = duckdb.connect(sys.argv[2])
else:
    con = sqlite3.connect(sys.argv[2], isolation_level=None)
    con.execute("BEGIN EXCLUSIVE")
print("held", flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize(("engine", "file"), [("sqlite", "a.db"), ("duckdb", "a.duckdb")])
def test_a_database_that_is_being_written_may_be_free_the_next_time(
    tmp_path: Path, engine: str, file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flows.sources._sqlite._WAIT_SECONDS", 0.1)
    sqlite(tmp_path, "CREATE TABLE t (id, body)")
    duck(tmp_path, "CREATE TABLE t (id INT, body TEXT)")
    with python(HOLD, engine, tmp_path / file) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(SourceAwayError, match="run again"):
            opened(tmp_path, f"{engine}:///{file}", table="t")
        holder.communicate()
    assert everything_or_nothing(opened(tmp_path, f"{engine}:///{file}", table="t")) == 0


def everything_or_nothing(source: base.Source) -> int:
    return sum(len(chunk.records) for chunk in source.scan())


def test_media_are_sent_to_the_files_source(tmp_path: Path) -> None:
    with pytest.raises(SourceUsageError, match="not image; use one of kind 'files'"):
        opened(tmp_path, table="t", modality="image")
