"""Recordings and pictures out of the files of a source, and nothing else of the machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from starlette.testclient import TestClient

from flows.sources import files
from flows.sources._where import Local
from flows.ui import app
from flows.ui.ranges import part_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.flows.ui.served import Served

SOUND = "/features/sounds/file?id=440.wav"


@pytest.fixture(scope="module")
def client(served: Served) -> Iterator[TestClient]:
    with TestClient(app.make(served.project.settings()), "http://localhost") as found:
        yield found


def test_a_recording_is_played_whole_and_in_parts(served: Served, client: TestClient) -> None:
    data = (served.project.root / "sounds" / "440.wav").read_bytes()
    answer = client.get(SOUND)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "audio/wav"
    assert answer.headers["accept-ranges"] == "bytes"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.content == data
    part = client.get(SOUND, headers={"range": "bytes=10-99"})
    assert part.status_code == 206
    assert part.headers["content-range"] == f"bytes 10-99/{len(data)}"
    assert part.content == data[10:100]


def test_a_picture_is_seen_whole(served: Served, client: TestClient) -> None:
    answer = client.get("/features/photos/file?id=red")
    assert answer.headers["content-type"] == "image/png"
    assert answer.content == (served.project.root / "photos" / "red.png").read_bytes()


@pytest.mark.parametrize(
    "path",
    [
        "/features/notes/file?id=r1", "/features/coming/file?id=r1", "/features/sounds/file?id=9",
        "/features/sounds/file", "/features/sounds/file?id=../notes.csv",
        "/features/photos/file?id=torn", "/features/nobody/file?id=1",
    ],
)  # fmt: skip
def test_what_is_no_recording_or_picture_is_not_to_be_had(client: TestClient, path: str) -> None:
    assert client.get(path).status_code == 404


def test_records_are_shown_with_what_there_is_of_them(client: TestClient, served: Served) -> None:
    text = client.get("/features/sounds/record?id=440.wav").text
    assert f'<audio src="{SOUND}" controls preload="none"' in text
    text = client.get("/features/photos/record?id=red").text
    assert '<a href="/features/photos/file?id=red" class="whole"><img src="data:' in text
    text = client.get("/features/notes/record?id=r1").text
    assert "<dt>text</dt>" in text
    found = served.answered(served.get("/features/sounds/search?id=440.wav")).text
    assert found.count("<audio ") == 2
    assert SOUND not in found, "not itself"


def test_only_what_the_source_names_is_opened(tmp_path: Path) -> None:
    for name in ("a/1.wav", "a/b/2.wav", "a/.3.wav", "a/4.mp3", "outside.wav", "c/5.wav"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "a" / "out.wav").symlink_to(tmp_path / "outside.wav")
    (tmp_path / "a" / "in.wav").symlink_to(tmp_path / "a" / "1.wav")
    (tmp_path / "a" / "linked").symlink_to(tmp_path / "c")
    (tmp_path / "a" / "folder.wav").mkdir()

    def opened(path: str | list[str], name: str, *, follow: bool = False) -> bool:
        params = files.Params(path, follow_links=follow)
        found = files.file_of(params, tmp_path, name)
        return isinstance(found, Local)

    assert opened("a/*.wav", "a/1.wav")
    assert opened("a/*.wav", "a/in.wav")
    assert opened("a/**/*.wav", "a/b/2.wav")
    assert opened(["c/5.wav", "a/*.mp3"], "c/5.wav")
    assert opened(f"{tmp_path}/a/*.wav", str(tmp_path / "a" / "1.wav"))
    assert opened("a/*.wav", "a/out.wav", follow=True)
    for name in ("a/b/2.wav", "a/4.mp3", "a/.3.wav", "a/../outside.wav", "outside.wav",
                 "a/out.wav", "a/folder.wav", "a/9.wav", "c/5.wav", "/etc/hostname",
                 "../../../etc/hostname", "s3://bucket/a/1.wav", "", "a"):  # fmt: skip
        assert not opened("a/*.wav", name), name
    assert not opened("a/**/*.wav", "a/linked/5.wav")


@pytest.mark.parametrize(
    ("asked", "part"),
    [
        (None, range(10)),
        ("bytes=0-", range(10)),
        ("bytes=2-4", range(2, 5)),
        ("bytes=2-99", range(2, 10)),
        ("bytes=-3", range(7, 10)),
        ("bytes=-30", range(10)),
        ("bytes=10-", None),
        ("bytes=5-4", None),
        ("bytes=-0", None),
        ("bytes=-", range(10)),
        ("bytes=0-1,3-4", range(10)),
        ("lines=0-1", range(10)),
    ],
)
def test_parts_are_as_the_rfc_has_them(asked: str | None, part: range | None) -> None:
    assert part_of(asked, 10) == part


def test_of_nothing_there_is_no_part() -> None:
    assert part_of(None, 0) == range(0)
    assert part_of("bytes=0-", 0) is None
    assert part_of("bytes=-1", 0) is None
