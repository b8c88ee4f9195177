"""`vecmill init`: in a pipe, at a terminal, again, and over somebody's work."""

from __future__ import annotations

import json
import os
import pty
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from flows.cli import run_command
from flows.config.configuration import load
from flows.guessing.asking import LeftError, Terminal
from flows.guessing.looking import Looker
from flows.guessing.model import Guess, Wishes

if TYPE_CHECKING:
    from collections.abc import Iterator

CONF = Path("conf/base.toml")


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder with a table of texts and a folder of others in it."""
    monkeypatch.chdir(tmp_path)
    rows = [f"n{i},Story {i},A longer story of number {i},{'ab'[i % 2]}" for i in range(40)]
    text = "\n".join(["id,title,body,label", *rows]) + "\n"
    Path("news.csv").write_text(text, encoding="utf-8")
    Path("notes").mkdir()
    for i in range(3):
        Path(f"notes/{i}.txt").write_text(f"A note of number {i}", encoding="utf-8")
    return tmp_path


def test_in_a_pipe_it_takes_its_guesses_and_says_why(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(["init", "news.csv"]) == 0
    said = capsys.readouterr()
    assert "  id           id  (no value twice in the 40 rows seen)\n" in said.err
    assert "wrote conf/base.toml; every line may be edited\n" in said.err
    assert "news: 40 to encode into a new version, v1" in said.err
    assert said.out.split() == ["feature", "records", "new", "encoded", "news", "40", "40", "40"]
    assert said.err.endswith(
        "next:\n"
        "  vecmill run news\n"
        "  vecmill search news --text 'Story 0 A longer story of' -k 5\n"
        "  vecmill map news\n"
    )
    feature = load(CONF).feature("news")
    assert (feature.source.params.keep, feature.encoder.name) == (["label", "title"], "minilm")
    assert not Path("data").exists()


def test_what_holds_no_records_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    Path("bad.jsonl").write_text("{bad\n", encoding="utf-8")
    assert run_command(["init", "bad.jsonl"]) == 2
    assert "holds no JSON object" in capsys.readouterr().err
    assert not CONF.exists()


def test_again_it_adds_what_is_new_and_no_more(capsys: pytest.CaptureFixture[str]) -> None:
    run_command(["init", "news.csv"])
    before = CONF.read_text()
    assert run_command(["init", "news.csv"]) == 0
    assert "[sources.news] reads the same already" in capsys.readouterr().err
    assert CONF.read_text() == before
    assert run_command(["init", "news.csv", "--event-time", "id", "--encoder", "lsa"]) == 0
    assert "stays as it is; --event-time and --encoder changed nothing" in capsys.readouterr().err
    assert CONF.read_text() == before
    assert run_command(["init", "notes", "--name", "news"]) == 0
    assert CONF.read_text().startswith(before)
    assert set(load(CONF).features) == {"news", "news_2"}


def test_json_is_an_object_a_feature(capsys: pytest.CaptureFixture[str], project: Path) -> None:
    assert run_command(["init", "news.csv", "notes", "--json"]) == 0
    news, notes = map(json.loads, capsys.readouterr().out.splitlines())
    assert news["source"]["id"] == "id"
    assert news["reasons"]["id"] == "no value twice in the 40 rows seen"
    assert (news["plan"]["new"], notes["plan"]["new"]) == (40, 3)
    assert news["written"] == str(project / CONF)


def test_a_dry_run_prints_and_writes_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(["init", "news.csv", "--dry-run", "--id", "none", "--keep", "label"]) == 0
    text = capsys.readouterr().out
    assert not CONF.exists()
    CONF.parent.mkdir()
    CONF.write_text(text)
    params = load(CONF).feature("news").source.params
    assert (params.id, params.keep) == (None, ["label"])


def test_a_project_elsewhere_is_named_in_what_comes_next(
    capsys: pytest.CaptureFixture[str], project: Path
) -> None:
    assert run_command(["init", "news.csv", "--project", "new/one"]) == 0
    assert "  vecmill run news --conf new/one/conf/base.toml\n" in capsys.readouterr().err
    path = load(Path("new/one") / CONF).feature("news").source.params.path
    assert path == str(project / "news.csv")


def test_a_password_is_not_written_down(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from flows.guessing.databases import VARIABLE, hidden

    monkeypatch.setenv(VARIABLE, "")
    written, [note] = hidden("postgresql://me:s3cret!word@db.example/shop")
    assert written == "postgresql://me:${DB_PASSWORD}@db.example/shop"
    assert "export DB_PASSWORD" in note
    assert os.environ[VARIABLE] == "s3cret!word"
    assert hidden("postgresql://me@db.example/shop") == ("postgresql://me@db.example/shop", ())
    assert hidden("${DATABASE_URL}") == ("${DATABASE_URL}", ())
    assert run_command(["init", "postgresql://me:s3cret!word@127.0.0.1:9/shop"]) == 1
    assert "s3cret" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("url", "written"),
    [
        ("postgresql://db.example/shop?user=me&password=s3cret!word&sslmode=require",
         "postgresql://db.example/shop?user=me&password=${DB_PASSWORD}&sslmode=require"),
        ("postgresql://${USER:-me}:s3cret!word@db.example/shop",
         "postgresql://${USER:-me}:${DB_PASSWORD}@db.example/shop"),
        ("postgresql://me:${OTHER:-x}@db.example/shop", "postgresql://me:${OTHER:-x}@db.example/shop"),
        ("postgresql://me:s3cret!word@db.example/shop?sslpassword=another.word",
         "postgresql://me:${DB_PASSWORD_2}@db.example/shop?sslpassword=${DB_PASSWORD}"),
    ],
)  # fmt: skip
def test_no_password_is_written_down_wherever_it_stands(
    monkeypatch: pytest.MonkeyPatch, url: str, written: str
) -> None:
    from flows.guessing.databases import VARIABLE, hidden

    for name in (VARIABLE, f"{VARIABLE}_2"):
        monkeypatch.setenv(name, "")
    assert hidden(url)[0] == written


def test_a_variable_of_another_password_stays_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    from flows.guessing.databases import VARIABLE, hidden

    monkeypatch.setenv(VARIABLE, "of another database")
    monkeypatch.setenv(f"{VARIABLE}_2", "")
    for _ in range(2):  # as often as it is looked at
        written, [note] = hidden("postgresql://me:s3cret!word@db.example/shop")
        assert written == "postgresql://me:${DB_PASSWORD_2}@db.example/shop"
        assert "export DB_PASSWORD_2=" in note
    assert os.environ[VARIABLE] == "of another database"


def test_a_schema_of_somebody_elses_stays(capsys: pytest.CaptureFixture[str]) -> None:
    Path("schema.json").write_text('{"title": "of an interface"}')
    assert run_command(["init", "news.csv", "--conf", "vecmill.toml"]) == 0
    assert Path("schema.json").read_text() == '{"title": "of an interface"}'
    assert Path("vecmill.toml").read_text().startswith("#:schema vecmill.schema.json\n")
    assert run_command(["schema"]) == 0
    assert Path("vecmill.schema.json").read_text() in capsys.readouterr().out


def test_errors_lead_on(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(["plan"]) == 2
    assert "`vecmill init PATH` writes one for your records" in capsys.readouterr().err
    assert run_command(["init"]) == 0
    assert run_command(["plan"]) == 2
    assert "or let `vecmill init PATH` add one for your records" in capsys.readouterr().err
    assert run_command(["init", "nwes.csv"]) == 2
    assert "did you mean" in capsys.readouterr().err


def test_a_plan_that_would_fail_is_told_after_it_is_written(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with Path("news.csv").open("a") as news:
        news.write("broken\n" * 30)
    assert run_command(["init", "news.csv"]) == 1
    said = capsys.readouterr().err
    assert (
        "30 of the first 70 rows cannot be read and would be dead letters, such as news.csv" in said
    )
    assert "a run would fail: " in said
    assert said.endswith("mend what is said above in conf/base.toml, then `vecmill plan`\n")


# --- at a terminal --------------------------------------------------------------------------------


def at_terminal(answers: Iterator[str], *paths: str, **wishes: str) -> tuple[list[Guess], str]:
    """What is taken, and what is said, where somebody gives these answers."""
    lines: list[str] = []

    def ask(question: str) -> str:
        lines.append(question)
        answer = next(answers, None)
        if answer is None:
            raise EOFError
        return answer

    terminal = Terminal(lines.append, ask)
    said = Wishes(**wishes)  # type: ignore[arg-type] # fields of Wishes
    here = Path.cwd()

    def look(by: Wishes) -> list[Guess]:
        return Looker(here, here, (), by, lines.append, terminal.table).look(paths)

    return terminal.settled(look(said), said, look), "\n".join(lines)


def test_enter_takes_the_guess() -> None:
    [guess], said = at_terminal(iter([""]), "news.csv")
    assert guess.name == "news"
    assert "Enter writes this; or a key to change (name, id, content, keep, event_time" in said


def test_keys_are_changed_one_after_another() -> None:
    answers = ["content", "body", "id", "nope", "id", "none", "colour", "name", "Stories", "y"]
    [guess], said = at_terminal(iter(answers), "news.csv")
    keys = {line.key: line.value for line in guess.source}
    assert (guess.name, keys["content"], "id" in keys) == ("stories", "body", False)
    assert "there is no column 'nope'" in said
    assert "there is no key 'colour' to change here" in said


def test_parts_of_a_folder_are_taken_or_skipped() -> None:
    guesses, _ = at_terminal(iter(["s", ""]), "news.csv", "notes")
    assert [guess.name for guess in guesses] == ["notes"]


@pytest.mark.parametrize("answers", [["q"], [], ["id"]])
def test_whoever_leaves_writes_nothing(answers: list[str]) -> None:
    with pytest.raises(LeftError):
        at_terminal(iter(answers), "news.csv")


def test_the_table_of_a_database_is_asked_for() -> None:
    with sqlite3.connect("shop.db") as con:
        for name in ("products", "orders"):
            con.execute(f"CREATE TABLE {name} (id INTEGER, title TEXT)")
            con.execute(f"INSERT INTO {name} VALUES (1, 'A lamp of oak')")  # noqa: S608 - our own
    con.close()
    [guess], said = at_terminal(iter(["nope", "products", ""]), "shop.db", table=None)  # type: ignore[arg-type] # none yet
    assert guess.name == "products"
    assert "there is no table 'nope'" in said


@pytest.mark.slow
def test_a_real_terminal_asks() -> None:
    vecmill = Path(sys.executable).with_name("vecmill")
    terminal, theirs = pty.openpty()
    said = b""
    answers = iter([b"keep\n", b"none\n", b"\n"])
    with subprocess.Popen(  # noqa: S603 - our own script
        [vecmill, "init", "news.csv"], stdin=theirs, stdout=theirs, stderr=theirs
    ) as process:
        os.close(theirs)
        while part := _read(terminal):
            said += part
            if said.endswith((b"to leave: ", b"the guess: ")):
                os.write(terminal, next(answers))
    os.close(terminal)
    assert process.returncode == 0, said
    assert b"columns to store beside the vectors" in said
    assert load(CONF).feature("news").source.params.keep == []


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 4096)
    except OSError:  # how Linux says that a terminal is at its end
        return b""
