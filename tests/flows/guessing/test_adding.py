"""Guesses written into configurations: commented, checked, and beside what is there."""

from __future__ import annotations

import tomllib
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from flows.config.conf_files import append
from flows.config.configuration import load
from flows.config.settings import SettingsError
from flows.guessing.adding import Standing, add, text_of
from flows.guessing.model import Coder, Guess, Line
from flows.guessing.writing import toml

if TYPE_CHECKING:
    from pathlib import Path

GUESS = Guess(
    name="news",
    what="news.csv: CSV, 60 rows",
    kind="table",
    modality="text",
    source=(
        Line("path", "news.csv"),
        Line("id", "id", "no value\ntwice"),
        Line("content", [f"a rather long name of a column, number {n}" for n in range(9)], "texts"),
        Line("header", value=True),
    ),
    encoder=Coder("topics", "lsa", (Line("dim", 8, "few"),), "learns"),
    feature=(Line("monitors", ["health"], "after each run"),),
)


def written(file: Path, *guesses: Guess) -> str:
    standing = Standing.of(file)
    add(standing, text_of(standing, guesses))
    return file.read_text("utf-8")


def test_a_new_configuration_is_commented_and_loads(tmp_path: Path) -> None:
    file = tmp_path / "conf" / "base.toml"
    text = written(file, GUESS)
    assert 'id = "id"                             # no value twice\n' in text
    assert "content = [  # texts\n  " in text
    feature = load(file).feature("news")
    assert (feature.encoder.kind, feature.source.params.id) == ("lsa", "id")
    assert load(file).root == tmp_path
    assert [path.name for path in file.parent.iterdir()] == ["base.toml"]


def test_what_is_there_stays_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / "base.toml"
    before = '# ours\n[encoders.topics]\nkind = "lsa" # as tried\ndim = 8\n\n[engine]\nworkers = 2'
    file.write_text(before)
    text = written(file, GUESS)
    assert text.startswith(f"{before}\n\n# news.csv")
    assert text.count("[encoders.topics") == 1, "the same encoder is there"
    assert "[store]" not in text
    other = replace(GUESS, name="more", encoder=Coder("topics", "lsa"))
    assert written(file, other).startswith(text)
    assert load(file).feature("more").encoder.name == "topics_2"


def test_what_is_read_already_is_seen(tmp_path: Path) -> None:
    file = tmp_path / "base.toml"
    written(file, GUESS)
    standing = Standing.of(file)
    assert standing.names == {"news"}
    assert standing.reading(GUESS) == "news"
    assert standing.reading(replace(GUESS, source=(Line("path", "other.csv"),))) is None


def test_nothing_is_written_that_does_not_load(tmp_path: Path) -> None:
    file = tmp_path / "conf" / "base.toml"
    bad = replace(GUESS, encoder=Coder("topics", "lsa", (Line("dimm", 8),)))
    with pytest.raises(SettingsError, match=r"unknown key 'dimm' in \[encoders.topics\]; did you"):
        written(file, bad)
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "conf").write_text("in the way")
    with pytest.raises(SettingsError, match=r"cannot write .*name another folder with --project"):
        written(tmp_path / "conf" / "base.toml", GUESS)


def test_appending_keeps_line_ends_and_refuses_what_it_would_break(tmp_path: Path) -> None:
    file = tmp_path / "base.toml"
    file.write_bytes(b"[engine]\r\nworkers = 2")
    append(file, "\n[gc]\nkeep_runs = 3\n")
    assert file.read_bytes() == b"[engine]\r\nworkers = 2\r\n\r\n[gc]\r\nkeep_runs = 3\r\n"
    file.write_text("sources = { a = { kind = 'table' } }\n")
    with pytest.raises(SettingsError, match=r"put these lines in yourself:\n\[sources\.b\]"):
        append(file, "[sources.b]\nkind = 'table'\n")
    assert file.read_text() == "sources = { a = { kind = 'table' } }\n"


def test_an_odd_path_is_written_so_that_it_is_read_as_it_is(tmp_path: Path) -> None:
    odd = replace(GUESS, source=(Line("path", 'a "b" ${HOME}\\c\x7f.csv'),))
    file = tmp_path / "base.toml"
    written(file, odd)
    assert load(file).feature("news").source.params.path == 'a "b" ${HOME}\\c\x7f.csv'


@pytest.mark.parametrize("value", [True, 7, "ä\t\x1f", ["a", "b"], {"age": "int"}])
def test_values_are_written_as_toml_reads_them(value: bool | str | list[str]) -> None:  # noqa: FBT001 - a value
    assert tomllib.loads(f"v = {toml(value)}") == {"v": value}
