"""The SQL shell: statements over lines, commands, and errors that end a statement and no more."""

from __future__ import annotations

import io
import os
import pty
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import flows
from flows.searching.shell import Shell, cut, piped

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.flows.project import Project

ROOT = Path(__file__).parents[3]
TYPED = """
import sys
from flows.cli import main
from tests.flows.plugins import installed
with installed():
    main(["sql", "--conf", sys.argv[1]])
"""


@pytest.fixture
def session(project: Project) -> Iterator[flows.Session]:
    project.write([("a", "wheel", "x"), ("b", "grain", "y")])
    project.run()
    with flows.connect(project.settings().conf) as session:
        yield session


@pytest.fixture
def ask(session: flows.Session) -> Callable[..., tuple[int, list[object]]]:
    def ask(text: str, *, typed: bool = False) -> tuple[int, list[object]]:
        shown: list[object] = []

        def show(statement: str) -> None:
            shown.append(session.sql(statement).to_pylist())

        return Shell(session, show, piped(io.StringIO(text)), typed=typed).run(), shown

    return ask


@pytest.mark.parametrize(
    ("typed", "parts"),
    [
        ("SELECT 1;", (["SELECT 1;"], "")),
        ("SELECT\n1", ([], "SELECT\n1")),
        ("SELECT ';'", ([], "SELECT ';'")),
        ("SELECT 'a;", ([], "SELECT 'a;")),
        ("SELECT 1 -- ;\n", ([], "SELECT 1 -- ;\n")),
        ("SELECT 'ü'; SELECT $$;$$\n", (["SELECT 'ü';"], " SELECT $$;$$\n")),
        ("FROM a; FROM b;\n\n", (["FROM a;", "FROM b;"], "")),
        ("", ([], "")),
    ],
)
def test_a_semicolon_ends_a_statement_unless_it_is_a_part_of_one(
    typed: str, parts: tuple[list[str], str]
) -> None:
    assert cut(typed) == parts


def test_statements_may_take_lines_and_share_a_session(
    ask: Callable[..., tuple[int, list[object]]],
) -> None:
    text = (
        "CREATE TEMP TABLE t AS\nSELECT 3 AS n;\n\nSELECT n\nFROM t;\nSELECT record_id FROM notes"
    )
    code, shown = ask(f"{text} ORDER BY ALL")
    assert code == 0
    assert shown[1:] == [[{"n": 3}], [{"record_id": "a"}, {"record_id": "b"}]]


def test_commands_tell_what_there_is(
    ask: Callable[..., tuple[int, list[object]]], capsys: pytest.CaptureFixture[str]
) -> None:
    code, (tables, columns) = ask(".tables\n.schema notes\n.help\n.quit\nFROM nothing;\n")
    assert code == 0
    assert {"name": "notes"} in tables  # type: ignore[operator] # rows
    assert {"column_name": "vector", "column_type": "FLOAT[8]"} in columns  # type: ignore[operator] # rows
    assert ".refresh" in capsys.readouterr().out


def test_a_pipe_stops_at_the_first_error_and_a_person_goes_on(
    ask: Callable[..., tuple[int, list[object]]], capsys: pytest.CaptureFixture[str]
) -> None:
    text = "SELEC 1;\n.tabels\nSELECT 2 AS n;\n"
    assert ask(text) == (2, [])
    told = capsys.readouterr().err
    assert "statement 1 (SELEC 1;): Parser Error" in told
    assert "nothing was done before it" in told
    assert ask(text, typed=True) == (0, [[{"n": 2}]])
    assert "did you mean '.tables'" in capsys.readouterr().err


def test_a_script_that_fails_says_which_statement_and_what_was_done(
    ask: Callable[..., tuple[int, list[object]]], capsys: pytest.CaptureFixture[str]
) -> None:
    text = "SELECT 1 AS n; SELECT 2 AS n;\n-- more\n\nSELECT\n lable FROM notes;\nSELECT 3 AS n;\n"
    assert ask(text) == (2, [[{"n": 1}], [{"n": 2}]])
    told = capsys.readouterr().err
    assert "statement 3 (SELECT lable FROM notes;): there is no column 'lable'" in told
    assert "the 2 before it are done, and files that they wrote stay; nothing after it was" in told


def test_refresh_shows_what_was_published_since(
    project: Project, ask: Callable[..., tuple[int, list[object]]]
) -> None:
    project.write([("a", "wheel", "x")])
    project.run()
    statement = "SELECT count(*) AS n FROM notes;\n"
    assert ask(f"{statement}.refresh\n{statement}") == (0, [[{"n": 2}], [{"n": 1}]])


def test_a_run_goes_on_while_a_person_thinks(project: Project, session: flows.Session) -> None:
    project.engine = {"wait_seconds": 0.5}
    assert len(session.sql("FROM notes")) == 2
    project.write([("a", "wheel", "x"), ("b", "grain", "y"), ("c", "flour", "z")])
    assert project.run().counts.new == 1


@pytest.mark.usefixtures("session")
def test_it_is_typed_at_a_terminal(project: Project) -> None:
    ours, theirs = pty.openpty()
    environment = {
        **os.environ, "XDG_STATE_HOME": str(project.root), "PYTHONPATH": str(ROOT), "TERM": "dumb"
    }  # fmt: skip
    command = [sys.executable, "-c", TYPED, str(project.settings().conf)]
    shell = subprocess.Popen(  # noqa: S603 - our own command
        command, stdin=theirs, stdout=theirs, stderr=subprocess.PIPE, env=environment
    )
    os.close(theirs)
    os.write(ours, b"SELECT record_id\nFROM notes\nWHERE label = 'y';\nSELEC;\n.quit\n")
    _, err = shell.communicate(timeout=300)
    out = os.read(ours, 65_536)
    os.close(ours)
    assert shell.returncode == 0, err
    assert "│ b " in out.decode()
    assert "Parser Error" in err.decode()
    assert "FROM notes" in (project.root / "vecmill" / "sql_history").read_text("utf-8")
