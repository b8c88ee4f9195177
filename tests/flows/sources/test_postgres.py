"""Queries over a real PostgreSQL server: types, streaming, and a server that dies."""

from __future__ import annotations

import traceback
import tracemalloc
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest

from flows.pipeline.retries import passes
from flows.sources import base, query
from flows.sources.base import SourceAwayError, SourceError, SourceUsageError
from tests.flows.sources.reading import everything
from tests.flows.sources.servers import PASSWORD, free_port

if TYPE_CHECKING:
    from tests.flows.sources.servers import Postgres


UUID = "6f1ed002-ab5f-41a5-9b14-ef7b2a9e8d3a"


def opened(server: Postgres, **keys: Any) -> base.Source:  # noqa: ANN401 - whatever a key takes
    modality = keys.pop("modality", "text")
    params = query.Params(**{"url": server.url, "id": "id", "content": "body", **keys})
    return base.open("query", params, Path(), modality, name="news")


def sql(server: Postgres, statement: str, **keys: Any) -> base.Source:  # noqa: ANN401 - as above
    return opened(server, sql=statement, **keys)


def numbered(columns: str, n: int = 9) -> str:
    """A query whose rows are numbered ``i`` from 1."""
    return f"{'SELECT'} {columns} FROM generate_series(1, {n}) AS t (i)"


def test_text_comes_as_it_is_and_nulls_are_told(database: Postgres) -> None:
    rows = "VALUES (1, 'caf\u00e9 100% \U0001f600'), (2, NULL), (3, ' '), (NULL, 'x')"
    statement = f"WITH t (id, body) AS ({rows}) TABLE t ORDER BY id NULLS LAST -- all of it;"
    found = everything(sql(database, statement))
    assert found.contents == ["caf\u00e9 100% \U0001f600"]
    assert found.places == ["query#0"]
    assert found.refused == {
        "query#1": "the content is null: no value in body",
        "query#2": "the content is empty: only whitespace",
        "query#3": "no id: column 'id' is blank",
    }


@pytest.mark.parametrize(
    ("value", "kept", "dtype"),
    [
        ("12345678901234567890.5::numeric", 12345678901234567890.5, pl.Float64()),
        ("2.50::numeric(9, 2)", 2.5, pl.Float64()),
        ("7::smallint", 7, pl.Int64()),
        ("true", True, pl.Boolean()),
        ("1.5::real", 1.5, pl.Float64()),
        ("'NaN'::float8", None, pl.Float64()),
        ("'2024-02-29'::date", date(2024, 2, 29), pl.Date()),
        (
            "'2024-01-31 12:00:00.123456'::timestamp",
            datetime(2024, 1, 31, 12, 0, 0, 123456, tzinfo=UTC),
            pl.Datetime("us", "UTC"),
        ),
        (
            "'2024-01-31 12:00:00+05:30'::timestamptz",
            datetime(2024, 1, 31, 6, 30, tzinfo=UTC),
            pl.Datetime("us", "UTC"),
        ),
        ("'{\"a\": 1}'::jsonb", '{"a": 1}', pl.String()),
        (f"'{UUID}'::uuid", UUID, pl.String()),
        ("ARRAY[1, 2]", "{1,2}", pl.String()),
        ("'12:30'::time", "12:30:00", pl.String()),
        ("'\\x00ff'::bytea", b"\x00\xff", pl.Binary()),
    ],
)  # fmt: skip
def test_values_keep_their_types(
    database: Postgres, value: str, kept: object, dtype: pl.DataType
) -> None:
    source = sql(database, f"SELECT 1 AS id, 'x' AS body, {value} AS k", keep=["k"])
    assert source.kept == {"k": dtype}
    assert everything(source).records["k"].to_list() == [kept]


def test_a_numeric_can_be_kept_exactly(database: Postgres) -> None:
    source = sql(
        database, "SELECT 1 AS id, 'x' AS body, 0.10::numeric AS k", keep=["k"], types={"k": "str"}
    )
    assert everything(source).records["k"].to_list() == ["0.10"]


@pytest.mark.parametrize("value", ["'infinity'::timestamptz", "'0044-03-15 BC'::date"])
def test_a_moment_beyond_the_calendar_costs_its_row(database: Postgres, value: str) -> None:
    rows = f"SELECT 1 AS id, 'a' AS body, {value} AS at UNION ALL SELECT 2, 'b', '2024-01-01'"
    found = everything(sql(database, f"{rows} ORDER BY id", event_time="at"))
    assert found.ids == ["2"]
    assert "neither an ISO 8601 date" in found.refused["query#0"]


