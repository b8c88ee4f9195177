"""Separators and headers of files, what a file is, folders that tell something, and names."""

from __future__ import annotations

import pytest

from flows.guessing import kinds
from flows.guessing.folders import parts_of_names, pattern
from flows.guessing.layout import has_header, parsed, separator
from flows.guessing.media import paths
from flows.guessing.names import feature_name


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("a,b\n1,2\n3,4\n", ","),
        ("a;b\n1,5;2\n3,5;4\n", ";"),
        ("a\tb, c\n1\t2\n", "\t"),
        ("a|b|c\n1|2|3\n", "|"),
        ('a,b\n"x;y;z",1\n"p;q;r",2\n', ","),
        ("text\none, two\nthree\n", ","),
        ("", ","),
    ],
)
def test_the_separator_is_what_most_rows_agree_on(text: str, found: str) -> None:
    assert separator(text) == found


@pytest.mark.parametrize(
    ("text", "is_header"),
    [
        ("id,name\n1,a\n2,b\n", True),
        ("Bill Length (mm),Größe\n1,2\n", True),
        (",text\n0,a\n1,b\n", True),
        ("love,sex,6.77\ntiger,cat,7.35\n", False),
        ("Paris,France\nRome,Italy\nParis,Texas\n", False),
        ("A man is dancing on the table.,He dances\nB,C\n", False),
        ("x,x\n1,2\n", False),
    ],
)
def test_a_header_names_columns(text: str, is_header: bool) -> None:  # noqa: FBT001 - a parameter
    assert has_header(parsed(text, ",")) is is_header


def test_a_row_that_is_cut_off_is_no_row() -> None:
    assert parsed("a,b\n1,2\n3", ",") == [["a", "b"], ["1", "2"]]


@pytest.mark.parametrize(
    ("name", "sort"),
    [("a.JPG", "image"), ("b.csv.gz", "table"), ("c.tar.gz", None), ("d", None), ("e.wav", "audio"),
     ("f.md", "text"), ("g.duckdb", "duckdb")],
)  # fmt: skip
def test_endings_say_what_a_file_is(name: str, sort: str | None) -> None:
    assert kinds.by_name(name) == sort


@pytest.mark.parametrize(
    ("head", "sort"),
    [
        (b"\xff\xd8\xff\xe0", "image"),
        (b"RIFF\0\0\0\0WAVEfmt ", "audio"),
        (b"RIFF\0\0\0\0WEBPVP8 ", "image"),
        (b"SQLite format 3\0", "sqlite"),
        (b"PAR1", "table"),
        ("Grüße".encode(), "text"),
        (b"\x00\x01\x02", None),
        (b"\xe4\xf6\xfc\xdf" * 200, None),
        (b"", None),
    ],
)
def test_the_first_bytes_say_what_a_file_is(head: bytes, sort: str | None) -> None:
    assert kinds.by_bytes(head) == sort


@pytest.mark.parametrize(
    ("names", "found"),
    [
        (["cat/1.jpg", "cat/2.jpg", "dog/1.jpg"], "{label}/{name}.jpg"),
        (["cat/1.jpg", "cat/2.jpg", "dog/1.png"], "{label}/{name}"),
        (["train/cat/1.jpg", "train/dog/1.jpg", "test/cat/9.jpg"], "{split}/{label}/{name}.jpg"),
        (["train/1.wav", "train/2.wav", "test/1.wav"], "{split}/{name}.wav"),
        (["a/b/1.jpg", "a/c/1.jpg", "a/c/2.jpg"], "{label}/{name}.jpg"),
        (["a/b/1.jpg", "a/c/1.jpg", "d/c/2.jpg"], "{group}/{label}/{name}.jpg"),
        (["1.jpg", "2.jpg"], None),
        (["cat/1.jpg", "2.jpg"], None),
        (["cat/1.jpg", "cat/2.jpg"], None),
        (["a/1.jpg", "b/1.jpg"], None),
    ],
)
def test_folders_tell_something_where_they_do_for_all(names: list[str], found: str | None) -> None:
    assert pattern(names) == found


def test_parts_of_names_count_where_one_makes_groups() -> None:
    assert parts_of_names(["0_ann_1.wav", "0_bob_2.wav", "1_ann_3.wav", "1_bob_4.wav"]) == 3
    assert parts_of_names(["a-1.wav", "b-2.wav", "c-3.wav"]) == 1
    assert parts_of_names(["a_1.wav", "a_1_2.wav"]) == 1


@pytest.mark.parametrize(
    ("folder", "names", "found"),
    [
        ("photos", ["a.jpg"], "photos/*.jpg"),
        ("photos", ["x/a.jpg", "b.JPG"], ["photos/**/*.JPG", "photos/**/*.jpg"]),
        ("", ["a.txt"], "*.txt"),
        ("a [1]", ["b.csv.gz"], "a [[]1]/*.csv.gz"),
        ("s3://bucket", ["x/a.jpg"], "s3://bucket/**/*.jpg"),
        ("/", ["a.txt"], "/*.txt"),
    ],
)
def test_patterns_name_the_files(folder: str, names: list[str], found: str | list[str]) -> None:
    assert paths(folder, names) == found


@pytest.mark.parametrize(
    ("stem", "name"),
    [
        ("My Photos", "my_photos"),
        ("2024", "records_2024"),
        ("news_v2", "news"),
        ("order", "order_records"),
        ("runs", "runs_records"),
        ("Größe", "gre"),
        ("___", "records"),
        ("used", "used_2"),
    ],
)
def test_names_are_what_sql_allows(stem: str, name: str) -> None:
    assert feature_name(stem, {"used"}) == name
