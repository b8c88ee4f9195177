"""The pages for the first hour: their commands are run, in order, on records like theirs.

What a page shows must be what the commands say, numbers aside: there are fewer records here. Of
what a search finds only the heading is compared.
"""

from __future__ import annotations

import ast
import csv
import re
import shlex
import sqlite3
import sysconfig
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

import flows
from flows.cli import run_command
from flows.demo import raw
from tests.conftest import REPOSITORY

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

PAGES = REPOSITORY / "docs" / "start"
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_FOUND = ("record_id", "rank")
"""How the tables of what was found begin."""


def write_rows(path: Path, rows: Sequence[Mapping[str, object]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)


def news(data: Path, n: int = 60) -> list[dict[str, str]]:
    with (data / "text" / "ag_news.csv").open(encoding="utf-8", newline="") as file:
        return [row for row, _ in zip(csv.DictReader(file), range(n), strict=False)]


def texts(data: Path) -> None:
    write_rows(Path("news.csv"), news(data))


def photographs(_: Path) -> None:
    from PIL import Image

    for name, pixels in raw.digits()[:200]:
        path = Path("digits") / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path)


def recordings(_: Path) -> None:
    import soundfile

    rng = np.random.default_rng(0)
    for name, timbre in raw.TIMBRES.items():
        folder = Path("notes") / name
        folder.mkdir(parents=True)
        for pitch in ("a4", "c4", "e4"):
            for take in range(3):
                sound = raw.note(timbre, raw.NOTES[pitch], rng)
                soundfile.write(folder / f"{pitch}_{take}.wav", sound, raw.SAMPLE_RATE)


def rows(_: Path) -> None:
    write_rows(Path("cells.csv"), raw.cells(np.random.default_rng(0))[:150])


def graphs(data: Path) -> None:
    def read(name: str) -> list[dict[str, str]]:
        with (data / "graph" / name).open(encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file))

    edges = read("cora_edges.csv")[:400]
    ends = {end for edge in edges for end in edge.values()}
    nodes = [node for node in read("cora_nodes.csv") if node["node"] in ends]
    write_rows(Path("papers.csv"), nodes)
    write_rows(Path("citations.csv"), edges)


def interactions(_: Path) -> None:
    """Which module of Python's library imports which other, and how often."""
    library = Path(sysconfig.get_path("stdlib"))
    found = []
    for path in [*sorted(library.glob("*.py")), *sorted(library.glob("*/*.py"))[:80]]:
        try:
            tree = ast.parse(path.read_text(encoding="utf-8"))
        except (SyntaxError, UnicodeDecodeError):  # what tests how Python refuses it
            continue
        name = ".".join(path.relative_to(library).with_suffix("").parts)
        counts = Counter(_imported(tree))
        found += [{"user": name, "item": m, "times": n} for m, n in sorted(counts.items())]
    write_rows(Path("imports.csv"), found)


def _imported(tree: ast.Module) -> Iterable[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.partition(".")[0]


def databases(data: Path) -> None:
    with sqlite3.connect("news.db") as con:
        con.execute("CREATE TABLE articles (id, section, title, body, updated_at)")
        times = (f"2026-01-{n % 28 + 1:02} 10:00:00" for n in range(1000))
        values = [(*row.values(), time) for row, time in zip(news(data), times, strict=False)]
        con.executemany("INSERT INTO articles VALUES (?, ?, ?, ?, ?)", values)
    con.close()


WRITERS = {
    function.__name__: function
    for function in (texts, photographs, recordings, rows, graphs, interactions, databases)
}
CARRIED = {"photographs", "recordings", "rows", "interactions"}
"""Pages whose records come with the installed packages."""


def test_there_is_a_page_for_each_kind() -> None:
    assert {page.stem for page in PAGES.glob("*.md")} == set(WRITERS)


def commands(block: str) -> list[list[str]]:
    lines = (shlex.split(line, comments=True) for line in block.splitlines())
    return [words for words in lines if words]


def plain(text: str) -> set[str]:
    """Lines without what differs from run to run: numbers, their units, the width of columns."""
    numbers = re.sub(r"\d[\d.,]*", "#", text)
    units = re.sub(r"# (ms|s|min|h|days?)\b( # (s|min|h)\b)?", "#", numbers)
    # Which clusters moved most is drawn by the run, as all chance is.
    moved = re.sub(r"(?<=the distribution moved: ).*", "", units)
    lines = re.sub(r"# (bytes?|kB|MB|GB)\b", "# bytes", moved).splitlines()
    return {" ".join(line.split()) for line in lines}


def follow(page: str, capfd: pytest.CaptureFixture[str], codes: Collection[int] = (0,)) -> None:
    """Run the commands of a page and hold what it shows against what they say.

    A block of Python changes the records; one of TOML is added to the configuration, where the
    feature then names its encoder.
    """
    said = ""
    names: dict[str, object] = {}
    for language, block in BLOCK.findall(page):
        if language == "bash":
            said = ""
            for words in commands(block):
                assert words[0] == "vecmill"
                direct = ["--direct"] if words[1] in {"run", "monitor"} else []
                capfd.readouterr()
                assert run_command([*words[1:], *direct]) in codes, words
                answer = capfd.readouterr()
                said += answer.out + answer.err
        elif language == "text":
            shown = block.splitlines()
            compared = shown[:1] if shown[0].startswith(_FOUND) else shown
            missing = plain("\n".join(compared)) - plain(said)
            assert not missing, said
        elif language == "python":
            exec(block, names)  # noqa: S102 - the page's own example
        elif language == "toml":
            conf = Path("conf/base.toml")
            before = conf.read_text("utf-8").replace('encoder = "minilm"', 'encoder = "words"')
            conf.write_text(f"{before}\n{block}", encoding="utf-8")


@pytest.mark.slow
@pytest.mark.realdata
@pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")  # as scripts leave them
def test_the_tutorial_is_true(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, data: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    write_rows(Path("archive.csv"), news(data, 1000))
    follow((REPOSITORY / "docs" / "tutorial.md").read_text("utf-8"), capfd, codes=(0, 3))
    with flows.connect() as session:
        standings = session.polars("SELECT version, reason FROM standings ORDER BY ALL")
    assert "it has to be cheap" in standings["reason"].to_list()


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=() if name in CARRIED else pytest.mark.realdata) for name in WRITERS],
)
def test_a_page_is_true(
    name: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
    capfd: pytest.CaptureFixture[str],
) -> None:
    data = Path() if name in CARRIED else request.getfixturevalue("data")
    page = (PAGES / f"{name}.md").read_text("utf-8")
    blocks = [block for language, block in BLOCK.findall(page) if language == "bash"]
    assert sum(len(commands(block)) for block in blocks) <= 10
    monkeypatch.chdir(tmp_path)
    write: Callable[[Path], None] = WRITERS[name]
    write(data)
    follow(page, capfd)
