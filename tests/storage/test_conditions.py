"""Conditions: DuckDB's SQL in, a filter that Lance takes and that keeps the same rows out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import duckdb
import pyarrow as pa
import pytest

from storage import conditions
from storage.conditions import both, for_lance, other_than
from storage.model import UsageError
from storage.pushed import Pushed
from storage.vectors import Vectors
from tests.storage.conftest import NOW, matrix

if TYPE_CHECKING:
    from pathlib import Path

N = 12
ROWS = {
    "record_id": [f"r{n}" for n in range(N)],
    "Label X": [None if n == 5 else f"it's {n % 3}" for n in range(N)],
    "year": [2020 + n % 4 for n in range(N)],
    "event_time": [NOW.replace(day=1 + n) for n in range(N)],
    "good": [n % 2 == 0 for n in range(N)],
}


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Any:  # noqa: ANN401 - pylance ships no types
    held = Vectors(str(tmp_path_factory.mktemp("conditions")))
    flat = pa.array(matrix(N).reshape(-1))
    vectors = pa.FixedSizeListArray.from_arrays(flat, matrix(N).shape[1])
    rows = pa.table({**ROWS, "vector": vectors})
    return held.state("t", held.rewrite("t", rows.to_reader()))


@pytest.mark.parametrize(
    "condition",
    [
        "year = 2021",
        "YEAR > 2021 AND \"Label X\" = 'it''s 1'",
        "\"label x\" LIKE 'it%' OR record_id IN ('r1', 'r7')",
        '"Label X" IS NULL',
        "NOT good -- what is not\n",
        "event_time >= TIMESTAMPTZ '2026-01-05'",
        "year BETWEEN 2021 AND 2022 AND (good OR record_id <> 'r2')",
        "lower(record_id) = 'r3'",
    ],
)
def test_a_condition_keeps_the_rows_that_it_keeps_in_duckdb(
    table: Any,  # noqa: ANN401 - pylance ships no types
    condition: str,
) -> None:
    found = table.to_table(columns=["record_id"], filter=for_lance(table, condition, "notes"))
    with duckdb.connect() as con:
        con.execute("SET TimeZone = 'UTC'")
        con.register("rows", pa.table(ROWS))
        true = con.sql(f"SELECT record_id FROM rows WHERE {condition}").fetchall()  # noqa: S608 - ours
    assert 0 < len(true) < N
    assert sorted(found["record_id"].to_pylist()) == sorted(name for (name,) in true)


@pytest.mark.parametrize(
    ("condition", "told"),
    [
        ("yaer = 2021", "names 'yaer', which is no column of notes; did you mean 'year'?"),
        ("price > 3", "'price', which is no column of notes. There are: record_id, Label X, year"),
        ("vector IS NOT NULL", "cannot be by the vector"),
        ("year = = 3", "Parser Error"),
        ("year = 'old'", 'compares "old" with a column of type integer'),
        ("true); DROP TABLE x; SELECT (1", "a condition is one expression"),
        ("year = 2021) OR (year = 2022", "closes a bracket that it does not open"),
        ("record_id = 3", "compares 3 with a column of type text; a text stands in single quotes"),
        ("record_id =", "over notes: it ends where something is to follow$"),
        ("lowr(record_id) = 'a'", 'over notes: Catalog Error: .*Did you mean "lower'),
        ("regexp_matches(record_id, 'r1')", "cannot be pushed down to the vectors of notes.*knn"),
        ("year IN (SELECT 2021)", "cannot be pushed down"),
    ],
)
def test_what_makes_no_sense_is_told_in_words(
    table: Any,  # noqa: ANN401 - pylance ships no types
    condition: str,
    told: str,
) -> None:
    with pytest.raises(UsageError, match=told):
        for_lance(table, condition, "notes")


def test_conditions_add_up() -> None:
    assert both(None, None) is None
    assert both("a = 1 OR b = 2", None, other_than("c", "it's")) == (
        "(a = 1 OR b = 2) AND (`c` <> 'it''s')"
    )


@pytest.mark.parametrize(
    ("condition", "n"),
    [
        ("vector IS NOT NULL", N),
        ("vector IS NULL", 0),
        ("vector IS NOT NULL AND year = 2021", 3),
        ("vector[1] = vector[1] AND vector IS NOT NULL", N),
    ],
)
def test_sql_may_ask_for_what_lance_cannot_filter_by(
    table: Any,  # noqa: ANN401 - pylance ships no types
    condition: str,
    n: int,
) -> None:
    with duckdb.connect() as con:
        con.register("t", Pushed(table))
        rows = con.sql(f"SELECT record_id FROM t WHERE {condition}").fetchall()  # noqa: S608 - ours
        assert con.sql(f"SELECT count(*) FROM t WHERE {condition}").fetchall() == [(n,)]  # noqa: S608 - ours
    assert len({*rows}) == n


@pytest.mark.parametrize("reads", ["read_text", "read_csv"])
def test_a_condition_reads_no_file_and_quotes_none(
    table: Any,  # noqa: ANN401 - pylance ships no types
    tmp_path: Path,
    reads: str,
) -> None:
    secret = tmp_path / "secret.csv"
    secret.write_text("content\nhidden words\n", encoding="utf-8")
    quoted = f"(SELECT CAST(content AS INTEGER) FROM {reads}('{secret}')) = 1"  # noqa: S608 - ours
    with pytest.raises(UsageError, match="disabled by configuration") as raised:
        for_lance(table, quoted, "notes")
    assert "hidden" not in str(raised.value)


def test_a_condition_without_end_is_stopped(
    table: Any,  # noqa: ANN401 - pylance ships no types
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(conditions, "_SECONDS", 0.3)
    endless = "SELECT count(*) FROM range(1000000000000) a, range(1000) b WHERE a.range = -b.range"
    with pytest.raises(UsageError, match="Interrupted"):
        for_lance(table, f"({endless}) = 1", "notes")
