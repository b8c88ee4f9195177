"""CSV and TSV: what is read, and what is refused with its place."""

from __future__ import annotations

import gzip
import io
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from flows.sources import _csv, _lines, table
from flows.sources.base import CHUNK_ROWS, Reject, SourceError
from storage.ids import hash_row, hash_text
from tests.flows.sources.reading import everything, open_csv, read_csv

if TYPE_CHECKING:
    from pathlib import Path


def test_content_columns_are_joined_and_hashed(tmp_path: Path) -> None:
    found = read_csv(tmp_path, "id,title,body\n1,A,b\n2,,c\n", content=["title", "body"])
    assert found.contents == ["A\n\nb", "c"]
    assert found.records["content_hash"].to_list() == [hash_text("A\n\nb"), hash_text("c")]


def test_all_columns_without_a_part_are_content(tmp_path: Path) -> None:
    found = read_csv(tmp_path, "id,a,k,b,t\n1,A,K,B,\n", content=None, keep=["k"], event_time="t")
    assert found.contents == ["A\n\nB"]


def test_ids_and_text_stay_as_they_are_written(tmp_path: Path) -> None:
    found = read_csv(tmp_path, "id,body\n00123, 007 \n1e3,true\n")
    assert found.ids == ["00123", "1e3"]
    assert found.contents == [" 007 ", "true"]


def test_without_an_id_the_content_hash_is_the_id(tmp_path: Path) -> None:
    found = read_csv(tmp_path, "body\nhello\nhello\n", id=None)
    assert found.ids == [hash_text("hello")] * 2


def test_tabular_content_is_a_struct_hashed_as_a_row(tmp_path: Path) -> None:
    found = read_csv(
        tmp_path, "id,n,d,s\n1,2,2024-01-31,x\n2,,,y\n", "tabular", content=["n", "d", "s"]
    )
    assert found.contents[0] == {"n": 2, "d": datetime(2024, 1, 31, tzinfo=UTC).date(), "s": "x"}
    assert found.contents[1] == {"n": None, "d": None, "s": "y"}
    row = list(found.contents[0].values())
    assert found.records["content_hash"][0] == hash_row(["n", "d", "s"], row)


def test_a_bom_crlf_and_a_missing_last_line_end_are_no_trouble(tmp_path: Path) -> None:
    found = read_csv(tmp_path, b"\xef\xbb\xbfid,body\r\n1,a\r\n\r\n2,b")
    assert found.ids == ["1", "2"]
    assert found.contents == ["a", "b"]
    assert found.places == ["rows.csv:2", "rows.csv:4"]


def test_quoted_fields_may_hold_lines_quotes_separators_and_nul(tmp_path: Path) -> None:
    found = read_csv(tmp_path, 'id,body\n1,"a\n\nb"\n2,"say ""x"", y"\n3,n\0ul\n')
    assert found.contents == ["a\n\nb", 'say "x", y', "n\0ul"]
    assert found.places == ["rows.csv:2", "rows.csv:5", "rows.csv:6"]
    assert not found.rejects


def test_a_file_without_header_tabs_or_quotes(tmp_path: Path) -> None:
    (tmp_path / "rows.tsv").write_text('1\t"a\tx\n2\tb"\ty\n')
    params = table.Params(
        path="rows.tsv", id="id", content="body", header=False, columns=["id", "body", "k"],
        keep=["k"], quote="",
    )  # fmt: skip
    found = everything(table.open(params, tmp_path, "text"))
    assert found.contents == ['"a', 'b"']
    assert found.places == ["rows.tsv:1", "rows.tsv:2"]


def test_gzip_is_read_by_its_name(tmp_path: Path) -> None:
    (tmp_path / "rows.csv.gz").write_bytes(gzip.compress(b"id,body\n1,a\n"))
    params = table.Params(path="*.csv.gz", id="id", content="body")
    assert everything(table.open(params, tmp_path, "text")).contents == ["a"]


@pytest.mark.parametrize(
    ("line", "reason", "known"),
    [
        (b"3", "1 fields, expected 2", "3"),
        (b"3,a,b", "3 fields, expected 2", "3"),
        (b'3,"a"b', "broken quoting", None),
        (b'3,"open', "broken quoting", None),
        (b"3,a\rb", "carriage return outside quotes", None),
        (b"3,caf\xe9", "invalid UTF-8", None),
        (b",text", "no id: column 'id' is blank", None),
        (b"  ,text", "no id: column 'id' is blank", None),
        (b"3,", "the content is null: no value in body", "3"),
        (b"3,\t ", "the content is empty: only whitespace", "3"),
    ],
)
def test_a_broken_row_is_rejected_alone(
    tmp_path: Path, line: bytes, reason: str, known: str | None
) -> None:
    found = read_csv(tmp_path, b"id,body\n1,a\n" + line + b"\n4,d\n5,e\n")
    assert found.ids == ["1", "4", "5"]
    assert found.places == ["rows.csv:2", "rows.csv:4", "rows.csv:5"]
    [reject] = found.rejects
    assert reject.place == "rows.csv:3"
    assert reject.record_id == known
    assert reason in reject.reason


def test_an_open_quote_does_not_swallow_what_follows(tmp_path: Path) -> None:
    rows = "".join(f"{i},text {i}\n" for i in range(3, 1000))
    found = read_csv(tmp_path, 'id,body\n1,a\n2,"open\n' + rows)
    assert len(found.records) == 998
    assert [reject.place for reject in found.rejects] == ["rows.csv:3"]


def test_an_open_quote_that_a_later_one_closes_is_caught_by_its_width(tmp_path: Path) -> None:
    found = read_csv(tmp_path, 'id,body\n"1,a\n2,b\n3,c\n4"\n5,e\n')
    assert found.ids == ["2", "3", "5"]
    assert found.refused.keys() == {"rows.csv:2", "rows.csv:5"}