def test_bytes_are_no_text(database: Postgres) -> None:
    with pytest.raises(SourceUsageError, match=r"\[sources\.news\].*'body' of query is Binary"):
        sql(database, "SELECT 1 AS id, '\\x00'::bytea AS body")


def test_rows_of_columns_are_tabular_content(database: Postgres) -> None:
    source = sql(
        database, "SELECT 1 AS id, 2 AS n, 'x' AS c", content=["n", "c"], modality="tabular"
    )
    assert everything(source).contents == [{"n": 2, "c": "x"}]


@pytest.mark.slow
def test_a_large_table_is_streamed(database: Postgres) -> None:
    text = "repeat('lorem ', 100) || i"
    rows = numbered(f"i AS id, {text} AS body", 100_000)
    source = sql(database, rows)
    tracemalloc.start()
    try:
        n = sum(len(chunk.records) for chunk in source.scan())
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert n == 100_000
    # the whole is 60 MB of text; Python objects hold one batch of it at a time
    assert most < 30_000_000


def test_a_cursor_goes_on_where_the_last_scan_ended(database: Postgres) -> None:
    database.run(
        "DROP TABLE IF EXISTS log",
        "CREATE TABLE log (id int PRIMARY KEY, body text, at timestamptz)",
        "INSERT INTO log SELECT i, 'old ' || i, '2024-01-01'::timestamptz + i * interval '1 us' "
        "FROM generate_series(1, 9) AS t (i)",
    )
    source = opened(database, table="log", cursor="at")
    assert isinstance(source, base.Incremental)
    assert len(everything(source).ids) == 9
    cursor = source.cursor
    assert cursor is not None
    database.run(
        "INSERT INTO log VALUES (10, 'new', now()), (11, 'unknown', NULL)",
        "INSERT INTO log SELECT 12, 'same moment', at FROM log WHERE id = 9",
    )
    again = opened(database, table="log", cursor="at")
    assert isinstance(again, base.Incremental)
    chunks = list(again.scan_from(cursor))
    assert sorted(chunks[0].records["record_id"].to_list()) == ["10", "11", "12", "9"]
    assert chunks[0].records["place"][0].startswith(f"log[>={cursor}]#")
    assert again.cursor is not None
    assert again.cursor > cursor


@pytest.mark.parametrize("kind", ["int", "numeric", "date", "timestamp", "text", "float8", "uuid"])
def test_a_cursor_of_any_sortable_type_comes_back_exactly(database: Postgres, kind: str) -> None:
    values = {
        "date": "'2024-01-0' || i",
        "timestamp": "'2024-01-01 00:00:00.00000' || i",
        "uuid": "'6f1ed002-ab5f-41a5-9b14-ef7b2a9e8d3' || i",
        "numeric": "'9007199254740993.' || i",
        "float8": "'0.1' || i",
    }
    rows = numbered(f"i AS id, 'x' AS body, ({values.get(kind, 'i')})::{kind} AS c")
    source = sql(database, rows, cursor="c")
    assert isinstance(source, base.Incremental)
    everything(source)
    assert source.cursor is not None
    assert [chunk.records["record_id"].to_list() for chunk in source.scan_from(source.cursor)] == [
        ["9"]
    ]


@pytest.mark.parametrize("kind", ["timestamptz", "timestamp", "date"])
def test_a_window_is_asked_of_the_server(database: Postgres, kind: str) -> None:
    rows = numbered(f"i AS id, 'x' AS body, ('2024-01-0' || i)::{kind} AS at")
    source = sql(database, f"{rows} ORDER BY i", event_time="at")
    assert isinstance(source, base.Windowed)
    since, until = datetime(2024, 1, 3, tzinfo=UTC), datetime(2024, 1, 5, tzinfo=UTC)
    found = [i for chunk in source.scan_window(since, until) for i in chunk.records["record_id"]]
    assert found[:2] == ["3", "4"]
    assert len(found) <= 3
    late = [i for chunk in source.scan_window(until, None) for i in chunk.records["record_id"]]
    assert late == ["5", "6", "7", "8", "9"]


