"""What a person sees, and what a program gets instead."""

from __future__ import annotations

import io
import os
import pty
import re
import subprocess
import sys
from contextlib import suppress
from datetime import UTC, datetime

import pytest
from rich.console import Console

from flows.commands._words import show
from flows.output import console
from flows.output.voice import Voice, speaking
from tests.processes import ROOT

WIDE = "a reason that is far too long to stand beside anything else in eighty columns, " * 2


NAMES = {"articles": 420, "photos": 31}


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """Standard output as a terminal of 80 columns without colours."""
    text = io.StringIO()
    out = Console(file=text, force_terminal=True, width=80, highlight=False, no_color=True)
    monkeypatch.setattr(console, "out", out)
    return text


def plain(terminal: io.StringIO) -> list[str]:
    """What stands there in lines, without what makes it bold."""
    return [line.rstrip() for line in re.sub("\x1b[^m]*m", "", terminal.getvalue()).splitlines()]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, ""),
        (True, "yes"),
        (False, "no"),
        (0, "0"),
        (1234567, "1,234,567"),
        (0.0, "0"),
        (-1.192e-07, "0"),
        (0.123456, "0.1235"),
        (-999.99, "-1,000"),
        (12345.678, "12,346"),
        (float("nan"), "nan"),
        (float("inf"), "inf"),
        (datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), "2026-01-02 03:04 UTC"),
        ("a [b]", "a [b]"),
        (["a"], "['a']"),
    ],
)
def test_a_cell_is_what_a_person_reads(value: object, expected: str) -> None:
    assert console.cell(value) == expected


def test_what_is_measured_has_its_unit_and_what_records_hold_stays(
    capsys: pytest.CaptureFixture[str],
) -> None:
    rows = [{"seconds": 200.4, "vector_bytes": 1_234_567, "seconds_per_1000": 2.5}]
    columns = tuple(rows[0])
    console.table(rows, columns)
    head, row = capsys.readouterr().out.splitlines()
    assert head.split() == ["time", "vector_size", "seconds_per_1000"]
    assert row.split() == ["3", "min", "20", "s", "1.2", "MB", "2.5"]
    console.table(rows, columns, measured=False)
    head, row = capsys.readouterr().out.splitlines()
    assert (head.split(), row.split()) == ([*columns], ["200.4", "1,234,567", "2.5"])


def test_a_table_leaves_out_empty_columns(capsys: pytest.CaptureFixture[str]) -> None:
    rows = [{"a": 1, "b": 0, "c": None, "d": ""}, {"a": 20, "b": 0, "c": None, "d": "x"}]
    console.table(rows, ("a", "b", "c", "d", "e"))
    lines = [line.rstrip() for line in capsys.readouterr().out.splitlines()]
    assert lines == [" a  d", " 1", "20  x"]


def test_markup_in_a_record_is_shown_and_not_obeyed(capsys: pytest.CaptureFixture[str]) -> None:
    console.table([{"a": "[bold]x[/bold]", "b": "[/]"}], ("a", "b"))
    console.Lines().note("[red]hm[/red] [/]")
    got = capsys.readouterr()
    assert got.out.splitlines()[1].split() == ["[bold]x[/bold]", "[/]"]
    assert got.err == "[red]hm[/red] [/]\n"


def test_a_name_between_colons_is_no_picture(capsys: pytest.CaptureFixture[str]) -> None:
    console.table([{"id": "user:key:1", "n": 1}], ("id", "n"))
    console.listing([{"id": "a:heart:b", "why": "no :x: here"}], ("id",), "why")
    console.Lines().note("seen :eyes:")
    show("  in :fire:")
    got = capsys.readouterr()
    _, first, _, second, third = (line.split() for line in got.out.splitlines())
    assert first == ["user:key:1", "1"]
    assert second == ["a:heart:b", "no", ":x:", "here"]
    assert third == ["in", ":fire:"]
    assert got.err == "seen :eyes:\n"


def test_backslashes_at_the_end_of_a_cell_are_as_many_as_they_are(terminal: io.StringIO) -> None:
    for n in (1, 2, 3):
        end = "\\" * n
        console.table([{"a": f"x{end}", "b": f"y{end}"}], ("a", "b"))
        console.table([{"a": f"x{end}", "b": f"y{end}", "c": "z" * 90}], ("a", "c", "b"))
        console.listing([{"a": f"x{end}", "b": f"y{end}"}], ("a",), "b")
    found = [re.findall(r"\\+", line) for line in plain(terminal)]
    assert [[len(end) for end in ends] for ends in found if ends] == [
        row for n in (1, 2, 3) for row in ([n, n], [n, n], [n], [n])
    ]


