"""A SQL session that is shut off from the machine."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from storage import guarded, query
from storage.calls import Function
from storage.guarded import Limits
from storage.query import QueryError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from storage.query import Connection
    from tests.storage.conftest import Store


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files that a session may read, and others."""
    found = tmp_path_factory.mktemp("guarded")
    for name in ("own.parquet", "other.parquet"):
        pq.write_table(pa.table({"a": [1, 2, 3]}), found / name)
    (found / "secret.csv").write_text("word\nhidden\n")
    return found


@pytest.fixture(scope="module")
def con(folder: Path) -> Iterator[Connection]:
    """A session over a table, a view of Arrow's, and a view of a file: no statement changes it."""
    with duckdb.connect() as found:
        found.execute("CREATE TABLE runs AS SELECT 1 AS run")
        found.execute(
            "CREATE SCHEMA vecmill; CREATE TABLE vecmill.missing (name VARCHAR, why VARCHAR)"
        )
        found.register("notes", pa.table({"a": [1, 2, 3]}))
        found.execute(f"CREATE VIEW groups AS FROM read_parquet('{folder}/own.parquet')")
        guarded.shut(found, [folder / "own.parquet"], Limits())
        yield found


def asked(con: Connection, sql: str, limits: Limits | None = None) -> guarded.Rows:
    return guarded.ask(con, sql, [], limits or Limits())


@pytest.mark.parametrize(
    ("sql", "rows"),
    [
        ("FROM notes", 3),
        ("FROM groups", 3),
        ("SELECT run FROM runs", 1),
        ("WITH x AS (FROM notes) SELECT sum(a) FROM x", 1),
        ("DESCRIBE notes", 1),
        ("SUMMARIZE notes", 1),
        ("SHOW TABLES", 3),
        ("EXPLAIN FROM notes", 1),
        ("VALUES (1), (2)", 2),
        ("SELECT 1 WHERE false", 0),
    ],
)
def test_what_reads_is_answered(con: Connection, sql: str, rows: int) -> None:
    found = asked(con, sql)
    assert found.table.num_rows == rows
    assert found.cut is None


@pytest.mark.parametrize(
    "sql",
    [
        "FROM '{folder}/secret.csv'",
        "FROM '{folder}/other.parquet'",
        "FROM '{folder}/x/../other.parquet'",
        "FROM read_csv('{folder}/secret.csv')",
        "FROM read_text('{folder}/*')",
        "FROM read_blob('/etc/hostname')",
        "FROM glob('{folder}/*')",
        "FROM sniff_csv('{folder}/secret.csv')",
        "FROM parquet_metadata('{folder}/other.parquet')",
        "FROM read_duckdb('{folder}/other.db')",
        "FROM 'http://127.0.0.1:9/x.parquet'",
        "FROM duckdb_secrets()",
        "FROM enable_logging(storage := 'file', storage_path := '{folder}/log')",
        "FROM enable_profiling(save_location := '{folder}/profile')",
        "FROM query('COPY (SELECT 1) TO ''{folder}/out.csv''')",
        "FROM rows",
        "FROM sql",
        "FROM statements",
        "EXPLAIN ANALYZE COPY (SELECT 1) TO '{folder}/out.csv'",
    ],
)
def test_nothing_else_of_the_machine_can_be_had(con: Connection, folder: Path, sql: str) -> None:
    rows = pa.table({"local": [1]})  # which DuckDB would otherwise find by its name
    before = sorted(folder.iterdir())
    with pytest.raises(QueryError, match=r"(?s).+"):
        asked(con, sql.format(folder=folder))
    assert sorted(folder.iterdir()) == before
    assert rows.num_rows == 1


@pytest.mark.parametrize(
    ("sql", "kind"),
    [
        ("SET enable_external_access = true", "SET"),
        ("RESET lock_configuration", "VARIABLE_SET|SET|RESET"),
        ("PRAGMA threads = 1", "SET|PRAGMA"),
        ("DROP TABLE runs", "DROP"),
        ("DELETE FROM runs", "DELETE"),
        ("INSERT INTO runs VALUES (2)", "INSERT"),
        ("CREATE TABLE t AS FROM runs", "CREATE"),
        ("COPY runs TO '{folder}/out.csv'", "COPY"),
        ("EXPORT DATABASE '{folder}/out'", "EXPORT"),
        ("ATTACH '{folder}/a.db'", "ATTACH"),
        ("INSTALL httpfs", "LOAD"),
        ("LOAD httpfs", "LOAD"),
        ("CALL enable_logging()", "CALL"),
    ],
)
def test_only_what_reads_is_taken(con: Connection, folder: Path, sql: str, kind: str) -> None:
    with pytest.raises(QueryError, match=rf"^({kind}) is not answered here: only what reads is"):
        asked(con, sql.format(folder=folder))
    assert asked(con, "FROM runs").table.num_rows == 1


@pytest.mark.parametrize(
    "sql", ["", " -- nothing", "FROM runs; FROM notes", "SELECT 1; DROP TABLE runs"]
)
def test_there_is_one_statement_at_a_time(con: Connection, sql: str) -> None:
    with pytest.raises(QueryError, match=r"one statement is answered at a time, got [02]"):
        asked(con, sql)


def test_where_the_store_lies_is_not_told(store: Store) -> None:
    with query.connect(store.catalog, store.vectors) as con:
        assert store.catalog.path.name in str(con.sql("FROM vecmill.store").fetchall())
        guarded.shut(con, [], Limits())
        with pytest.raises(QueryError, match=r"(?s)store.*There are: .*runs"):
            asked(con, "FROM vecmill.store")
        tables = con.sql("SELECT table_name FROM duckdb_tables()").fetchall()
        assert "store" not in {name for (name,) in tables}
        assert asked(con, "FROM runs").table.num_rows == 0