def test_rows_after_a_break_may_take_several_lines_again(tmp_path: Path) -> None:
    found = read_csv(tmp_path, 'id,body\n1,"open\n2,b\n3,"two\nlines"\n4,d\n')
    assert found.ids == ["2", "3", "4"]
    assert found.contents == ["b", "two\nlines", "d"]
    assert found.refused.keys() == {"rows.csv:2"}


class Counted(_lines.Lines):
    """Counts how often a line is handed out."""

    handed_out = 0

    def __next__(self) -> str:
        self.handed_out += 1
        return super().__next__()


@pytest.mark.parametrize("end", [b"", b'b"\n', b'b"x\n', b"1,a\n"])
def test_a_file_of_open_quotes_is_not_read_to_its_end_for_each(end: bytes) -> None:
    # each line closes the quote of the one before and opens another
    n = 500
    lines = Counted(io.BytesIO(b'a","\n' * n + end))
    rows = list(_csv.split(lines, _csv.Dialect(), 2))
    assert len(rows) == n + bool(end)
    assert lines.handed_out < 5 * n


def test_bytes_that_are_no_utf8_reject_the_whole_row_not_its_first_line(tmp_path: Path) -> None:
    # its bounds are not in doubt, and its second line would pass for a record
    found = read_csv(tmp_path, b'id,body\n1,"caf\xe9\n2,b\n"\n3,c\n')
    assert found.ids == ["3"]
    assert found.refused == {"rows.csv:2": "invalid UTF-8; save the file as UTF-8"}


def test_a_row_beyond_the_limit_is_refused_and_a_large_one_is_not(tmp_path: Path) -> None:
    large = b"x" * (_lines.ROW_BYTES - 10)
    rows = [b"1," + large, b"2," + large * 2, b"3,c", b'4,"' + large, b"still open", b"5,e"]
    found = read_csv(tmp_path, b"\n".join([b"id,body", *rows]))
    assert found.ids == ["1", "3", "5"]
    assert "longer than 10 MiB" in found.refused["rows.csv:3"]
    assert "longer than 10 MiB" in found.refused["rows.csv:5"]
    assert found.refused["rows.csv:6"] == "1 fields, expected 2"


def test_a_value_that_does_not_fit_its_type_is_rejected(tmp_path: Path) -> None:
    rows = "".join(f"{i},text,{i}\n" for i in range(10_000))
    found = read_csv(tmp_path, "id,body,n\n" + rows + "x,text,12.5\n", keep=["n"])
    assert len(found.records) == 10_000
    [reject] = found.rejects
    assert reject.place == "rows.csv:10002"
    assert reject.record_id == "x"
    assert "column 'n' wants int, got '12.5'" in reject.reason


def test_event_times_are_read_and_others_rejected(tmp_path: Path) -> None:
    text = "id,body,t\n1,a,2024-01-31T12:00+02:00\n2,b,\n3,c,last week\n4,d,1706695200\n"
    found = read_csv(tmp_path, text, event_time="t")
    moment = datetime(2024, 1, 31, 10, tzinfo=UTC)
    assert found.records["event_time"].to_list() == [moment, None, moment]
    assert found.rejects == [
        Reject(
            "rows.csv:4",
            "the event time 'last week' in column 't' is neither an ISO 8601 date or time nor "
            "seconds or milliseconds since 1970",
            "3",
        )
    ]


def test_null_values_are_the_users(tmp_path: Path) -> None:
    text = "id,body,n,s\n1,?, ?,?\n2,b,3,\n"
    found = read_csv(tmp_path, text, keep=["n", "s"], null_values=["?"], content=["body", "s"])
    assert found.contents == ["b\n\n"]
    assert found.records["n"].to_list() == [3]
    assert found.records["s"].to_list() == [""]
    assert found.refused == {"rows.csv:2": "the content is null: no value in body, s"}


def test_chunks_are_cut_by_rows_and_by_size(tmp_path: Path) -> None:
    rows = "".join(f"{i},text\n" for i in range(2 * CHUNK_ROWS + 1))
    sizes = [len(chunk.records) for chunk in open_csv(tmp_path, "id,body\n" + rows).scan()]
    assert sizes == [CHUNK_ROWS, CHUNK_ROWS, 1]
    mebibyte = "x" * 2**20
    rows = "".join(f"{i},{mebibyte}\n" for i in range(40))
    sizes = [len(chunk.records) for chunk in open_csv(tmp_path, "id,body\n" + rows).scan()]
    assert sizes == [32, 8]


def test_a_file_that_vanishes_or_changes_after_opening_fails_the_scan(tmp_path: Path) -> None:
    source = open_csv(tmp_path, "id,body\n1,a\n")
    (tmp_path / "rows.csv").write_text("body,id\na,1\n")
    with pytest.raises(SourceError, match=r"rows\.csv changed while it was read; run again"):
        list(source.scan())
    (tmp_path / "rows.csv").unlink()
    with pytest.raises(SourceError, match=r"rows\.csv cannot be read to its end: .*No such file"):
        list(source.scan())


def test_a_damaged_archive_fails_the_scan(tmp_path: Path) -> None:
    rows = "".join(f"{i},{hash_text(str(i))}\n" for i in range(20_000))
    packed = gzip.compress(("id,body\n" + rows).encode())
    (tmp_path / "rows.csv.gz").write_bytes(packed[:-1000])
    params = table.Params(path="rows.csv.gz", id="id", content="body")
    source = table.open(params, tmp_path, "text")
    with pytest.raises(SourceError, match="cannot be read to its end"):
        list(source.scan())
