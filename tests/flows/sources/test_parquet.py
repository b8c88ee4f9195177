"""Parquet: what is read, and what is refused with its place."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import TYPE_CHECKING

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from flows.sources import table
from flows.sources.base import CHUNK_ROWS, SourceError
from tests.flows.sources.reading import everything, read_parquet

if TYPE_CHECKING:
    from pathlib import Path


def test_types_are_those_of_the_file(tmp_path: Path) -> None:
    rows = pl.DataFrame(
        {
            "id": [1, 2],
            "body": ["a", "b"],
            "f": pl.Series([0.5, float("nan")], dtype=pl.Float32),
            "c": pl.Series(["x", "y"], dtype=pl.Categorical()),
            "l": [[1], []],
        }
    )
    found = read_parquet(tmp_path, rows, keep=["f", "c", "l"])
    assert found.ids == ["1", "2"]
    assert found.places == ["rows.parquet#0", "rows.parquet#1"]
    kept = found.records.select("f", "c", "l")
    assert kept.dtypes == [pl.Float32, pl.String, pl.List(pl.Int64)]
    assert kept["f"].to_list() == [0.5, None]


@pytest.mark.parametrize(
    "values",
    [
        [datetime(2024, 1, 31)],  # noqa: DTZ001 - a time without a zone is the point
        [datetime(2024, 1, 31, tzinfo=UTC)],
        [date(2024, 1, 31)],
        ["2024-01-31"],
        [1706659200],
        [1706659200.0],
        [1706659200000],
    ],
)
def test_event_times_of_all_types_are_one(tmp_path: Path, values: list[object]) -> None:
    rows = pl.DataFrame({"id": ["1"], "body": ["a"], "t": values})
    found = read_parquet(tmp_path, rows, event_time="t")
    assert found.records["event_time"].to_list() == [datetime(2024, 1, 31, tzinfo=UTC)]


def test_nulls_are_rejected_with_their_row(tmp_path: Path) -> None:
    rows = pl.DataFrame({"id": ["1", None, "3"], "body": ["a", "b", None]})
    found = read_parquet(tmp_path, rows)
    assert found.refused == {
        "rows.parquet#1": "no id: column 'id' is blank",
        "rows.parquet#2": "the content is null: no value in body",
    }


def test_rows_are_numbered_across_chunks(tmp_path: Path) -> None:
    n = CHUNK_ROWS + 2
    rows = pl.DataFrame({"id": range(n), "body": ["a"] * (n - 1) + [None]})
    found = read_parquet(tmp_path, rows)
    assert found.places[-1] == f"rows.parquet#{n - 2}"
    assert found.refused.keys() == {f"rows.parquet#{n - 1}"}


def test_text_that_is_no_utf8_is_rejected_before_polars_sees_it(tmp_path: Path) -> None:
    offsets = pa.array([0, 2, 3, 5], type=pa.int32()).buffers()[1]
    text = pa.StringArray.from_buffers(3, offsets, pa.py_buffer(b"ok\xffok"))
    pq.write_table(pa.table({"id": ["1", "2", "3"], "body": text}), tmp_path / "rows.parquet")
    params = table.Params(path="rows.parquet", id="id", content="body")
    found = everything(table.open(params, tmp_path, "text"))
    assert found.ids == ["1", "3"]
    assert found.refused == {"rows.parquet#1": "invalid UTF-8 in column 'body'; write it again"}


def test_an_override_casts_and_rejects_what_does_not_fit(tmp_path: Path) -> None:
    rows = pl.DataFrame({"id": ["1", "2", "3"], "body": ["a", "b", "c"], "n": [1.0, 1.5, None]})
    found = read_parquet(tmp_path, rows, keep=["n"], types={"n": "int"})
    assert found.records["n"].to_list() == [1, None]
    assert "column 'n' wants int, got 1.5" in found.refused["rows.parquet#1"]


def test_files_of_other_types_are_cast_to_those_of_the_first(tmp_path: Path) -> None:
    pl.DataFrame({"id": ["1"], "body": ["a"], "n": [1]}).write_parquet(tmp_path / "a.parquet")
    pl.DataFrame({"id": ["2", "3"], "body": ["b", "c"], "n": ["2", "x"]}).write_parquet(
        tmp_path / "b.parquet"
    )
    params = table.Params(path="*.parquet", id="id", content="body", keep=["n"])
    found = everything(table.open(params, tmp_path, "text"))
    assert found.records["n"].to_list() == [1, 2]
    assert found.refused.keys() == {"b.parquet#1"}


def test_what_is_no_text_cannot_be_text_content(tmp_path: Path) -> None:
    rows = pl.DataFrame({"id": ["1"], "body": [["a"]]})
    with pytest.raises(SourceError, match=r"column 'body' of rows\.parquet is List\(String\)"):
        read_parquet(tmp_path, rows)


def test_what_cannot_be_cast_is_refused_at_once(tmp_path: Path) -> None:
    rows = pl.DataFrame({"id": ["1"], "body": ["a"], "n": [[1]]})
    with pytest.raises(SourceError, match=r"column 'n' .* cannot be read as int"):
        read_parquet(tmp_path, rows, keep=["n"], types={"n": "int"})


def test_what_is_no_parquet_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "rows.parquet").write_text("id,body\n")
    params = table.Params(path="rows.parquet", id="id", content="body")
    with pytest.raises(SourceError, match=r"rows\.parquet cannot be read as Parquet"):
        table.open(params, tmp_path, "text")
