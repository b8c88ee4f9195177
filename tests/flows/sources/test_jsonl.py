"""JSON Lines: what is read, and what is refused with its place."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import polars as pl
import pytest

from flows.sources import _lines, table
from flows.sources.base import SourceError, SourceUsageError
from tests.flows.sources.reading import read_jsonl

if TYPE_CHECKING:
    from pathlib import Path


def test_values_are_read_by_their_json_type(tmp_path: Path) -> None:
    text = (
        '{"id": 7, "body": "a", "n": 1, "s": "1", "d": "2024-01-31", "b": true, "o": {"k": [1]}}\n'
        "\n"
        '{"body": 2.5, "id": "007", "n": null, "extra": 1}\r\n'
    )
    found = read_jsonl(tmp_path, text, keep=["n", "s", "d", "b", "o"])
    assert found.ids == ["7", "007"]
    assert found.contents == ["a", "2.5"]
    assert found.places == ["rows.jsonl:1", "rows.jsonl:3"]
    kept = found.records.select("n", "s", "d", "b", "o")
    assert kept.dtypes == [pl.Int64, pl.String, pl.Date, pl.Boolean, pl.String]
    assert kept["s"].to_list() == ["1", None]
    assert kept["o"].to_list() == ['{"k": [1]}', None]


def test_nulls_and_empty_strings_are_told_apart(tmp_path: Path) -> None:
    rows = [{"id": 1, "body": None}, {"id": 2, "body": ""}, {"id": 3}, {"id": 4, "body": "x"}]
    found = read_jsonl(tmp_path, "\n".join(map(json.dumps, rows)))
    assert found.refused == {
        "rows.jsonl:1": "the content is null: no value in body",
        "rows.jsonl:2": "the content is empty: only whitespace",
        "rows.jsonl:3": "the content is null: no value in body",
    }


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b'{"id": 2, "body": "b"', "invalid JSON"),
        (b'{"id": 2, "body": NaN}', "NaN is not JSON; write null for no value"),
        (b'{"id": 2, "body": "b"} {}', "invalid JSON"),
        (b'["id", 2]', "a JSON object is expected, got list"),
        (b"null", "a JSON object is expected, got NoneType"),
        (b"[" * 100_000, "invalid JSON: maximum recursion depth"),
        (b'{"id": 2, "n": ' + b"9" * 5_000 + b"}", "invalid JSON: Exceeds the limit"),
        (b'{"id": 2, "body": "caf\xe9"}', "invalid UTF-8"),
        (rb'{"id": 2, "body": "\ud800"}', "half of a surrogate pair"),
        (b'{"id": "", "body": "b"}', "no id: column 'id' is blank"),
        (b'{"body": "b"}', "no id: column 'id' is blank"),
        (b'"' + b"x" * _lines.ROW_BYTES + b'"', "longer than 10 MiB"),
    ],
)
def test_a_broken_line_is_rejected_alone(tmp_path: Path, line: bytes, reason: str) -> None:
    good = b'{"id": 1, "body": "a"}\n', b'{"id": 3, "body": "c"}'
    found = read_jsonl(tmp_path, good[0] + line + b"\n" + good[1])
    assert found.ids == ["1", "3"]
    assert found.places == ["rows.jsonl:1", "rows.jsonl:3"]
    assert found.refused.keys() == {"rows.jsonl:2"}
    assert reason in found.refused["rows.jsonl:2"]


def test_an_escaped_pair_of_surrogates_is_one_character(tmp_path: Path) -> None:
    found = read_jsonl(tmp_path, r'{"id": 1, "body": "\ud83d\ude00"}')
    assert found.contents == ["\N{GRINNING FACE}"]


def test_columns_that_no_object_has_are_missed_at_once(tmp_path: Path) -> None:
    with pytest.raises(
        SourceError, match=r"no column 'lable', which `keep` names \(did you mean 'label'\?"
    ):
        read_jsonl(tmp_path, '{"id": 1, "body": "a", "label": "x"}\n', keep=["lable"])


def test_a_file_without_the_id_or_any_content_is_another_kind_of_file(tmp_path: Path) -> None:
    (tmp_path / "other.jsonl").write_text('{"id": 1, "text": "a"}\n')
    (tmp_path / "rows.jsonl").write_text('{"id": 1, "body": "a"}\n')
    params = table.Params(path="*.jsonl", id="id", content="body")
    with pytest.raises(
        SourceUsageError, match=r"other\.jsonl has no column 'body', .* it has 'id', 'text'"
    ):
        table.open(params, tmp_path, "text")


@pytest.mark.parametrize(
    ("text", "reason"),
    [("", "is empty"), ("\n\n", "is empty"), ("id,body\n1,a\n", "holds no JSON object")],
)
def test_a_file_without_objects_cannot_be_opened(tmp_path: Path, text: str, reason: str) -> None:
    with pytest.raises(SourceError, match=reason):
        read_jsonl(tmp_path, text)
