"""Every block of the README is run, in order, in a project like the one it describes."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from flows.cli import run_command
from flows.config.configuration import load
from flows.config.stores import Stores
from storage import query

README = Path(__file__).parent.parent / "README.md"
MAKEFILE = README.with_name("Makefile")
SET_UP = ["conf", "data", "news", "photos", "readings"]
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", README.read_text("utf-8"), re.MULTILINE | re.DOTALL)


def blocks(language: str) -> list[str]:
    return [text for name, text in BLOCKS if name == language]


def test_every_block_is_of_a_kind_that_is_run_here() -> None:
    assert {name for name, _ in BLOCKS} == {"bash", "toml", "sql", "python", "text"}


def test_a_result_stands_within_thirty_lines() -> None:
    first = "\n".join(README.read_text("utf-8").splitlines()[:30])
    assert "```text" in first


def commands() -> list[list[str]]:
    lines = [line for text in blocks("bash") for line in text.splitlines()]
    return [shlex.split(line, comments=True) for line in lines if line.strip()]


def test_make_targets_exist() -> None:
    targets = [words[1] for words in commands() if words[0] == "make"]
    assert targets == ["demo", "test"]
    for target in targets:
        assert re.search(rf"^{target}:", MAKEFILE.read_text("utf-8"), re.MULTILINE)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project as the README describes it: some news, some photographs, its configuration."""
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf/base.toml").write_text("\n".join(blocks("toml")), encoding="utf-8")
    (tmp_path / "news").mkdir()
    topics = ("bank rates", "football", "space flight", "elections")
    rows = ["id,title,body,published_at,label"]
    rows += [
        f"n{i},On {topics[i % 4]},A story about {topics[i % 4]} number {i},2026-01-0{i % 9 + 1},"
        f"{topics[i % 4]}"
        for i in range(60)
    ]
    (tmp_path / "news/january.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    (tmp_path / "readings").mkdir()
    read = [f"r{i % 20},n{(i % 4) + 4 * (i * i % 15)},{i % 3 + 1}" for i in range(400)]
    readings = "\n".join(["reader,article,times", *read]) + "\n"
    (tmp_path / "readings/2026.csv").write_text(readings, encoding="utf-8")
    rng = np.random.default_rng(0)
    for label in ("cat", "dog"):
        folder = tmp_path / "photos" / label
        folder.mkdir(parents=True)
        for i in range(8):
            pixels = rng.integers(0, 255, (32, 32, 3), np.uint8)
            Image.fromarray(pixels).save(folder / f"{i}.jpg")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.slow
def test_the_blocks_run(project: Path, capfd: pytest.CaptureFixture[str]) -> None:
    for words in commands():
        if words[0] != "vecmill":
            continue
        flows = {"run", "backfill"}
        arguments = [*words[1:], "--direct"] if words[1] in flows else words[1:]
        assert run_command(arguments) == 0, words
    assert "bank rates" in capfd.readouterr().out
    stores = Stores.of(load())
    with query.connect(stores.catalog, stores.vectors) as con:
        for statement in blocks("sql"):
            assert len(query.run(con, statement).fetchall()) == 5
    names: dict[str, object] = {}
    for source in blocks("python"):
        exec(source, names)  # noqa: S102 - the README's own example
    assert names["articles"].shape == (60, 3)  # type: ignore[attr-defined] # a polars DataFrame
    assert sorted(p.name for p in project.iterdir()) == SET_UP
