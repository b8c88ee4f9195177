"""Whatever stands in a file, reading it neither fails nor costs a good row its place."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

from hypothesis import example, given
from hypothesis import strategies as st

from tests.flows.sources.reading import Everything, read_csv, read_jsonl
from tests.fuzz.conftest import QUICK

LINE = st.binary(max_size=30).map(lambda raw: raw.replace(b"\n", b" "))
CSV_LINE = LINE | st.text('ab,"\r\x00 ', max_size=12).map(str.encode)
JSON_LINE = LINE | st.text('{}[]:",0 \\ue\t', max_size=12).map(str.encode)
WORD = st.text("abcdefgh", min_size=1, max_size=6)


def csv_row(number: int, word: str) -> bytes:
    text = f'"{word}"' if number % 2 else word
    return f"good{number},{text}".encode()


def json_row(number: int, word: str) -> bytes:
    return json.dumps({"id": f"good{number}", "body": word}).encode()


def pairs(found: Everything) -> set[tuple[str, str, str]]:
    """Place, id and content of the records."""
    return set(zip(found.places, found.ids, found.contents, strict=True))


@QUICK
@given(st.lists(WORD | CSV_LINE))
@example([b'x,"', "a", "b", b'"', "c"])
@example([b'"', "a", b'x"', "b"])
def test_csv_keeps_every_good_row_outside_broken_quotes(lines: list[str | bytes]) -> None:
    """A good row may only be lost between two bad lines that hold a quote.

    There it cannot be told from the inside of a quoted field; before the first such line and
    after the last, and in a file without them, every good row is there, in its place.
    """
    rows = [csv_row(i, x) if isinstance(x, str) else x for i, x in enumerate(lines)]
    quoted = [i for i, x in enumerate(lines) if isinstance(x, bytes) and b'"' in x]
    first, last = (quoted[0], quoted[-1]) if quoted else (len(rows), -1)
    expected = {
        (f"rows.csv:{i + 2}", f"good{i}", x)
        for i, x in enumerate(lines)
        if isinstance(x, str) and not first < i < last
    }
    with tempfile.TemporaryDirectory() as folder:
        found = read_csv(Path(folder), b"\n".join([b"id,body", *rows, b"end,end"]))
    assert expected <= pairs(found)
    assert "end" in found.ids
    if not quoted:
        # a carriage return at the end of a line belongs to its end
        filled = sum(bool(row.strip(b"\r")) for row in rows)
        assert len(found.records) + len(found.rejects) == filled + 1


@QUICK
@given(st.lists(WORD | JSON_LINE))
def test_jsonl_keeps_every_good_row(lines: list[str | bytes]) -> None:
    rows = [json_row(i, x) if isinstance(x, str) else x for i, x in enumerate(lines)]
    expected = {
        (f"rows.jsonl:{i + 2}", f"good{i}", x) for i, x in enumerate(lines) if isinstance(x, str)
    }
    with tempfile.TemporaryDirectory() as folder:
        found = read_jsonl(Path(folder), b"\n".join([json_row(-1, "start"), *rows]))
    assert expected <= pairs(found)
    filled = sum(bool(row.decode(errors="replace").strip()) for row in rows)
    assert len(found.records) + len(found.rejects) == filled + 1
