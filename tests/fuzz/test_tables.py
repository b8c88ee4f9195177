"""Whatever stands in a table, every row of it ends as a record or as a reject."""

from __future__ import annotations

import csv
import io
import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.sources import table
from flows.sources.base import SourceError
from tests.flows.sources.reading import Everything
from tests.fuzz.conftest import QUICK, THOROUGH

if TYPE_CHECKING:
    from collections.abc import Sequence

HOSTILE = st.sampled_from(
    ["", " ", '"', '""', "'", ",", ";", "\t", "\n", "\r", "\r\n", "\x00", "\x1a", "\ufeff", "NULL",
     "NaN", "-0", "1e999", "1_000", "0x10", "01", "true", "2024-02-30", "9" * 400, "=1+1", "é",
     "\u2028", "\x85", "\x0b", "\\", "\\n", 'a"b', '"a', 'a"', "#", "//", "{}", "[", "🙈"]
)  # fmt: skip
CELL = HOSTILE | st.text(max_size=12) | st.integers().map(str)
ROW = st.lists(CELL, min_size=3, max_size=3)


def read(raw: bytes, name: str) -> Everything | str:
    """The records and rejects, or why the source as a whole cannot be read."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / name).write_bytes(raw)
        params = table.Params(path=name, id="id", content="body", keep=["kept"])
        try:
            chunks = list(table.open(params, Path(folder), "text").scan())
        except SourceError as error:
            return str(error)
    rejects = [reject for chunk in chunks for reject in chunk.rejects]
    nothing = pl.DataFrame(schema={"record_id": pl.String, "content": pl.String})
    return Everything(pl.concat([c.records for c in chunks]) if chunks else nothing, rejects)


def as_csv(rows: Sequence[Sequence[str]], delimiter: str) -> bytes:
    """As Python writes it, every cell in quotes: that much every reader must agree on."""
    file = io.StringIO(newline="")
    writer = csv.writer(file, delimiter=delimiter, quoting=csv.QUOTE_ALL, lineterminator="\n")
    writer.writerows([["id", "body", "kept"], *rows])
    return file.getvalue().encode("utf-8", "surrogatepass")


def check_rows(rows: Sequence[Sequence[str]], delimiter: str, name: str) -> None:
    """Each row is a record or a reject, and a record says what the row said."""
    found = read(as_csv(rows, delimiter), name)
    assert isinstance(found, Everything), found
    assert len(found.records) + len(found.rejects) == len(rows)
    given_rows = {(row[0], row[1]) for row in rows}
    for id_, body in zip(found.ids, found.contents, strict=True):
        assert any(id_ == a.strip() or id_ == a for a, b in given_rows if body in {b, b.strip()})


def check_lines(values: Sequence[Any]) -> None:
    """As many records and rejects as lines, whatever JSON they are."""
    raw = "\n".join(map(json.dumps, [{"id": "0", "body": "first", "kept": "x"}, *values]))
    found = read(raw.encode(), "rows.jsonl")
    assert isinstance(found, Everything), found
    assert len(found.records) + len(found.rejects) == len(values) + 1


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | CELL,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(CELL, inner, max_size=3),
    max_leaves=5,
)
OBJECT = st.fixed_dictionaries({"id": JSON, "body": JSON}, optional={"kept": CELL})


@QUICK
@given(st.lists(ROW, min_size=1, max_size=8), st.sampled_from([(",", "a.csv"), ("\t", "a.tsv")]))
def test_hostile_cells(rows: list[list[str]], form: tuple[str, str]) -> None:
    check_rows(rows, *form)


@QUICK
@given(st.lists(OBJECT | JSON, max_size=8))
def test_hostile_lines(values: list[Any]) -> None:
    check_lines(values)


@QUICK
@given(st.binary(max_size=300), st.sampled_from(["a.csv", "a.tsv", "a.jsonl", "a.parquet"]))
def test_random_bytes(raw: bytes, name: str) -> None:
    assert read(raw, name)
    assert read(b"id,body,kept\n" + raw, name)


def parquet() -> bytes:
    rows = {"id": [str(n) for n in range(50)], "body": ["text"] * 50, "kept": [None, "x"] * 25}
    file = io.BytesIO()
    pl.DataFrame(rows).write_parquet(file, compression="uncompressed", row_group_size=20)
    return file.getvalue()


PARQUET = parquet()


def check_damaged_parquet(data: st.DataObject) -> None:
    raw = bytearray(PARQUET)
    for _ in range(data.draw(st.integers(1, 6))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.sampled_from([len(raw), len(raw), data.draw(st.integers(0, len(raw)))]))
    found = read(bytes(raw[:cut]), "a.parquet")
    assert isinstance(found, str | Everything)


@QUICK
@given(st.data())
def test_damaged_parquet(data: st.DataObject) -> None:
    check_damaged_parquet(data)


@pytest.mark.slow
@THOROUGH
@given(st.lists(ROW, min_size=1, max_size=8), st.sampled_from([(",", "a.csv"), ("\t", "a.tsv")]))
def test_hostile_cells_thoroughly(rows: list[list[str]], form: tuple[str, str]) -> None:
    check_rows(rows, *form)


@pytest.mark.slow
@THOROUGH
@given(st.lists(OBJECT | JSON, max_size=8))
def test_hostile_lines_thoroughly(values: list[Any]) -> None:
    check_lines(values)


@pytest.mark.slow
@THOROUGH
@given(st.data())
def test_damaged_parquet_thoroughly(data: st.DataObject) -> None:
    check_damaged_parquet(data)
