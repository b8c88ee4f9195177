"""What a table source refuses before the first record is read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from flows.sources import table
from flows.sources._params import ParamError
from flows.sources.base import SourceError
from tests.flows.sources.reading import everything, open_csv

if TYPE_CHECKING:
    from pathlib import Path

    from flows.sources.base import Modality


@pytest.mark.parametrize(
    ("params", "reason"),
    [
        ({"path": ""}, "path must name at least one file"),
        ({"path": []}, "path must name at least one file"),
        ({"path": "a", "format": "cvs"}, r"format must be one of .*; did you mean 'csv'\?"),
        ({"path": "a", "content": []}, "content must name a column"),
        ({"path": "a", "content": ["x", "x"]}, "content names 'x' more than once"),
        ({"path": "a", "keep": ["x", "x"]}, "keep names 'x' more than once"),
        ({"path": "a", "keep": ["place"]}, "keep cannot hold 'place'"),
        ({"path": "a", "separator": "||"}, "separator must be one character"),
        ({"path": "a", "quote": "''"}, "quote must be one character"),
        ({"path": "a", "quote": ";", "separator": ";"}, "separator and quote must differ"),
        ({"path": "a", "header": False}, "header = false needs the names of the columns"),
        ({"path": "a", "columns": ["x"]}, "columns is for files without a header"),
        ({"path": "a", "types": {"x": "integer"}}, r"types\.x must be one of .*'int'"),
    ],
)
def test_parameters_that_cannot_be_are_refused(params: dict[str, Any], reason: str) -> None:
    with pytest.raises(ParamError, match=reason):
        table.Params(**params)


def test_a_parameter_error_is_both_a_source_error_and_a_value_error() -> None:
    assert issubclass(ParamError, SourceError)
    assert issubclass(ParamError, ValueError)


@pytest.mark.parametrize("modality", ["image", "audio"])
def test_media_are_sent_to_the_files_source(tmp_path: Path, modality: Modality) -> None:
    with pytest.raises(SourceError, match=f"not {modality}; use one of kind 'files'"):
        open_csv(tmp_path, "id,body\n1,a\n", modality)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", r"rows\.csv is empty"),
        ("\n\n", r"rows\.csv is empty"),
        ("id,body,id\n", r"the header of rows\.csv names 'id' more than once"),
        ('id,"body\n', r"the header of rows\.csv cannot be read: broken quoting"),
        (b"id,b\xf6dy\n", r"the header of rows\.csv cannot be read: invalid UTF-8"),
        ("id,bdoy\n", r"'body', which `content` names \(did you mean 'bdoy'\?\); it has 'id'"),
    ],
)
def test_headers_that_cannot_be_are_refused(tmp_path: Path, text: str | bytes, reason: str) -> None:
    with pytest.raises(SourceError, match=reason):
        open_csv(tmp_path, text)


def test_a_header_alone_is_a_source_without_records(tmp_path: Path) -> None:
    source = open_csv(tmp_path, "id,body,k\n", keep=["k"])
    assert list(source.scan()) == []
    assert list(source.kept) == ["k"]


def test_no_match_says_where_it_looked(tmp_path: Path) -> None:
    with pytest.raises(
        SourceError, match=r"no file matches 'news/\*\.csv' in .*: the folder news is not"
    ):
        table.open(table.Params(path="news/*.csv"), tmp_path, "text")
    (tmp_path / "news").mkdir()
    with pytest.raises(SourceError, match=r"no file matches 'news/\*\.csv' in [^:]*; check"):
        table.open(table.Params(path="news/*.csv"), tmp_path, "text")


def test_a_column_that_one_of_several_files_lacks_is_missed(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("id,body\n1,a\n")
    (tmp_path / "b.csv").write_text("id,text\n1,a\n")
    for content, missing in ((None, "text"), ("body", "body")):
        params = table.Params(path="*.csv", id="id", content=content)
        with pytest.raises(SourceError, match=rf"\w\.csv has no column '{missing}'"):
            table.open(params, tmp_path, "text")


def test_columns_may_stand_in_another_order(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("id,body\n1,a\n")
    (tmp_path / "b.csv").write_text("body,id\nb,2\n")
    params = table.Params(path=["b.csv", "a.csv", "*.csv"], id="id", content="body")
    found = everything(table.open(params, tmp_path, "text"))
    assert found.ids == ["1", "2"]
    assert found.contents == ["a", "b"]


def test_formats_do_not_mix(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("id,body\n1,a\n")
    (tmp_path / "b.jsonl").write_text('{"id": 1, "body": "a"}\n')
    with pytest.raises(SourceError, match=r"one format, got a\.csv \(csv\) and b\.jsonl \(jsonl\)"):
        table.open(table.Params(path="*.*"), tmp_path, "text")


def test_an_unknown_extension_needs_a_format(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("id\tbody\n1\ta\n")
    with pytest.raises(SourceError, match=r"a\.txt: the extension says no format .* set format"):
        table.open(table.Params(path="a.txt"), tmp_path, "text")
    params = table.Params(path="a.txt", format="tsv", id="id")
    assert everything(table.open(params, tmp_path, "text")).contents == ["a"]


def test_types_are_for_columns_that_have_one(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="types names 'body', which is neither kept nor tabular"):
        open_csv(tmp_path, "id,body\n1,a\n", types={"body": "int"})


def test_content_needs_a_column_that_is_left(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="no column left for the content"):
        open_csv(tmp_path, "id,body\n1,a\n", content=None, keep=["body"])


def test_a_folder_is_no_table(tmp_path: Path) -> None:
    (tmp_path / "a.csv").mkdir()
    with pytest.raises(SourceError, match=r"a\.csv is a folder, not a file"):
        table.open(table.Params(path="*.csv"), tmp_path, "text")
