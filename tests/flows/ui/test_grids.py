"""Rows of plain values as cells and as lines of a file."""

from __future__ import annotations

import csv
import io
from datetime import UTC, date, datetime

import pyarrow as pa
import pytest

from flows.reports.grid import Column
from flows.ui import grids
from flows.ui.grids import value
from flows.ui.kept import listed

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        (None, None),
        ("", None),
        (1234, "1,234"),
        (0.000123456, "0.0001235"),
        (True, "yes"),
        ("a\x1b[31mb", "a\\x1b[31mb"),
        ([0.5] * 384, "[0.5, 0.5, 0.5, … of 384]"),
        (["a", "b"], '["a", "b"]'),
        ({"a": NOON}, '{"a": "2026-01-31 12:00:00+00:00"}'),
        (b"1234", "<4 bytes>"),
        (NOON, '<time datetime="2026-01-31T12:00:00+00:00">2026-01-31 12:00</time>'),
    ],
)
def test_a_value_is_shown_as_a_person_reads_it(given: object, shown: str | None) -> None:
    assert grids.value(given) == shown


def test_what_a_row_says_is_escaped() -> None:
    made = grids.rows_table([{"a": "<b>"}], {"a": Column("A")}, "Rows")
    assert "&lt;b&gt;" in made
    assert "<b>" not in made


def test_a_long_text_is_kept_to_a_few_lines_and_shown_whole_where_one_points() -> None:
    text = "word " * 200
    made = str(value(text))
    assert 'class="clamp"' in made
    assert f'title="{text}"' in made
    assert f">{text[:400]}…</span>" in made
    assert "clamp" not in str(value("a word"))


def test_what_the_id_says_is_not_said_again() -> None:
    columns = {"name": "cat", "path": "photos/cat.jpg", "label": "cat"}
    made = str(listed(columns, "photos/cat.jpg"))
    assert made.count("<dt>") == 1
    assert "label" in made
    assert "name" in str(listed({"name": "Tom"}, "photos/cat.jpg"))


def test_an_id_leads_to_its_record_whatever_it_holds() -> None:
    link = grids.record_link("notes", "a/b?c=d&e #1")
    assert 'href="/features/notes/record?id=a%2Fb%3Fc%3Dd%26e%20%231"' in link


def test_a_file_has_every_value_whole() -> None:
    rows = pa.table(
        {
            "text": ['a "b"\nc', None],
            "bytes": [b"\x00\xff", None],
            "vector": [[0.5, 0.25], None],
            "nested": [{"at": NOON, "raw": b"x"}, None],
            "at": [NOON, None],
            "day": [date(2026, 1, 31), None],
            "number": [float("nan"), 0.1],
        }
    )
    first, one, two = csv.reader(io.StringIO("".join(grids.as_csv(rows))))
    assert first == rows.column_names
    assert one == [
        'a "b"\nc', "AP8=", "[0.5, 0.25]", '{"at": "2026-01-31T12:00:00+00:00", "raw": "eA=="}',
        "2026-01-31T12:00:00+00:00", "2026-01-31", "nan",
    ]  # fmt: skip
    assert two == ["", "", "", "", "", "", "0.1"]
