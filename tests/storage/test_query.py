"""SQL over the store: views, filters that reach the files, and exports that are whole."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
import pytest

from storage import query
from storage.model import StorageError, UsageError
from tests.storage.conftest import begun, matrix, reader

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import duckdb

    from tests.storage.conftest import Store


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory, empty_catalog: Path) -> Store:
    """One store for all tests, none of which changes it: that SQL cannot is what they prove."""
    store = begun(tmp_path_factory.mktemp("shown"), empty_catalog)
    version = store.version()
    lance_version = store.vectors.rewrite(version.table, reader(["a", "b", "c"]))
    store.publish(version, "r1", lance_version)
    store.vectors.rewrite(version.table, reader(["not", "published"]))
    store.version("f2")
    return store


@pytest.fixture(scope="module")
def con(shown: Store) -> Iterator[duckdb.DuckDBPyConnection]:
    """A session for all tests that leave nothing behind in it."""
    with query.connect(shown.catalog, shown.vectors) as session:
        yield session


@pytest.fixture
def own(shown: Store) -> Iterator[duckdb.DuckDBPyConnection]:
    """A session for a test that makes or sets something in it."""
    with query.connect(shown.catalog, shown.vectors) as session:
        yield session


def test_features_and_versions_are_views_at_what_is_published(
    con: duckdb.DuckDBPyConnection,
) -> None:
    for view in ("notes", "notes_v1"):
        rows = con.view(view).project("record_id").order("record_id").fetchall()
        assert rows == [("a",), ("b",), ("c",)]
    names = {row[0] for row in con.sql("SELECT name FROM (SHOW TABLES)").fetchall()}
    assert {"notes", "notes_v1", "manifests", "runs"} <= names
    assert "notes_v2" not in names


def test_vectors_are_arrays_that_sql_can_compare(con: duckdb.DuckDBPyConnection) -> None:
    assert con.sql("SELECT DISTINCT typeof(vector) FROM notes").fetchall() == [("FLOAT[4]",)]
    found = con.sql(
        "SELECT array_cosine_distance(x.vector, y.vector) FROM notes x, notes y "
        "WHERE x.record_id = 'a' AND y.record_id = 'b'"
    ).fetchall()[0][0]
    a, b = matrix(3)[:2]
    assert found == pytest.approx(1 - a @ b / np.linalg.norm(a) / np.linalg.norm(b), abs=1e-6)


def test_filters_and_columns_are_pushed_into_the_scan(con: duckdb.DuckDBPyConnection) -> None:
    plan = con.sql("EXPLAIN SELECT label FROM notes WHERE record_id = 'b'").fetchall()[0][1]
    assert "ARROW_SCAN" in plan.upper()
    assert "\"record_id\"='b'" in plan.replace(" ", "")
    assert "vector" not in plan


def test_errors_say_which_names_there_are(con: duckdb.DuckDBPyConnection) -> None:
    with pytest.raises(
        StorageError,
        match=r"no table or view 'noets'; did you mean 'notes'\?\nThere are: .*notes, notes_v1",
    ):
        query.run(con, "FROM noets")
    # No variable of ours is a table, and nothing that is far from all there is is meant.
    with pytest.raises(StorageError, match=r"no table or view 'con'\nThere are: "):
        query.run(con, "FROM con")
    with pytest.raises(StorageError, match=r"no table function 'knnn'; did you mean 'knn'"):
        query.run(con, "FROM knnn('notes')")
    with pytest.raises(StorageError, match=r"(?i)syntax error"):
        query.run(con, "SELEC 1")
    relation = query.run(con, "SELECT record_id::INT FROM notes")
    with pytest.raises(StorageError, match="Could not convert"):
        query.as_table(relation, 80)


def test_a_statement_without_rows_is_done(own: duckdb.DuckDBPyConnection) -> None:
    assert query.run(own, "CREATE TABLE mine AS FROM notes").fetchall() in ([("done",)], [(3,)])
    assert "FLOAT[4]" in query.as_table(query.run(own, "DESCRIBE notes"), 120)


@pytest.mark.parametrize(
    "statement",
    [
        "SHOW TABLES",
        "select name FROM (SHOW TABLES) ORDER BY name",
        "SELECT * FROM (show tables)",
        "FROM (show tables)",
    ],
)
def test_no_name_is_left_out_where_names_are_asked_for(
    own: duckdb.DuckDBPyConnection, statement: str
) -> None:
    for n in range(50):
        query.run(own, f"CREATE TABLE mine_{n:02} AS SELECT 1 AS x")
    table = query.as_table(query.run(own, statement), 120, statement)
    assert [f"mine_{n:02}" for n in range(50) if f"mine_{n:02}" not in table] == []
    columns = "SUMMARIZE SELECT " + ", ".join(f"1 AS mine_{n:02}" for n in range(50))
    assert "mine_25" in query.as_table(query.run(own, columns), 120, columns)
    for rows in ("FROM range(50)", "SELECT range AS desc FROM range(50)"):
        assert "20 shown" in query.as_table(query.run(own, rows), 120, rows)


def test_rows_are_exported_in_every_form(con: duckdb.DuckDBPyConnection, shown: Store) -> None:
    folder = shown.path.parent / "it's out"
    folder.mkdir()
    relation = query.run(con, "SELECT record_id, label FROM notes ORDER BY 1")
    for form in ("csv", "json", "parquet"):
        query.export(relation, form, folder / form)
    expected = [{"record_id": i, "label": n} for n, i in enumerate("abc")]
    assert pl.read_csv(folder / "csv").to_dicts() == expected
    assert json.loads((folder / "json").read_text("utf-8")) == expected
    assert pl.read_parquet(folder / "parquet").to_dicts() == expected
    assert sorted(file.name for file in folder.iterdir()) == ["csv", "json", "parquet"]


def test_an_export_is_whole_or_leaves_what_was_there(
    con: duckdb.DuckDBPyConnection, shown: Store
) -> None:
    output = shown.path.parent / "out.csv"
    output.write_text("before")
    bad = query.run(con, "SELECT CASE WHEN label < 2 THEN 1 ELSE record_id::INT END FROM notes")
    with pytest.raises(query.QueryError, match="Conversion Error"):
        query.export(bad, "csv", output)
    assert output.read_text() == "before"
    good = query.run(con, "FROM notes")
    for target in (output / "below", shown.path.parent):
        with pytest.raises(StorageError, match=r"there is no folder|cannot write the rows"):
            query.export(good, "csv", target)
    assert not list(shown.path.parent.glob("*vecmill-sql*"))


def test_a_store_that_is_not_there_has_empty_tables(unwritten: Store) -> None:
    with query.connect(unwritten.catalog, unwritten.vectors) as con:
        assert con.sql("SELECT count(*) FROM manifests").fetchall() == [(0,)]
    assert not unwritten.path.parent.exists()


def test_vectors_are_shown_by_their_first_numbers(con: duckdb.DuckDBPyConnection) -> None:
    wide = "SELECT [1, 0.25, 1e9, 4, 5]::FLOAT[5] AS vector, NULL::FLOAT[6] AS other, [1]::FLOAT[1]"
    table = query.as_table(query.run(con, wide), 200)
    assert "[1, 0.25, 1e+09, … of 5]" in table
    assert "NULL" in table
    assert "[1.0]" in table


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT lable FROM notes",
        "SELECT n.lable FROM notes n",
        "SELECT label FROM notes GROUP BY lable",
        "SELECT label FROM notes HAVING lable = 'a'",
        "SELECT * EXCLUDE (lable) FROM notes",
        "FROM notes JOIN runs USING (lable)",
        "SELECT COLUMNS('lable') FROM notes",
        "PIVOT notes ON lable",
        "UNPIVOT notes ON lable",
    ],
)
def test_a_column_that_is_not_there_is_told_with_the_nearest(
    con: duckdb.DuckDBPyConnection, sql: str
) -> None:
    with pytest.raises(StorageError, match=r"no column 'lable' .*; did you mean 'label'\?$"):
        query.run(con, sql)


def test_what_duckdb_says_of_a_column_that_is_there_stays(con: duckdb.DuckDBPyConnection) -> None:
    with pytest.raises(StorageError, match="must appear in the GROUP BY"):
        query.run(con, "SELECT count(*), label FROM notes")
    with pytest.raises(StorageError, match="no table 'notse' in FROM; did you mean 'notes'"):
        query.run(con, "SELECT notse.label FROM notes")


@pytest.mark.parametrize(
    "sql",
    [
        "DELETE FROM runs",
        "TRUNCATE runs",
        "WITH x AS (DELETE FROM runs RETURNING *) FROM x",
        "WITH x AS (INSERT INTO snoozes FROM snoozes RETURNING *) FROM x",
        "WITH x AS (UPDATE manifests SET rows = 0 RETURNING *) FROM x",
        "CREATE TABLE t AS (WITH x AS (DELETE FROM manifests RETURNING *) FROM x)",
        "COPY (WITH x AS (DELETE FROM manifests RETURNING *) FROM x) TO 'gone.csv'",
        "EXPLAIN ANALYZE DELETE FROM manifests",
        "PREPARE p AS DELETE FROM manifests",
        "COPY runs FROM 'runs.csv'",
        "CREATE OR REPLACE TABLE manifests AS SELECT 1",
        "ALTER TABLE manifests RENAME TO others",
    ],
)
def test_the_copy_of_the_catalog_is_not_changed_wherever_it_stands(
    con: duckdb.DuckDBPyConnection, sql: str
) -> None:
    with pytest.raises(StorageError, match="would change a copy that is gone"):
        query.run(con, sql)
    assert con.sql("FROM manifests").to_arrow_table().num_rows == 1


def test_files_of_the_store_are_neither_opened_nor_written(
    con: duckdb.DuckDBPyConnection, shown: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    catalog, vectors = shown.catalog.path, shown.vectors.folder
    assert vectors is not None
    before = catalog.read_bytes(), sorted(vectors.rglob("*"))
    monkeypatch.chdir(catalog.parent)
    for sql in (
        f"ATTACH '{catalog}' AS c",
        f"ATTACH '{catalog.name}' AS c (READ_ONLY)",
        f"COPY runs TO '{catalog}'",
        f"COPY runs TO '{vectors}/x/../runs.csv' (HEADER)",
        f"EXPORT DATABASE '{vectors}'",
    ):
        with pytest.raises(StorageError, match="is of the store, which SQL neither opens nor"):
            query.run(con, sql)
    assert (catalog.read_bytes(), sorted(vectors.rglob("*"))) == before
    query.run(con, "COPY runs TO 'runs.csv'")
    assert (catalog.parent / "runs.csv").exists()


@pytest.mark.parametrize(
    ("sql", "words"),
    [
        ("COPY (SELECT 1) TO 'file:{C}'", "is of the store"),
        ("COPY (SELECT 1) TO 'file://{C}'", "is of the store"),
        ("COPY (SELECT 1) TO 'file://localhost{C}'", "is of the store"),
        ("COPY (SELECT 1) TO '~/{name}'", "is of the store"),
        ("COPY (SELECT 1) TO '~{tail}'", "is of the store"),
        ("COPY (SELECT 1) TO '{C}.wal'", "is of the store"),
        ("COPY (SELECT 1 AS a, 2 AS b) TO '{folder}' (PARTITION_BY a, OVERWRITE)", "may clear"),
        ("ATTACH 'duckdb:{C}' AS x", "is of the store"),
        ("ATTACH 'DUCKDB:file:{C}' AS x", "is of the store"),
        ("ATTACH OR REPLACE DATABASE '{C}' AS x", "is of the store"),
        ("ATTACH IF NOT EXISTS '~/{name}' AS x", "is of the store"),
        ("EXPORT DATABASE memory TO 'file:{V}'", "is of the store"),
        ('COPY (SELECT 1) TO "{C}"', 'COPY takes the name of a file, got "'),
        (
            "COPY (SELECT 1) TO ('{folder}/cat' || '{tail}')",
            r"got \( \.\.\.; name the file in single",
        ),
        ("COPY (SELECT 1) TO (concat('{folder}', '/{name}'))", r"got \( "),
        ("SET VARIABLE p = '{C}'; COPY (SELECT 1) TO (getvariable('p'))", r"got \( "),
        ("COPY (SELECT 1) TO '{folder}/'\n'{name}'", "takes the name of a file"),
        ("COPY (SELECT 1) TO $1", r"got \$ "),
        ("ATTACH ('{C}' || '') AS x", "ATTACH takes the name of a file"),
        ("ATTACH '/no' || '{C}' AS x", "ATTACH takes the name of a file"),
        ("ATTACH 'no'.replace('no', '{C}') AS x", "ATTACH takes the name of a file"),
        ('ATTACH "{C}" AS x', "ATTACH takes the name of a file"),
        ("PREPARE p AS COPY (SELECT 1) TO '{C}'; EXECUTE p", "COPY stands within another"),
        ("PREPARE p AS COPY (SELECT 1) TO $1; EXECUTE p('{C}')", "COPY stands within another"),
        ("EXPLAIN ANALYZE COPY (SELECT 1) TO '{C}'", "COPY stands within another"),
        ("EXPLAIN (ANALYZE, FORMAT json) COPY (SELECT 1) TO '{C}'", "COPY stands within another"),
        ("EXPLAIN ANALYZE PREPARE p AS COPY (SELECT 1) TO '{C}'; EXECUTE p", "COPY stands within"),
        ("WITH a AS (COPY (SELECT 1) TO '{C}') FROM a", "COPY stands within another"),
        ("SET log_query_path = '{C}'", "is of the store"),
        ("set global \"log_query_path\" to 'file:{C}';", "is of the store"),
        ("PRAGMA log_query_path = '{V}/log'", "is of the store"),
        ("SET profiling_output = '{C}'", "is of the store"),
        ("SET log_query_path = '{C}' || ''", "log_query_path takes the name of a file in single"),
        ("SET VARIABLE p = '{C}'; SET log_query_path = getvariable('p')", "got getvariable"),
        ('SET log_query_path = "{C}"', 'in single quotes, got "'),
        ("CALL enable_logging(storage := 'file', storage_path := '{V}')", "is of the store"),
        ("FROM enable_profiling(save_location := '{C}')", "is of the store"),
        ("WITH a AS MATERIALIZED (COPY runs TO '{C}') FROM a", "COPY stands within another"),
    ],
)
def test_no_other_way_to_name_a_file_leads_to_those_of_the_store(
    con: duckdb.DuckDBPyConnection, shown: Store, monkeypatch: pytest.MonkeyPatch, sql: str,
    words: str,
) -> None:  # fmt: skip
    catalog, vectors = shown.catalog.path, shown.vectors.folder
    before = catalog.read_bytes(), sorted(catalog.parent.rglob("*"))
    given = {"C": catalog, "V": vectors, "folder": catalog.parent, "name": catalog.name}
    given["tail"] = catalog.name[3:]
    # A name that starts with ~ goes on right after the home's.
    home = catalog.parent if "~/" in sql else catalog.parent / catalog.name[:3]
    monkeypatch.setenv("HOME", str(home))
    with pytest.raises(UsageError, match=words):
        query.run(con, sql.format(**given)).fetchall()
    assert (catalog.read_bytes(), sorted(catalog.parent.rglob("*"))) == before


def test_a_home_of_the_sessions_own_is_looked_in(
    own: duckdb.DuckDBPyConnection, shown: Store
) -> None:
    query.run(own, f"SET home_directory = '{shown.catalog.path.parent}'")
    with pytest.raises(UsageError, match="is of the store"):
        query.run(own, f"ATTACH '~/{shown.catalog.path.name}' AS x")


@pytest.mark.parametrize(
    "sql",
    [
        "COPY (SELECT 1 WHERE '{V}/a' <> '{C}') TO 'it''s.csv'",
        "COPY (SELECT 1 AS \"to\") TO 'it''s.csv' (FORMAT csv, HEADER)",
        "COPY (WITH copy AS (SELECT 1) FROM copy) TO 'it''s.csv' WITH (FORMAT csv);",
        "CREATE TABLE t (a INT); COPY t TO 'it''s.csv'; COPY t FROM (concat('it', '''', 's.csv'))",
        "ATTACH ':memory:' AS x; COPY (SELECT '(') TO 'it''s.csv'",
        "COPY (SELECT 1) TO '~/it''s.csv'",
        "SET log_query_path = 'it''s.csv'; SELECT '{C}'",
    ],
)
def test_a_file_elsewhere_is_written_whatever_else_a_statement_says(
    own: duckdb.DuckDBPyConnection, shown: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    sql: str,
) -> None:  # fmt: skip
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("HOME", str(folder))
    query.run(own, sql.format(C=shown.catalog.path, V=shown.vectors.folder))
    assert [file.name for file in folder.iterdir()] == ["it's.csv"]


def test_columns_called_as_statements_are_no_statements(own: duckdb.DuckDBPyConnection) -> None:
    query.run(own, "CREATE MACRO same(copy) AS (copy)")
    found = query.run(own, "EXPLAIN SELECT same(1) AS copy, 2 AS export")
    assert len(found.fetchall()) == 1


def test_a_transaction_that_failed_can_be_ended(own: duckdb.DuckDBPyConnection) -> None:
    with pytest.raises(StorageError, match="Could not convert"):
        query.table(query.run(own, "BEGIN; SELECT CAST('x' AS INTEGER)"))
    query.run(own, "ROLLBACK")
