"""`vecmill sql`: forms, files, and what is refused."""

from __future__ import annotations

import csv
import io
import json
from typing import TYPE_CHECKING

import pytest

from tests.flows.commands.commanding import ROWS, Answer

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

STATEMENT = "SELECT record_id, label, length(record_id) AS n FROM notes ORDER BY ALL"
ANSWER = [{"record_id": i, "label": label, "n": 1} for i, _, label in ROWS]


def test_sql_as_a_table(filled: Callable[..., Answer]) -> None:
    said = filled("sql", STATEMENT)
    assert said.code == 0
    lines = [[c.strip() for c in line.strip("│").split("│")] for line in said.out.splitlines()]
    assert ["record_id", "label", "n"] in lines
    assert ["a", "x", "1"] in lines


def test_sql_as_csv_and_json(filled: Callable[..., Answer]) -> None:
    rows = list(csv.DictReader(io.StringIO(filled("sql", STATEMENT, "--format", "csv").out)))
    assert rows == [{key: str(value) for key, value in row.items()} for row in ANSWER]
    assert json.loads(filled("sql", STATEMENT, "--format", "json").out) == ANSWER


@pytest.mark.parametrize("ending", ["csv", "json", "parquet"])
def test_sql_writes_a_file_of_the_format_that_its_ending_names(
    filled: Callable[..., Answer], tmp_path: Path, ending: str
) -> None:
    import polars as pl

    path = tmp_path / f"rows.{ending}"
    said = filled("sql", STATEMENT, "--output", str(path))
    assert (said.code, said.out) == (0, "")
    read: dict[str, Callable[[Path], pl.DataFrame]] = {
        "csv": pl.read_csv, "json": pl.read_json, "parquet": pl.read_parquet,
    }  # fmt: skip
    assert read[ending](path).to_dicts() == ANSWER


def test_sql_writes_the_format_it_is_told_whatever_the_ending(
    filled: Callable[..., Answer], tmp_path: Path
) -> None:
    path = tmp_path / "rows.txt"
    assert filled("sql", STATEMENT, "--output", str(path), "--format", "csv").code == 0
    assert path.read_text("utf-8").splitlines()[0] == "record_id,label,n"


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("SELEC 1", "Parser Error"),
        ("FROM nots", "There are: "),
        ("SELECT nope FROM notes", "nope"),
        ("SELECT label::INTEGER FROM notes", "Conversion Error"),
    ],
)
def test_wrong_sql_is_told_in_duckdbs_words(
    filled: Callable[..., Answer], statement: str, said: str
) -> None:
    for form in ("table", "csv", "json", "parquet"):
        answer = filled("sql", statement, "--format", form)
        assert (answer.code, answer.out) == (2, ""), form
        assert said in answer.err, form
        assert "Traceback" not in answer.err, form


def test_sql_cannot_change_the_store(filled: Callable[..., Answer]) -> None:
    filled("sql", "DELETE FROM runs")
    assert json.loads(filled("sql", "SELECT count(*) AS n FROM runs", "--format", "json").out) == [
        {"n": 1}
    ]
