"""Paths that are looked at: files, folders, patterns, databases, and what cannot be taken in."""

from __future__ import annotations

import json
import os
import sqlite3
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest
from PIL import Image

from flows.guessing.looking import Looker, take_guess
from flows.guessing.model import Guess, GuessError, Wishes
from flows.guessing.telling import all_lines, lines
from flows.guessing.walking import walk

if TYPE_CHECKING:
    from pathlib import Path

NEWS = "id,title,body,published_at,label\n" + "".join(
    f"n{i},On topic {i % 9},A longer story about topic {i % 9} with number {i},"
    f"2026-01-{i % 28 + 1:02},{'ab'[i % 2]}\n"
    for i in range(60)
)


class Place:
    """A project folder, what is looked at from there, and what was said."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.notes: list[str] = []

    def write(self, name: str, text: str | bytes) -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return path

    def pictures(self, *names: str) -> None:
        for n, name in enumerate(names):
            path = self.root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (8, 8), (n, 0, 0)).save(path)

    def look(self, *paths: str, **wishes: Any) -> list[Guess]:  # noqa: ANN401 - fields of Wishes
        looker = Looker(self.root, self.root, (), Wishes(**wishes), self.notes.append, take_guess)
        return looker.look(paths)

    def one(self, *paths: str, **wishes: Any) -> tuple[Guess, dict[str, Any]]:  # noqa: ANN401 - as above
        [guess] = self.look(*paths, **wishes)
        return guess, {line.key: line.value for line in guess.source}


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def test_a_table_of_texts(place: Place) -> None:
    place.write("news.csv", NEWS)
    guess, keys = place.one("news.csv")
    assert keys == {
        "path": "news.csv",
        "id": "id",
        "content": ["title", "body"],
        "event_time": "published_at",
        "keep": ["label", "title"],
    }
    assert (guess.name, guess.kind, guess.encoder.kind) == ("news", "table", "sentence")
    assert guess.example == ("--text", "On topic 0 A longer story")


def test_what_is_said_stands_in_place_of_what_is_guessed(place: Place) -> None:
    place.write("news.csv", NEWS)
    guess, keys = place.one(
        "news.csv", id="", content=("body",), keep=(), event_time="", encoder="lsa", name="Stories"
    )
    assert keys == {"path": "news.csv", "content": "body"}
    assert (guess.name, guess.encoder.kind) == ("stories", "lsa")
    assert "without an id a record goes by its content" in guess.notes[0]
    with pytest.raises(GuessError, match=r"no column 'titel'; did you mean 'title'\?"):
        place.look("news.csv", content=("titel",))
    with pytest.raises(GuessError, match=r"no encoder 'lsi'; did you mean 'lsa'\?"):
        place.look("news.csv", encoder="lsi")
    with pytest.raises(GuessError, match=r"'vision' does not read text or tabular records; these"):
        place.look("news.csv", encoder="vision")


def test_what_is_to_be_known_of_several_tables_is_said_once(place: Place) -> None:
    place.write("b.csv", "x,y\n" + "".join(f"{i % 7},{i % 5}\n" for i in range(30)))
    place.write("c.csv", "u,v\n" + "".join(f"{i % 3},{i % 4}\n" for i in range(30)))
    guesses = [place.one(name)[0] for name in ("b.csv", "c.csv")]
    told = list(all_lines(guesses))
    [line] = [line for line in told if "without an id" in line]
    assert line.startswith("note on b, c: without an id a record goes by its content")
    alone = lines(guesses[0])[:-1]
    assert told[: len(alone)] == alone


def test_an_encoder_of_rows_makes_rows_of_them(place: Place) -> None:
    rows = [f"{i},A story about number {i} and what it means,{i % 7},{i % 5}\n" for i in range(40)]
    place.write("a.csv", "id,body,x,y\n" + "".join(rows))
    guess, keys = place.one("a.csv", encoder="pca")
    assert (guess.modality, keys["content"]) == ("tabular", ["x", "y"])


def test_a_table_without_a_header(place: Place) -> None:
    place.write("a.csv", "Paris,1,2.5\nRome,2,3.5\nOslo,3,1.5\nRome,2,3.5\n")
    _, keys = place.one("a.csv")
    assert (keys["header"], keys["columns"]) == (False, ["column_1", "column_2", "column_3"])


def test_semicolons_and_marks_for_no_value(place: Place) -> None:
    rows = "".join(f"{i % 7};{'?' if i % 9 == 0 else i % 5}\n" for i in range(30))
    place.write("b.csv", "x;y\n" + rows)
    _, keys = place.one("b.csv")
    assert (keys["separator"], keys["null_values"], keys["content"]) == (";", ["", "?"], ["x", "y"])


def test_a_text_file_is_a_text_a_line(place: Place) -> None:
    lines = [f'A "line" about, say; number {i}' for i in range(20)]
    place.write("words.txt", "\n".join(lines) + "\n")
    _, keys = place.one("words.txt")
    assert (keys["format"], keys["header"], keys["content"]) == ("csv", False, "text")
    assert keys["separator"] not in "".join(lines)


def test_json_lines_that_are_nested(place: Place) -> None:
    rows = [{"id": f"n{i}", "text": f"A story of {i} and more", "meta": {"n": i}} for i in range(9)]
    place.write("a.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    guess, keys = place.one("a.jsonl")
    assert (keys["id"], keys["content"]) == ("id", "text")
    assert "'meta' is nested" in guess.notes[0]


def test_parquet_with_pictures_in_it_says_what_to_do(place: Place) -> None:
    rows = pl.DataFrame(
        {"id": ["a", "b"], "image": [b"\xff\xd8\xff1", b"\xff\xd8\xff2"], "label": ["x", "y"]}
    )
    rows.write_parquet(place.root / "a.parquet")
    with pytest.raises(GuessError, match=r"'image' holds bytes.*write each to a file and take in"):
        place.look("a.parquet")
    rows.with_columns(caption=pl.lit("A photograph of two cats, nr ") + pl.col("id")).write_parquet(
        place.root / "b.parquet"
    )
    guess, keys = place.one("b.parquet")
    assert keys["content"] == "caption"
    assert "'image' holds bytes" in guess.notes[0]


def test_only_the_head_of_a_huge_file_is_read(place: Place) -> None:
    rows = "".join(f"{i},some words of text number {i}\n" for i in range(20_000))
    huge = place.write("huge.csv", f"id,text\n{rows}")
    os.truncate(huge, 200_000_000_000)  # to read them all would take minutes
    guess, _ = place.one("huge.csv")
    assert guess.what == "huge.csv: CSV, the first 8,192 rows seen, 2 columns"
    assert guess.size == 200_000_000_000


def test_interactions_and_graphs(place: Place) -> None:
    place.write(
        "plays.csv",
        "user,track,plays\n" + "".join(f"u{i % 9},t{i % 13},{i % 4}\n" for i in range(99)),
    )
    guess, keys = place.one("plays.csv")
    assert (guess.kind, keys["weight"], guess.encoder.kind) == ("interactions", "plays", "factors")
    guess, _ = place.one("plays.csv", content=("plays",))
    assert guess.kind == "table"
    place.write(
        "g/links.csv", "source,target\n" + "".join(f"{i},{(i * 7) % 20}\n" for i in range(20))
    )
    place.write("g/things.csv", "id,group\n" + "".join(f"{i},{'ab'[i % 2]}\n" for i in range(20)))
    for paths in (["g"], ["g/things.csv", "g/links.csv"], ["g/links.csv", "g/things.csv"]):
        guess, keys = place.one(*paths)
        assert (keys["nodes"], keys["edges"]) == ("g/things.csv", "g/links.csv")
        assert (keys["ends"], keys["keep"], keys["hops"]) == (["source", "target"], ["group"], 1)
        assert guess.encoder.kind == "node2vec"


def test_tables_of_the_same_columns_are_one_source(place: Place) -> None:
    for month in ("january", "february"):
        place.write(f"news/{month}.csv", NEWS)
    _, keys = place.one("news")
    assert keys["path"] == "news/*.csv"
    place.write("news/prices.csv", "x,y,z\n1,2,3\n1,3,4\n")
    guesses = place.look("news")
    paths = [guess.source[0].value for guess in guesses]
    assert paths == [["news/february.csv", "news/january.csv"], "news/prices.csv"]


def test_a_folder_of_photographs(place: Place) -> None:
    place.pictures(*(f"photos/{label}/{n}.png" for label in ("cat", "dog") for n in range(3)))
    guess, keys = place.one("photos")
    assert keys == {"path": "photos/**/*.png", "pattern": "{label}/{name}.png"}
    assert (guess.encoder.kind, guess.example) == ("vision", ("--image", "photos/cat/0.png"))
    _, keys = place.one("photos", pattern="{name}.png")
    assert keys["pattern"] == "{name}.png"
    with pytest.raises(GuessError, match="--content names a column, and these are files"):
        place.look("photos", content=("a",))


def test_a_file_that_lies_above_the_others_is_named(place: Place) -> None:
    names = [f"photos/{label}/{n}.png" for label in ("cat", "dog") for n in range(9)]
    place.pictures(*names, "photos/odd.png")
    guess, keys = place.one("photos")
    assert "pattern" not in keys
    assert guess.notes[0].startswith(
        "the paths have the form {label}/{name}.png, but for 1 of 19 files, such as odd.png: "
    )
    guess, keys = place.one("photos", pattern="{label}/{name}.png")
    assert (keys["pattern"], guess.notes) == ("{label}/{name}.png", ())
    place.pictures("photos/two.png", "photos/three.png")  # so many are no oversight
    assert place.one("photos")[0].notes == ()


def test_a_folder_of_texts_keeps_them(place: Place) -> None:
    for n in range(6):
        place.write(f"notes/{'ab'[n % 2]}/{n}.txt", f"A note of the number {n}")
    _, keys = place.one("notes")
    assert keys["keep"] == ["label", "name", "text"]
    _, keys = place.one("notes", pattern="{text}/{name}.txt")
    assert keys["keep"] == ["text", "name"]
    _, keys = place.one("notes", keep=())
    assert keys["keep"] == []
    with pytest.raises(GuessError, match=r"--keep txt: .* label, name, path, text; did you mean"):
        place.look("notes", keep=("txt",))


def test_an_encoder_with_a_key_that_cannot_be_guessed_is_told_how_to_be_named(place: Place) -> None:
    place.write("news.csv", NEWS)
    place.pictures("photos/a.png", "photos/b.png")
    told = r"'bert' wants 'model', which cannot be guessed: .*docs/encoders/bert\.md"
    with pytest.raises(GuessError, match=told):
        place.look("news.csv", encoder="bert")
    with pytest.raises(GuessError, match=r"'clip' wants 'model' and 'reads'.*docs/encoders/clip"):
        place.look("photos", encoder="clip")


def test_a_mixed_folder_is_a_feature_each(place: Place) -> None:
    place.pictures("mix/a.png", "mix/b.png")
    for n in range(3):
        place.write(f"mix/note {n}.txt", f"A note about the picture {n}")
    place.write("mix/film.mp4", b"\0\0\0\x18ftyp")
    place.write(
        "mix/sizes.csv",
        "id,height,width\n" + "".join(f"{n},{n * 7 % 9},{n * 5 % 8}\n" for n in range(30)),
    )
    guesses = {g.name: g for g in place.look("mix")}
    assert {n: g.encoder.kind for n, g in guesses.items()} == {
        "sizes": "tabular", "mix_texts": "sentence", "mix_images": "vision",
    }  # fmt: skip
    [note] = place.notes
    assert note.startswith("left out: 1 file ending in .mp4: take out frames as pictures or the")


def test_a_readme_among_photographs_is_no_source(place: Place) -> None:
    place.pictures(*(f"photos/{n}.png" for n in range(25)))
    place.write("photos/README.txt", "These are photographs")
    guess, _ = place.one("photos")
    assert guess.modality == "image"
    assert place.notes == ["left out: README.txt, since 25 others are no texts"]


def test_files_without_an_ending_are_known_by_their_bytes(place: Place) -> None:
    place.pictures("a.png")
    place.write("shots/one", (place.root / "a.png").read_bytes())
    guess, keys = place.one("shots")
    assert (guess.modality, keys["path"]) == ("image", ["shots/one"])


def test_a_pattern_is_taken_as_it_is(place: Place) -> None:
    place.write("news/a.csv", NEWS)
    place.write("news/b.csv", NEWS)
    guess, keys = place.one("news/*.csv")
    assert (guess.name, keys["path"], keys["id"]) == ("news", "news/*.csv", "id")
    assert guess.what.startswith("2 files, the first: ")
    with pytest.raises(GuessError, match=r"no file matches 'news/\*\.txt'; check it"):
        place.look("news/*.txt")


def test_what_lies_elsewhere_is_named_whole(
    place: Place, tmp_path_factory: pytest.TempPathFactory
) -> None:
    other = tmp_path_factory.mktemp("other")
    (other / "news.csv").write_text(NEWS)
    _, keys = place.one(str(other / "news.csv"))
    assert keys["path"] == str(other / "news.csv")


@pytest.fixture
def shop(place: Place) -> Place:
    with sqlite3.connect(place.root / "shop.db") as con:
        con.execute("CREATE TABLE logs (n INTEGER)")
        con.execute("CREATE TABLE products (id INTEGER, title TEXT, about TEXT, updated_at TEXT)")
        rows = [
            (i, f"Lamp {i}", f"A lamp of oak with {i} arms and a long cord", "2026-01-01 10:00:00")
            for i in range(30)
        ]
        con.executemany("INSERT INTO products VALUES (?, ?, ?, ?)", rows)
    con.close()
    return place


@pytest.mark.parametrize("path", ["shop.db", "sqlite:///shop.db"])
def test_a_database(shop: Place, path: str) -> None:
    guess, keys = shop.one(path)
    assert keys == {
        "url": "sqlite:///shop.db",
        "table": "products",
        "id": "id",
        "content": ["title", "about"],
        "event_time": "updated_at",
        "keep": ["title"],
        "cursor": "updated_at",
    }
    assert (guess.name, guess.kind) == ("products", "query")
    with pytest.raises(GuessError, match=r"no table 'product'; did you mean 'products'\?"):
        shop.look(path, table="product")
    guess, _ = shop.one(path, table="products")
    assert guess.source[1].why == ""


def test_a_folder_of_a_database_and_duckdb(shop: Place) -> None:
    import duckdb

    with duckdb.connect(str(shop.root / "deep.duckdb")) as con:
        con.execute(
            "CREATE TABLE notes AS SELECT i AS id, 'A note about the number ' || i AS note "
            "FROM range(30) t(i)"
        )
    assert {g.name for g in shop.look(".")} == {"products", "notes"}
    _, keys = shop.one("deep.duckdb")
    assert (keys["url"], keys["table"], keys["content"]) == (
        "duckdb:///deep.duckdb",
        "notes",
        "note",
    )


class TestRefused:
    def test_what_is_not_there(self, place: Place) -> None:
        place.write("news.csv", NEWS)
        with pytest.raises(GuessError, match=r"no nwes\.csv; did you mean news\.csv\?$"):
            place.look("nwes.csv")
        with pytest.raises(GuessError, match=r"no /.*; did you mean /.*/news\.csv\?$"):
            place.look(str(place.root / "nwes.csv"))
        with pytest.raises(
            GuessError, match=r"no far/off; .* has news\.csv \(`vecmill init --project"
        ):
            place.look("far/off")

    def test_an_empty_folder(self, place: Place) -> None:
        (place.root / "empty").mkdir()
        with pytest.raises(
            GuessError, match=r"no records in .*/empty; put some there, or write a st"
        ):
            place.look("empty")
        place.write("empty/.hidden", "x")
        with pytest.raises(GuessError, match="its hidden files are not looked at"):
            place.look("empty")

    @pytest.mark.parametrize(
        ("name", "data", "said"),
        [
            ("a.pdf", b"%PDF", "a.pdf is not read as it is: write the text of each to a .txt"),
            ("a.json", b"[]", "a.json is not read as it is: write an object a line"),
            ("a.bin", b"\0\1\2", "a.bin is in no format that is read here"),
            ("a.bin", b"", "a.bin is empty; put records there"),
            ("a.csv", b"", "a.csv is empty"),
            ("a.jsonl", b"{bad\n", "a.jsonl holds no JSON object in its first 1 lines"),
            ("a.csv", b"id,text\n", "has no rows that can be read; put records there"),
            ("a.csv", "id,text\n1,x\n".encode("utf-16"), "a.csv is UTF-16, and UTF-8 is what is"),
        ],
    )
    def test_files_that_are_not_read(self, place: Place, name: str, data: bytes, said: str) -> None:
        place.write(name, data)
        with pytest.raises(GuessError, match=said.replace(".", r"\.")):
            place.look(name)

    def test_addresses_that_are_not_read(self, place: Place) -> None:
        with pytest.raises(
            GuessError, match=r"https:// is not read: .*fetch the records to a folder"
        ):
            place.look("https://a.example/x.csv")

    @pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
    def test_a_file_that_may_not_be_read(self, place: Place) -> None:
        place.write("a.csv", NEWS).chmod(0)
        with pytest.raises(GuessError, match=r"a\.csv cannot be read: Permission denied"):
            place.look("a.csv")

    def test_many_tables_of_other_columns(self, place: Place) -> None:
        for n in range(9):
            place.write(f"t/{n}.csv", f"a{n},b\n1,2\n")
        with pytest.raises(
            GuessError, match=r"9 tables of other columns each: 0\.csv, .*name the one"
        ):
            place.look("t")


def test_one_large_folder_hides_no_other(tmp_path: Path) -> None:
    for folder, many in (("a", 100), ("z", 3)):
        (tmp_path / folder).mkdir()
        for n in range(many):
            (tmp_path / folder / f"{n:03}.txt").touch()
    walked = walk(tmp_path, most=40)
    assert not walked.whole
    assert {"z/000.txt", "z/001.txt", "z/002.txt"} <= {entry.inner for entry in walked.entries}
    assert len(walked.entries) == 13


def test_time_is_bounded(tmp_path: Path) -> None:
    for n in range(5):
        (tmp_path / f"d{n}").mkdir()
        (tmp_path / f"d{n}" / "a.txt").touch()
    ticks = iter(range(100))
    walked = walk(tmp_path, seconds=3, clock=lambda: float(next(ticks)))
    assert (len(walked.entries), walked.whole) == (3, False)


def test_columns_that_have_no_part_are_named(place: Place) -> None:
    titles = [f"The {n % 7} sides of a story that number {n} tells" for n in range(80)]
    writers = [f"{'ABCDEFG'[n % 7]}. Writer {n}" for n in range(80)]
    books = {"id": range(80), "title": titles, "authors": writers, "year": range(1900, 1980)}
    pl.DataFrame(books).write_csv(place.root / "books.csv")
    guess, keys = place.one("books.csv")
    assert keys["content"] == "title"
    named = {"id", "title", *keys.get("keep", ())}
    [note] = [note for note in guess.notes if note.startswith("not used: ")]
    assert {*note.removeprefix("not used: ").split(";")[0].split(", ")} == {*books} - named
    assert "year" in note
