"""Every block of the pages on searching and SQL is run, in a project like the README's."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

import flows
from flows.cli import run_command

DOCS = Path(__file__).parent.parent / "docs"
CONF = """
[sources.news]
kind = "table"
path = "news.csv"
id = "id"
content = ["title", "body"]
event_time = "published_at"
keep = ["title", "label"]

[encoders.topics]
kind = "lsa"
dim = 8

[features.articles]
source = "news"
encoder = "topics"
"""
TOPICS = {
    "bank rates": "The central bank raises its rate while shares fall",
    "football": "The striker of the home side scores twice",
    "space flight": "A rocket leaves for the moon",
    "elections": "Voters choose a parliament",
}


def blocks(page: str, language: str) -> list[str]:
    text = (DOCS / f"{page}.md").read_text("utf-8")
    found = re.findall(r"^```(\w+)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    assert {name for name, _ in found} <= {"bash", "toml", "sql", "python"}
    return [block for name, block in found if name == language]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    rows = ["id,title,body,published_at,label"]
    for i in range(60):
        label, body = [*TOPICS.items()][i % 4]
        rows.append(f"n{i},On {label},{body} again {i},2026-01-0{i % 9 + 1},{label}")
    (tmp_path / "news.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    prices = "\n".join(["id,price", *(f"n{i},{i}" for i in range(60))])
    (tmp_path / "prices.csv").write_text(prices, encoding="utf-8")
    (tmp_path / "conf").mkdir()
    keys = "\n".join(blocks("search", "toml"))
    (tmp_path / "conf/base.toml").write_text(CONF + keys, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    assert run_command(["run", "--direct"]) == 0
    return tmp_path


@pytest.mark.usefixtures("project")
def test_the_commands_run(capfd: pytest.CaptureFixture[str]) -> None:
    lines = [line for block in blocks("search", "bash") for line in block.splitlines()]
    for words in (shlex.split(line, comments=True) for line in lines):
        assert run_command(words[1:]) == 0, words
    said = capfd.readouterr()
    assert re.search("build +the index of title", said.out)
    assert re.search("built +the index of title", said.out)
    assert '"fused"' in said.out


@pytest.mark.usefixtures("project")
def test_the_statements_and_the_program_run() -> None:
    with flows.connect() as session:
        for statement in blocks("sql", "sql"):
            assert len(session.sql(statement)) == 5, statement
    names: dict[str, object] = {}
    for source in blocks("sql", "python"):
        exec(source, names)  # noqa: S102 - the page's own example
    assert names["table"].num_rows == 60  # type: ignore[attr-defined] # an Arrow table
    assert names["frame"].height == 4  # type: ignore[attr-defined] # a Polars frame
    assert {*names["near"]["label"].to_pylist()} == {"bank rates"}  # type: ignore[index] # as above
