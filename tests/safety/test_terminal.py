"""Records cannot speak to the terminal: what it would obey is shown."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.cli import run_command
from flows.output import answers, console
from flows.output.visible import on_one_line, visible

if TYPE_CHECKING:
    from tests.flows.project import Project

TITLE = "\x1b]0;owned\x07"
CLEAR = "\x1b[2J\x9b31m"
MIRROR = "\u202egnp.exe"
OBEYED = ("\x1b", "\x07", "\x9b", "\u202e", "\r")


@pytest.fixture
def told(project: Project) -> Project:
    """A published feature and dead letters that try it in every column."""
    project.source = {
        "kind": "table", "path": "notes.jsonl", "id": "id", "content": "text", "keep": ["label"],
    }  # fmt: skip
    rows = [
        {"id": f"good{TITLE}\rx", "text": f"text {CLEAR}", "label": f"{MIRROR}{TITLE}\nnew row"},
        {"id": f"bad{CLEAR}", "text": f"FAIL {TITLE}{MIRROR}", "label": "x"},
        {"id": "other", "text": "other", "label": "y"},
    ]
    lines = [json.dumps(row) for row in rows] + [f"{{broken {CLEAR}{TITLE}".encode().decode()]
    (project.root / "notes.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    project.run()
    return project


@pytest.mark.parametrize(
    "arguments",
    [
        ["dead"],
        ["dead", "--json"],
        ["status"],
        ["search", "notes", "--id", "other"],
        ["search", "notes", "--id", "other", "--json"],
        ["search", "notes", "--id", f"nobody{TITLE}"],
        ["sql", "SELECT record_id, label FROM notes"],
        ["sql", f"SELECT {CLEAR}"],
        ["plan", f"nothing{TITLE}"],
    ],
)
def test_no_command_hands_them_on(
    told: Project, arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    run_command([*arguments, "--conf", str(told.root / "vecmill.toml")])
    printed = "".join(capsys.readouterr())
    assert printed.strip()
    assert [mark for mark in OBEYED if mark in printed] == []


def test_they_are_shown() -> None:
    assert visible(f"a{TITLE}\tb\nc") == "a\\x1b]0;owned\\x07\tb\nc"
    assert visible(MIRROR) == "\\u202egnp.exe"
    assert on_one_line("a\nb\tc") == "a\\nb\\tc"
    assert console.cell("x\r\ny") == "x\\r\\ny"


def test_notes_and_complaints_show_them(capsys: pytest.CaptureFixture[str]) -> None:
    answers.complain(f"no record {TITLE}")
    answers.say(CLEAR)
    console.Lines().note(MIRROR)
    printed = capsys.readouterr().err
    assert [mark for mark in OBEYED if mark in printed] == []
    assert "\\x1b]0;owned\\x07" in printed


@given(st.text())
def test_json_lines_stay_json(text: str) -> None:
    line = answers._as_json({"text": text})  # noqa: SLF001 - what is printed
    assert json.loads(line) == {"text": text}
    assert not any(ord(c) < 32 or 127 <= ord(c) < 160 for c in line)


@given(st.text(st.characters()))
def test_whatever_is_shown_can_be_printed(text: str) -> None:
    shown = visible(text)
    shown.encode()
    assert not any((ord(c) < 32 and c not in "\t\n") or 127 <= ord(c) < 160 for c in shown)