@pytest.mark.parametrize("long", [WIDE, "word " * 4_000], ids=["sentence", "book"])
def test_a_pipe_gets_one_line_a_row_however_long(
    long: str, capsys: pytest.CaptureFixture[str]
) -> None:
    console.table([{"a": long}], ("a",))
    console.listing([{"a": 1, "b": long}], ("a",), "b")
    console.Lines().note(long)
    got = capsys.readouterr()
    lines = [line.split() for line in got.out.splitlines()]
    assert lines == [["a"], long.split(), ["a", "b"], ["1", *long.split()]]
    assert got.err.count("\n") == 1


def test_a_terminal_gets_what_is_long_below_its_row(terminal: io.StringIO) -> None:
    console.listing([{"a": "first", "b": None, "c": WIDE}], ("a", "b"), "c")
    head, *below = terminal.getvalue().splitlines()
    assert "first" in head
    assert all(line.startswith("    ") and len(line) <= 80 for line in below)
    assert " ".join(line.strip() for line in below) == WIDE.strip()


def test_a_sentence_that_is_set_in_stays_so_where_it_is_folded(terminal: io.StringIO) -> None:
    show(f"    kept: {WIDE}")
    lines = plain(terminal)
    assert len(lines) > 1
    assert all(line.startswith("    ") and len(line) <= 80 for line in lines)


def test_bars_follow_the_stages_and_leave_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    text = io.StringIO()
    err = Console(file=text, force_terminal=True, width=80, no_color=True, highlight=False)
    monkeypatch.setattr(console, "err", err)
    with console.reporting() as reporter:
        assert isinstance(reporter, console.Bars)
        reporter.advance(3)  # before any stage: nothing to move, nothing to break
        reporter.stage("notes", "encode", 10)
        reporter.advance(4)
        reporter.note("[waiting]")
        reporter.stage("notes", "commit", None)
        reporter.end()
        reporter.end()
    shown = text.getvalue()
    assert "notes: encode" in shown
    assert "[waiting]" in shown


def test_a_row_too_wide_for_the_terminal_becomes_lines(terminal: io.StringIO) -> None:
    rows = [{"feature": "notes", **{f"column_{i}": i * 1000 for i in range(9)}}]
    console.table(rows, tuple(rows[0]))
    head, *below = [line.rstrip() for line in terminal.getvalue().splitlines()]
    assert "notes" in head
    assert all(line.startswith("    ") and len(line) <= 80 for line in below)
    assert " ".join(below).split() == [
        word for i in range(1, 9) for word in ("column", str(i), f"{i * 1000:,}")
    ]


def test_what_is_the_same_in_each_row_is_said_once(terminal: io.StringIO) -> None:
    same = {"standing": "live", "last_status": "done", "place": "a" * 20}
    rows = [{"feature": name, **same, "rows": n, "note": name * 5} for name, n in NAMES.items()]
    console.table(rows, tuple(rows[0]))
    said, head, *below = plain(terminal)
    assert said == f"in each row: standing live  last status done  place {'a' * 20}"
    assert head.split() == ["feature", "rows", "note"]
    assert [line.split() for line in below] == [
        [name, str(n), name * 5] for name, n in NAMES.items()
    ]


def test_a_table_that_fits_says_everything_in_its_place(terminal: io.StringIO) -> None:
    console.table([{"a": 1, "b": "same"}, {"a": 2, "b": "same"}], ("a", "b"))
    assert " ".join(plain(terminal)).split() == ["a", "b", "1", "same", "2", "same"]


def test_a_last_column_that_is_long_is_folded_beside_the_others(terminal: io.StringIO) -> None:
    rows = [{"check": "disk", "state": "fine", "found": WIDE}, {"check": "a" * 20, "found": "x"}]
    console.table(rows, ("check", "state", "found"))
    lines = plain(terminal)
    assert max(map(len, lines)) <= 80
    [begin] = [line.index("a reason") for line in lines if line.startswith("disk")]
    folded = [line for line in lines[1:] if not line[0].strip()]
    assert len(folded) >= 2
    assert all(len(line) - len(line.lstrip()) == begin for line in folded)
    assert " ".join(line[begin:].strip() for line in lines[1:-1]) == WIDE.strip()


