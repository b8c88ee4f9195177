"""What is kept of files of text: found by words, shown, erased, and no reason to encode again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from flows.cli import run_command
from flows.engines.engine import Direct
from flows.lifecycle.lineage import lineage
from flows.output.progress import Silent
from flows.pipeline import stages
from flows.searching.asked import Asked, answer
from flows.upkeep.erase import Eraser
from tests.flows.chunked import cut
from tests.flows.shop import Heard

if TYPE_CHECKING:
    from tests.flows.project import Project

TEXTS = {
    "mill.txt": "The miller grinds\nrye and wheat at dawn",
    "sea.txt": "A boat goes out to the sea for herring",
    "hill.txt": "Sheep stand on the hill",
}


@pytest.fixture
def files(project: Project) -> Project:
    """Three files of text, of which the text is kept."""
    for name, text in TEXTS.items():
        (project.root / name).write_text(text, "utf-8")
    project.source = {"kind": "files", "path": "*.txt", "keep": ["text"]}
    return project


def by_words(project: Project, words: str) -> list[str]:
    found = answer(project.settings(), "notes", Asked({}, 10, words, "text"))
    return [str(name) for name in found["record_id"].to_pylist()]


def test_texts_are_kept_later_and_nothing_is_encoded_again(
    files: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    files.source = {"kind": "files", "path": "*.txt"}
    files.run()
    assert len(files.encoded()) == len(TEXTS)
    assert "text" not in files.rows()["sea.txt"]
    files.source = {**files.source, "keep": ["text"]}
    assert files.plan().counts.updated == len(TEXTS)
    counts = files.run().counts
    assert (counts.updated, counts.encoded, files.encoded()) == (len(TEXTS), 0, [])
    assert {name: row["text"] for name, row in files.rows().items()} == TEXTS
    assert by_words(files, "herring") == ["sea.txt"]
    conf = ["--conf", str(files.root / "vecmill.toml")]
    assert run_command(["search", "notes", "--text", "miller", *conf]) == 0
    assert "The miller grinds rye and wheat at dawn" in capsys.readouterr().out
    assert run_command(["lineage", "notes", "mill.txt", *conf]) == 0
    assert "kept: path mill.txt, text The miller grinds rye" in capsys.readouterr().out


def test_a_table_has_room_for_the_beginning_and_json_for_all(
    files: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    text = "a herring " * 100
    (files.root / "sea.txt").write_text(text, "utf-8")
    files.run()
    search = ["search", "notes", "--words", "herring", "--in", "text"]
    search += ["--conf", str(files.root / "vecmill.toml")]
    assert run_command(search) == 0
    assert capsys.readouterr().out.rstrip().endswith("herring …")
    assert run_command([*search, "--json"]) == 0
    assert text in capsys.readouterr().out


def test_beside_each_chunk_its_own_text_is_kept(files: Project) -> None:
    cut(files).run()
    rows = files.rows()
    assert [rows[f"sea.txt#{n}"]["text"] for n in range(3)] == [
        "A boat goes", "out to the", "sea for herring",
    ]  # fmt: skip
    assert by_words(files, "herring") == ["sea.txt#2"]
    traced = lineage(files.settings(), "notes", "sea.txt").traces[0].chunks
    assert [chunk.kept["text"] for chunk in traced] == [
        rows[f"sea.txt#{n}"]["text"] for n in range(3)
    ]


def test_what_is_cut_short_is_said_and_changes_no_vector(files: Project) -> None:
    files.run()
    files.encoded()
    whole = {name: row["vector"] for name, row in files.rows().items()}
    files.source = {**files.source, "keep_chars": 30}
    heard = Heard()
    stages.embed(files.settings(), "notes", Direct(), heard)
    [note] = [note for note in heard.notes if "keep_chars" in note]
    assert note.startswith(
        "notes: of 2 texts the first 30 characters are kept in the column 'text'"
    )
    rows = files.rows()
    assert {name: row["text"] for name, row in rows.items()} == {
        name: text[:30] for name, text in TEXTS.items()
    }
    assert files.encoded() == []
    assert {name: row["vector"] for name, row in rows.items()} == whole


def test_an_erased_text_is_in_no_file_of_the_store(files: Project) -> None:
    files.run()
    (files.root / "sea.txt").unlink()
    Eraser(files.settings(), "notes", ["sea.txt"]).erase(Silent())
    store = [file for file in (files.root / "data").rglob("*") if file.is_file()]
    assert not [file for file in store if b"herring" in file.read_bytes()]
    assert [file for file in store if b"Sheep stand" in file.read_bytes()]