@pytest.mark.parametrize(
    "sql",
    [
        "FROM duckdb_settings()",
        'FROM system.main."DUCKDB_settings"()',
        "FROM pg_catalog.pg_settings",
        "FROM 'pg_settings'",
        "SELECT current_setting('allowed_paths')",
        "FROM duckdb_views()",
        "SELECT view_definition FROM information_schema.views",
        "SELECT sql FROM sqlite_master",
        "FROM query('FROM duckdb_' || 'settings()')",
        "FROM query_table('pg_' || 'settings')",
        "SELECT pg_get_viewdef(oid) FROM pg_class",
        "FROM json_execute_serialized_sql(json_serialize_sql('FROM duckdb_views()'))",
        "EXPLAIN ANALYZE FROM groups",
        "EXPLAIN (FORMAT json, ANALYZE) FROM groups",
    ],
)
def test_where_files_lie_is_not_told(con: Connection, folder: Path, sql: str) -> None:
    said = str(con.execute(sql).fetchall())  # by DuckDB, shut off as it is
    assert str(folder) in said
    with pytest.raises(QueryError, match="is not answered here"):
        asked(con, sql)


def test_columns_and_values_may_be_called_as_what_is_refused(con: Connection) -> None:
    found = asked(con, "SELECT a AS query, 'explain analyze' AS views FROM notes WHERE query > 1")
    assert found.table.num_rows == 2
    assert "runs" in asked(con, "FROM information_schema.tables").table["table_name"].to_pylist()


def test_the_settings_stay_as_they_are(con: Connection) -> None:
    with pytest.raises(duckdb.Error, match="locked"):
        con.execute("SET enable_external_access = true")
    with pytest.raises(duckdb.Error, match="locked"):
        con.execute("RESET lock_configuration")


def test_a_statement_without_end_is_stopped_and_the_next_is_answered(con: Connection) -> None:
    endless = "SELECT count(*) FROM range(1000000000000) a, range(1000) b WHERE a.range = -b.range"
    with pytest.raises(QueryError, match=r"longer than 0\.3 s and was stopped"):
        asked(con, endless, Limits(seconds=0.3))
    assert asked(con, "FROM notes").table.num_rows == 3


@pytest.mark.slow
def test_so_are_arguments_without_end(con: Connection) -> None:
    knn = Function("knn", "feature", {}, lambda given: pa.table({"n": [given["feature"]]}))
    endless = "SELECT count(*) FROM range(1000000000000) a, range(1000) b WHERE a.range = -b.range"
    with pytest.raises(QueryError, match=r"longer than 0\.3 s and was stopped"):
        guarded.ask(con, f"FROM knn(({endless}))", [knn], Limits(seconds=0.3))
    assert guarded.ask(con, "FROM knn(7)", [knn], Limits()).table["n"].to_pylist() == [7]


@pytest.mark.parametrize(
    "sql",
    [
        "WITH gone AS (DELETE FROM runs RETURNING *) FROM gone",
        "EXPLAIN ANALYZE DELETE FROM runs",
        "EXPLAIN (ANALYZE) CREATE TABLE t AS FROM runs",
        "EXPLAIN ANALYZE DROP TABLE runs",
    ],
)
def test_nothing_is_written_by_what_seems_to_read(con: Connection, sql: str) -> None:
    with pytest.raises(QueryError, match=r"read-only|ANALYZE, which names"):
        asked(con, sql)
    assert asked(con, "FROM runs").table.num_rows == 1
    assert asked(con, "SHOW TABLES").table.num_rows == 3


def test_rows_are_cut_and_it_is_said(con: Connection) -> None:
    found = asked(con, "FROM range(100)", Limits(rows=10))
    assert found.table.num_rows == 10
    assert found.cut == "the first 10 rows; there are more"
    exact = asked(con, "FROM range(10)", Limits(rows=10))
    assert exact.table.num_rows == 10
    assert exact.cut is None


def test_so_are_rows_that_are_large(con: Connection) -> None:
    found = asked(con, "SELECT repeat('x', 10000) FROM range(9000)", Limits(bytes=2_000_000))
    assert found.cut is not None
    assert re.fullmatch(r"the first [\d,]+ rows: more would be over 2 MB", found.cut)
    assert found.table.nbytes <= 2_000_000
    assert 190 <= found.table.num_rows <= 200


def test_a_row_that_is_too_large_by_itself_is_refused(con: Connection) -> None:
    with pytest.raises(QueryError, match="the first row alone is over 2 MB"):
        asked(con, "SELECT repeat('x', 3000000)", Limits(bytes=2_000_000))
    found = asked(con, "VALUES ('a'), (repeat('x', 3000000))", Limits(bytes=2_000_000))
    assert found.table.num_rows == 1
    assert found.cut == "the first 1 rows: more would be over 2 MB"


def test_what_needs_too_much_memory_fails_and_is_told(tmp_path: Path) -> None:
    with duckdb.connect() as con:
        guarded.shut(con, [], Limits(memory=50_000_000))
        with pytest.raises(QueryError, match=r"(?i)memory"):
            asked(con, "SELECT list(range) FROM range(100000000)")
    assert not list(tmp_path.iterdir())


def test_a_row_that_fails_is_told_in_duckdbs_words(con: Connection) -> None:
    with pytest.raises(QueryError, match="Could not convert"):
        asked(con, "SELECT CAST(word AS INTEGER) FROM (VALUES ('x')) t(word)")