def test_a_row_of_long_texts_has_a_line_for_each(terminal: io.StringIO) -> None:
    rows = [
        {
            "record_id": f"r{i}",
            "distance": i / 8,
            "label": "ab"[i],
            "title": t,
            "body": f"{i} {WIDE}",
        }
        for i, t in enumerate(("short", "a title of more than some thirty-two letters"))
    ]
    console.table(rows, tuple(rows[0]), measured=False)
    lines = plain(terminal)
    assert "r0  distance 0  label a" in lines
    assert lines[lines.index("r0  distance 0  label a") + 1] == "    title short"
    assert "r1  distance 0.125  label b" in lines


def test_rows_that_go_by_a_number_say_what_it_is_of(terminal: io.StringIO) -> None:
    rows = [
        {"cluster": n, "size": 5 - n, "about": f"{n} {'word ' * 12}", "ids": f"{n}" * 50}
        for n in (0, 1)
    ]
    console.table(rows, tuple(rows[0]))
    lines = plain(terminal)
    assert lines[0] == "cluster 0  size 5"
    assert "cluster 1  size 4" in lines


def test_lines_tell_of_a_long_stage_now_and_then(capsys: pytest.CaptureFixture[str]) -> None:
    now = iter([0, 0, 10, 31, 40, 70])
    lines = console.Lines(30, lambda: next(now))
    lines.stage("notes", "encode", 2000)
    for _ in range(4):
        lines.advance(500)
    told = capsys.readouterr().err.splitlines()
    assert told == [
        "notes: encode: 1,000 of 2,000, 32/s, about 31 s left",
        "notes: encode: 2,000 of 2,000, 29/s",
    ]


def test_lines_tell_of_a_stage_that_counts_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    now = iter([0, 0, 20, 31, 62, 100, 140])
    lines = console.Lines(30, lambda: next(now))
    lines.look()  # of no stage there is nothing to tell
    lines.stage("notes", "find directions", None)
    for _ in range(3):
        lines.look()
    lines.stage("notes", "encode", 20)
    lines.advance(20)
    lines.look()  # all is counted: what takes so long now is something else
    told = capsys.readouterr().err.splitlines()
    assert told == [
        "notes: find directions: 31 s so far",
        "notes: find directions: 1 min 2 s so far",
        "notes: encode: 20 of 20, 30.0/min",
    ]


def test_lines_follow_no_stage(capsys: pytest.CaptureFixture[str]) -> None:
    with console.reporting() as reporter:
        assert isinstance(reporter, console.Lines)
        reporter.stage("notes", "encode", 10)
        reporter.advance(10)
        reporter.note("waiting")
    assert capsys.readouterr() == ("", "waiting\n")


def test_nothing_is_told_to_who_asked_for_quiet(capsys: pytest.CaptureFixture[str]) -> None:
    with speaking(Voice(quiet=True)), console.reporting() as reporter:
        reporter.stage("notes", "encode", 10)
        reporter.advance(10)
        reporter.note("waiting")
    assert capsys.readouterr() == ("", "")


@pytest.mark.slow
def test_a_terminal_sees_count_rate_and_time_left() -> None:
    """In a terminal of its own, since only that shows what is drawn there."""
    master, slave = pty.openpty()
    code = (
        "import time\nfrom flows.output.console import reporting\n"
        "with reporting() as told:\n"
        "    told.stage('notes', 'plan', None); told.advance(5); time.sleep(0.5)\n"
        "    told.stage('notes', 'encode', 4000)\n"
        "    for _ in range(8): told.advance(100); time.sleep(0.2)\n"
    )
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "100", "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(  # noqa: S603 - our own code
        [sys.executable, "-c", code], stderr=slave, env=environment
    )
    os.close(slave)
    seen = b""
    with suppress(OSError):  # how a terminal says that its other end is closed
        while block := os.read(master, 65536):
            seen += block
    os.close(master)
    assert process.wait() == 0
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", seen.decode())
    assert re.search(r"notes: plan .* 5 +.*so far", text)
    assert re.search(r"notes: encode .* [1-8]00 of 4,000 [\d,]+/s about \d+ s left", text)
