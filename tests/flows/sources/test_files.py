"""Files as records: what is read, what is refused with its place, and what is left alone."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest

from flows.sources import files
from flows.sources._params import ParamError
from flows.sources.base import SourceError, SourceUsageError
from storage.ids import hash_bytes, hash_text
from tests.flows.sources.reading import read_files

if TYPE_CHECKING:
    from pathlib import Path

    from flows.sources.base import Modality


def write(root: Path, **contents: bytes) -> None:
    """Write files; a double underscore in a name stands for a slash, a last one for a dot."""
    for name, content in contents.items():
        path = root / ".".join(name.replace("__", "/").rsplit("_", 1))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def test_media_are_paths_with_the_hash_of_their_bytes(tmp_path: Path) -> None:
    content = bytes(range(256)) * 2000
    write(tmp_path, set__cat__1_jpg=content, set__dog__1_jpg=b"d")
    found = read_files(tmp_path, "image", path="set/*/*.jpg")
    assert found.ids == ["cat/1.jpg", "dog/1.jpg"]
    assert found.contents == [str(tmp_path / "set/cat/1.jpg"), str(tmp_path / "set/dog/1.jpg")]
    assert found.records["content_hash"].to_list() == [hash_bytes(content), hash_bytes(b"d")]
    assert found.records["path"].to_list() == ["set/cat/1.jpg", "set/dog/1.jpg"]
    assert found.places == ["set/cat/1.jpg", "set/dog/1.jpg"]


def test_texts_are_read(tmp_path: Path) -> None:
    write(
        tmp_path,
        a_txt=b"\xef\xbb\xbfcaf\xc3\xa9\r\n",
        b_txt=b" \n",
        c_txt=b"caf\xe9",
        d_txt=b"x" * 9,
    )
    found = read_files(tmp_path, "text", path="*.txt", max_bytes=8 + 2)
    assert found.contents == ["caf\u00e9\r\n", "x" * 9]
    assert found.records["content_hash"][0] == hash_text("caf\u00e9\r\n")
    assert found.refused == {
        "b.txt": "the text is blank: only whitespace",
        "c.txt": "invalid UTF-8 at byte 3; save the file as UTF-8",
    }


def test_the_beginning_of_texts_is_kept_as_the_last_column(tmp_path: Path) -> None:
    write(tmp_path, one__a_txt="caf\u00e9 au lait".encode(), two__b_txt=b"tea")
    keys: dict[str, Any] = {"path": "**/*.txt", "pattern": "{label}/{name}.txt"}
    found = read_files(tmp_path, "text", **keys, keep=["text", "label"], keep_chars=4)
    assert found.records.columns[5:] == ["label", "path", "text"]
    assert found.records["text"].to_list() == ["caf\u00e9", "tea"]
    assert found.contents == ["caf\u00e9 au lait", "tea"]
    assert "text" not in read_files(tmp_path, "text", **keys).records.columns
    called = read_files(tmp_path, "text", path="**/*.txt", pattern="{text}/{n}.txt", keep=["text"])
    assert called.records["text"].to_list() == ["one", "two"]
    with pytest.raises(SourceUsageError, match=r"keep names 'text'.*these are files of image"):
        read_files(tmp_path, "image", path="**/*.txt", keep=["text"])


def test_a_text_that_is_too_large_is_rejected(tmp_path: Path) -> None:
    write(tmp_path, a_txt=b"x" * 10, b_txt=b"x" * 11)
    found = read_files(tmp_path, "text", path="*.txt", max_bytes=10)
    assert found.ids == ["a.txt"]
    assert found.refused == {"b.txt": "larger than max_bytes = 10; split it, or raise max_bytes"}


def test_fields_are_read_from_the_end_of_the_path(tmp_path: Path) -> None:
    write(tmp_path, day__0_anna_7_wav=b"a", day__1_bob_x_2_wav=b"b", day__nine_wav=b"c")
    found = read_files(
        tmp_path, "audio", path="day/*.wav", pattern="{digit}_{speaker}_{take}.wav",
        keep=["take", "digit"], types={"digit": "int"}, id="{speaker}-{take}",
    )  # fmt: skip
    assert found.ids == ["anna-7", "bob-x_2"]
    assert found.records.columns[5:] == ["take", "digit", "path"]
    assert found.records["digit"].to_list() == [0, 1]
    assert found.records["take"].to_list() == ["7", "x_2"]
    assert found.refused == {
        "day/nine.wav": "the path does not match pattern '{digit}_{speaker}_{take}.wav'"
    }


def test_a_field_may_take_a_folder_that_the_path_names(tmp_path: Path) -> None:
    write(tmp_path, train__cat__1_jpg=b"a", test__dog__2_jpg=b"b")
    found = read_files(
        tmp_path, "image", path=["train/*/*.jpg", "test/*/*.jpg"], pattern="{split}/{label}/{n}.jpg"
    )
    assert found.records["split"].to_list() == ["test", "train"]


@pytest.mark.parametrize(
    ("path", "pattern"),
    [
        ("**/*.jpg", "{label}/{name}.jpg"),  # the folder of the project
        ("*.jpg", "{label}/{name}.jpg"),  # the same, by a fixed depth
        ("photos/**/*.jpg", "{label}/{name}.jpg"),  # the folder before the wildcards
    ],
)
def test_a_field_takes_no_folder_above_what_is_sought(
    tmp_path: Path, path: str, pattern: str
) -> None:
    write(tmp_path, one_jpg=b"a", photos__two_jpg=b"b", photos__cat__three_jpg=b"c")
    found = read_files(tmp_path, "image", path=path, pattern=pattern)
    stray = "one.jpg" if "photos" not in path else "photos/two.jpg"
    assert found.refused[stray] == f"the path does not match pattern {pattern!r}"
    assert tmp_path.name not in found.records["label"].to_list()


def test_the_text_of_a_pattern_may_stand_in_the_folders_before(tmp_path: Path) -> None:
    write(tmp_path, photos__cat__1_jpg=b"a")
    found = read_files(
        tmp_path, "image", path="photos/**/*.jpg", pattern="photos/{label}/{name}.jpg"
    )
    assert found.records.select("label", "name").row(0) == ("cat", "1")


def test_a_field_may_be_the_path_or_the_event_time(tmp_path: Path) -> None:
    write(tmp_path, **{"2024-01-31__a_txt": b"a", "never__b_txt": b"b"})
    found = read_files(
        tmp_path, "text", path="*/*.txt", pattern="{day}/{path}.txt", event_time="day"
    )
    assert found.records["path"].to_list() == ["a"]
    assert found.records["event_time"].to_list() == [datetime(2024, 1, 31, tzinfo=UTC)]
    assert found.refused == {"never/b.txt": "field 'event_time' wants datetime, got 'never'"}


def test_the_time_of_change_may_be_the_event_time(tmp_path: Path) -> None:
    write(tmp_path, a_txt=b"a")
    os.utime(tmp_path / "a.txt", ns=(0, 1_706_659_200_123_456_000))
    found = read_files(tmp_path, "text", path="a.txt", event_time="mtime")
    moment = datetime(2024, 1, 31, 0, 0, 0, 123_456, tzinfo=UTC)
    assert found.records["event_time"].to_list() == [moment]


def test_a_field_of_another_type_is_rejected_with_its_id(tmp_path: Path) -> None:
    write(tmp_path, x_txt=b"a", n7_txt=b"b")
    found = read_files(
        tmp_path, "text", path="*.txt", pattern="n{n}.txt", types={"n": "int"}, keep=["n"]
    )
    assert found.records["n"].to_list() == [7]
    write(tmp_path, nx_txt=b"c")
    found = read_files(
        tmp_path, "text", path="n*.txt", pattern="n{n}.txt", types={"n": "int"}, keep=["n"]
    )
    [reject] = found.rejects
    assert (reject.place, reject.record_id) == ("nx.txt", "nx.txt")
    assert reject.reason == "field 'n' wants int, got 'x'"


def test_what_cannot_be_read_is_rejected_and_not_passed_over(tmp_path: Path) -> None:
    write(tmp_path, good_jpg=b"g", empty_jpg=b"", real__a_jpg=b"r")
    (tmp_path / "folder.jpg").mkdir()
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "gone.jpg").symlink_to("nowhere")
    (tmp_path / "loop.jpg").symlink_to("loop.jpg")
    (tmp_path / "link.jpg").symlink_to("real")
    (tmp_path / "inside.jpg").symlink_to("real/a.jpg")
    found = read_files(tmp_path, "image", path="*.jpg")
    assert found.ids == ["good.jpg", "inside.jpg"]
    assert found.refused == {
        "empty.jpg": "the file is empty: 0 bytes",
        "folder.jpg": "is a folder, not a file",
        "gone.jpg": "cannot be read: No such file or directory",
        "link.jpg": "is a link to a folder, which is not followed",
        "loop.jpg": "cannot be read: Too many levels of symbolic links",
        "pipe.jpg": "not a plain file",
    }
    assert {reject.record_id for reject in found.rejects} == set(found.refused)


def test_a_file_that_may_not_be_read_is_rejected(tmp_path: Path) -> None:
    write(tmp_path, a_txt=b"a", b_txt=b"b")
    (tmp_path / "a.txt").chmod(0)
    if os.access(tmp_path / "a.txt", os.R_OK):
        pytest.skip("this user may read every file")
    found = read_files(tmp_path, "text", path="*.txt")
    assert found.ids == ["b.txt"]
    assert found.refused == {"a.txt": "cannot be read: Permission denied"}


def test_a_link_that_leads_out_is_rejected_unless_it_is_asked_for(tmp_path: Path) -> None:
    write(tmp_path, secret_txt=b"secret", data__a_txt=b"a")
    (tmp_path / "data/b.txt").symlink_to("../secret.txt")
    found = read_files(tmp_path, "text", path="data/*.txt")
    assert found.contents == ["a"]
    assert "a link that leads out of" in found.refused["data/b.txt"]
    followed = read_files(tmp_path, "text", path="data/*.txt", follow_links=True)
    assert followed.contents == ["a", "secret"]


def test_links_to_folders_do_not_lead_in_circles(tmp_path: Path) -> None:
    write(tmp_path, a__b__x_txt=b"x")
    (tmp_path / "a/b/up").symlink_to("..")
    found = read_files(tmp_path, "text", path="**/*.txt")
    assert found.ids == ["a/b/x.txt"]
    assert found.refused == {"a/b/up": "is a link to a folder, which is not followed"}


def test_a_name_that_is_no_utf8_is_rejected(tmp_path: Path) -> None:
    write(tmp_path, a_txt=b"a")
    with open(os.fsencode(tmp_path) + b"/caf\xe9.txt", "wb") as file:  # noqa: PTH123 - a Path cannot hold it
        file.write(b"b")
    found = read_files(tmp_path, "text", path="*.txt")
    assert found.ids == ["a.txt"]
    assert found.refused == {"caf\\xe9.txt": "the name is not UTF-8; rename the file"}


def test_hidden_files_are_passed_over_unless_they_are_named(tmp_path: Path) -> None:
    write(tmp_path, **{".git__a_txt": b"a", "b__.c_txt": b"c", "b__d_txt": b"d"})
    assert read_files(tmp_path, "text", path="**/*.txt").ids == ["b/d.txt"]
    assert read_files(tmp_path, "text", path="b/.*.txt").ids == [".c.txt"]
    assert read_files(tmp_path, "text", path=".git/*.txt").ids == ["a.txt"]


def test_two_stars_match_at_any_depth_and_each_file_once(tmp_path: Path) -> None:
    write(tmp_path, x_txt=b"1", a__x_txt=b"2", a__b__x_txt=b"3", a__b__y_txt=b"4")
    expected = ["a/b/x.txt", "a/x.txt", "x.txt"]
    assert read_files(tmp_path, "text", path="**/x.txt").ids == expected
    assert read_files(tmp_path, "text", path="**/**/x.txt").ids == expected
    assert read_files(tmp_path, "text", path="**").ids == sorted([*expected, "a/b/y.txt"])
    assert read_files(tmp_path, "text", path=["**/x.txt", "*.txt"]).ids == expected
    assert read_files(tmp_path, "text", path="a/**/x.txt").ids == ["b/x.txt", "x.txt"]


def test_a_name_with_brackets_is_taken_as_it_stands_where_it_exists(tmp_path: Path) -> None:
    write(tmp_path, **{"a[1]_txt": b"a", "a1_txt": b"b"})
    assert read_files(tmp_path, "text", path="a[1].txt").contents == ["a"]
    assert read_files(tmp_path, "text", path="a[0-9].txt").contents == ["b"]


def test_files_outside_the_root_have_absolute_names(tmp_path: Path) -> None:
    write(tmp_path, data__a_txt=b"a")
    (tmp_path / "root").mkdir()
    found = read_files(tmp_path / "root", "text", path="../data/*.txt")
    assert found.places == [str(tmp_path / "data/a.txt")]
    assert found.ids == ["a.txt"]


def test_a_file_that_vanishes_during_the_scan_is_rejected(tmp_path: Path) -> None:
    n = files.CHUNK_FILES + 1
    for i in range(n):
        (tmp_path / f"{i:04}.bin").write_bytes(b"x")
    source = files.open(files.Params(path="*.bin"), tmp_path, "image")
    scan = source.scan()
    assert len(next(scan).records) == files.CHUNK_FILES
    (tmp_path / f"{n - 1:04}.bin").unlink()
    [last] = scan
    assert len(last.records) == 0
    assert last.records.schema["path"] == pl.String
    assert [reject.reason for reject in last.rejects] == [
        "cannot be read: No such file or directory"
    ]


def test_large_texts_are_handed_on_in_smaller_chunks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "CHUNK_BYTES", 10)
    write(tmp_path, a_txt=b"x" * 6, b_txt=b"x" * 4, c_txt=b"x", d_txt=b"x" * 50, e_txt=b"x")
    source = files.open(files.Params(path="*.txt"), tmp_path, "text")
    assert [chunk.records["record_id"].to_list() for chunk in source.scan()] == [
        ["a.txt", "b.txt"], ["c.txt"], ["d.txt"], ["e.txt"],
    ]  # fmt: skip


def test_nothing_that_matches_is_an_error_now_or_later(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"no file matches '\*\.txt' in [^:]*; check"):
        files.open(files.Params(path="*.txt"), tmp_path, "text")
    write(tmp_path, a_txt=b"a")
    source = files.open(files.Params(path="*.txt"), tmp_path, "text")
    (tmp_path / "a.txt").unlink()
    with pytest.raises(SourceError, match="no file matches"):
        list(source.scan())


def test_tables_are_sent_to_the_table_source(tmp_path: Path) -> None:
    modality: Modality = "tabular"
    with pytest.raises(SourceError, match="not tabular; use one of kind 'table'"):
        files.open(files.Params(path="*"), tmp_path, modality)


@pytest.mark.parametrize(
    ("params", "reason"),
    [
        ({"path": []}, "path must name at least one file"),
        ({"max_bytes": 0}, "max_bytes must be at least 1, got 0"),
        ({"keep": ["text"], "keep_chars": 0}, "keep_chars must be at least 1, got 0; leave 'text'"),
        ({"pattern": "{a}/{b.jpg"}, "a brace without its partner"),
        ({"pattern": "{{a}}"}, "a brace without its partner"),
        ({"pattern": "a.jpg"}, "has no field; write one as {label}"),
        ({"pattern": "{}.jpg"}, "a field is a plain name"),
        ({"pattern": "{a:03d}.jpg"}, "a field is a plain name"),
        ({"pattern": "{a}/{a}.jpg"}, "has the field 'a' more than once"),
        ({"pattern": "{a}{b}.jpg"}, "fields that touch"),
        ({"pattern": "{place}.jpg"}, "keep cannot hold 'place'"),
        ({"pattern": "{label}.jpg", "keep": ["lable"]}, r"keep names 'lable'.*mean 'label'\?"),
        ({"keep": ["label"]}, "none, since pattern is not set"),
        ({"pattern": "{a}.jpg", "event_time": "b"}, "event_time names 'b'"),
        ({"pattern": "{a}.jpg", "types": {"b": "int"}}, "types names 'b'"),
        ({"pattern": "{a}.jpg", "types": {"a": "i"}}, r"types\.a must be one of"),
        ({"pattern": "{a}.jpg", "id": "a"}, "id must be a template"),
        ({"pattern": "{a}.jpg", "id": "{b}"}, "id '{b}' names 'b', which is no field"),
    ],
)
def test_parameters_that_cannot_be_are_refused(params: dict[str, Any], reason: str) -> None:
    with pytest.raises(ParamError, match=reason):
        files.Params(**{"path": "*", **params})