def test_a_window_over_text_is_not_promised(database: Postgres) -> None:
    source = sql(database, "SELECT 1 AS id, 'x' AS body, '2024-01-01' AS at", event_time="at")
    assert not isinstance(source, base.Windowed)
    assert not isinstance(source, base.Incremental)


@pytest.mark.parametrize(
    "statement",
    [
        "WITH gone AS (DELETE FROM victims RETURNING *) SELECT 1 AS id, 'x' AS body FROM gone",
        "SELECT 1 AS id, 'x' AS body) AS t; DROP TABLE victims; --",
        "SELECT 1 AS id, 'x' AS body; DROP TABLE victims",
        "SELECT 1 AS id, 'x' AS body, eat() AS k",
    ],
)
def test_nothing_is_written_through_a_query(database: Postgres, statement: str) -> None:
    database.run(
        "CREATE TABLE IF NOT EXISTS victims (id int)",
        "INSERT INTO victims VALUES (1)",
        "CREATE OR REPLACE FUNCTION eat() RETURNS int LANGUAGE sql AS "
        "'DELETE FROM victims RETURNING 1'",
    )
    with pytest.raises(SourceUsageError, match=r"mend `sql`, `table` or `cursor`"):
        everything(sql(database, statement))
    database.run("SELECT 1 / count(*) FROM victims")


@pytest.mark.parametrize(
    ("keys", "kind", "reason"),
    [
        ({"table": "nope"}, SourceUsageError, r'relation "nope" does not exist'),
        ({"sql": "SELECT nope"}, SourceUsageError, r'column "nope" does not exist'),
        ({"sql": "SELECT 1 AS id, 2 AS id"}, SourceUsageError, "more than one column 'id'"),
        ({"sql": "SELECT 1 AS id"}, SourceUsageError, "no column 'body', which `content` names"),
        ({"sql": "SELECT 1 AS id, '' AS body", "cursor": "at"}, SourceUsageError, "cursor names"),
        ({"sql": "SELECT 1/0 AS id, '' AS body"}, SourceError, "division by zero; the query fails"),
    ],
)
def test_what_is_wrong_with_a_query_is_told(
    database: Postgres, keys: dict[str, Any], kind: type[SourceError], reason: str
) -> None:
    with pytest.raises(kind, match=reason) as caught:
        everything(opened(database, **keys))
    assert not passes(caught.value)


def test_no_password_is_told(database: Postgres) -> None:
    tries = [
        query.Params(url=database.url.replace(PASSWORD, "battery%20staple"), table="t"),
        query.Params(url=database.url.replace("/postgres", f"/{PASSWORD}"), table="t"),
        query.Params(url=database.url.replace(str(database.port), str(free_port())), table="t"),
        query.Params(url=f"{database.url}?nonsense={PASSWORD}", table="t"),
    ]
    for params in tries:
        assert PASSWORD not in repr(params)
        with pytest.raises(SourceError, match="postgresql") as caught:
            base.open("query", params, Path(), "text")
        told = "".join(traceback.format_exception(caught.value))
        secrets = told.replace(f"/{PASSWORD}:", "")
        assert PASSWORD not in secrets
        assert "battery" not in secrets


def test_a_server_that_is_away_may_come_back(database: Postgres) -> None:
    params = query.Params(url=database.url.replace(str(database.port), str(free_port())), table="t")
    with pytest.raises(SourceAwayError, match=r"run again") as caught:
        base.open("query", params, Path(), "text")
    assert passes(caught.value)


def test_refused_credentials_do_not_pass(database: Postgres) -> None:
    params = query.Params(url=database.url.replace(PASSWORD, "wrong"), table="t")
    with pytest.raises(SourceError, match=r"password authentication failed.*check `url`") as caught:
        base.open("query", params, Path(), "text")
    assert not passes(caught.value)


@pytest.mark.slow
def test_a_server_that_dies_in_the_middle_of_a_scan_is_away(database: Postgres) -> None:
    rows = numbered("i AS id, repeat('x', 1000) AS body", 100_000)
    chunks = sql(database, rows).scan()
    next(chunks)
    database.stop("immediate")
    try:
        with pytest.raises(SourceAwayError, match="run again") as caught:
            list(chunks)
    finally:
        database.start()
    assert passes(caught.value)
    assert len(everything(sql(database, "SELECT 1 AS id, 'x' AS body")).ids) == 1
