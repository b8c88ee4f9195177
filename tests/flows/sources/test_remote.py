"""Tables and files in an object store: a real server that speaks S3, and one that goes away."""

from __future__ import annotations

import gzip
import io
import traceback
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl
import pytest
from PIL import Image

from flows.pipeline.decode import decode
from flows.pipeline.retries import passes
from flows.sources import base, files, table
from flows.sources._remote import is_uri
from flows.sources.base import CHUNK_ROWS, SourceAwayError, SourceError
from storage.ids import hash_bytes
from storage.model import StorageError
from tests.flows.sources import servers
from tests.flows.sources.reading import everything, read_files

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.flows.project import Project
    from tests.flows.sources.servers import S3


def rows(path: str | list[str], **keys: object) -> base.Source:
    given = {"id": "id", "content": "body", **keys}
    params = base.params_type("table")(path=path, **given)
    return base.open("table", params, Path(), "text")


def picture(shade: int) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (8, 8), (shade, 0, 0)).save(out, "PNG")
    return out.getvalue()


def test_what_is_an_address_and_what_a_path() -> None:
    assert is_uri("s3://bucket/key")
    assert is_uri("S3://bucket/key")
    assert not is_uri("c:/folder/*.csv")
    assert not is_uri("news/*.csv")


@pytest.mark.parametrize("ending", ["csv", "csv.gz", "jsonl", "parquet"])
def test_tables_are_read_in_every_format(s3: S3, ending: str) -> None:
    n = CHUNK_ROWS + 10
    frame = pl.DataFrame({"id": range(n), "body": [f"text {i}" for i in range(n)]})
    out = io.BytesIO()
    if ending == "parquet":
        frame.write_parquet(out, row_group_size=3000)
    elif ending == "jsonl":
        frame.write_ndjson(out)
    else:
        frame.write_csv(out)
    content = gzip.compress(out.getvalue()) if ending.endswith("gz") else out.getvalue()
    s3.put(f"formats/{ending}/rows.{ending}", content)
    found = everything(rows(f"s3://mill/formats/{ending}/*.{ending}"))
    assert found.ids == [str(i) for i in range(n)]
    assert found.places[0].startswith(f"s3://mill/formats/{ending}/rows.{ending}")


def test_wildcards_match_as_they_do_on_disk(s3: S3, tmp_path: Path) -> None:
    names = ["a.txt", "b/a.txt", "b/c/a.txt", "b/c/b.txt", ".git/a.txt", "b/.c.txt", "x y+z.txt"]
    for name in names:
        s3.put(f"glob/{name}", name.encode())
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    for path in ("*.txt", "**", "**/a.txt", "**/**/a.txt", "b/*.txt", "*/c/?.txt", "b/**/a.txt",
                 ".git/*.txt", "b/.*.txt", "b/c/a.txt", "x*.txt"):  # fmt: skip
        here = read_files(tmp_path, "text", path=path)
        there = read_files(tmp_path, "text", path=f"s3://mill/glob/{path}")
        assert there.ids == here.ids, path
        assert there.contents == here.contents, path


def test_a_path_that_matches_nothing_is_told(s3: S3) -> None:
    del s3
    for path in ("s3://mill/nothing/*.csv", "s3://mill/nothing.csv"):
        with pytest.raises(SourceError, match="no file matches 's3://mill/nothing"):
            rows(path)
    with pytest.raises(SourceError, match=r"NoSuchBucket.*check the address, and the credentials"):
        rows("s3://no-such-bucket/*.csv")
    with pytest.raises(SourceError, match="no address of an object store"):
        rows("ftp://mill/a.csv")


def test_a_file_address_is_a_path(tmp_path: Path) -> None:
    (tmp_path / "a b.csv").write_text("id,body\n1,x\n")
    assert everything(rows((tmp_path / "a b.csv").as_uri())).ids == ["1"]
    assert everything(rows(f"{tmp_path.as_uri()}/*.csv")).ids == ["1"]


def test_images_are_cells_that_can_be_decoded(s3: S3) -> None:
    for shade in (10, 20):
        s3.put(f"shades/red/{shade}.png", picture(shade))
    found = read_files(
        Path(), "image", path="s3://mill/shades/**/*.png", pattern="{colour}/{name}.png",
        event_time="mtime",
    )  # fmt: skip
    assert found.ids == ["red/10.png", "red/20.png"]
    assert found.contents[0] == "s3://mill/shades/red/10.png"
    assert found.records["colour"].to_list() == ["red", "red"]
    assert found.records["content_hash"][0] == hash_bytes(picture(10))
    assert all(at.year >= 2024 for at in found.records["event_time"])
    decoded = decode("image", found.records["content"], found.records["content_hash"].to_list())
    assert decoded.rows == [0, 1]
    s3.put("shades/red/20.png", picture(30))
    s3.delete("shades/red/10.png")
    changed = decode("image", found.records["content"], found.records["content_hash"].to_list())
    assert changed.rows == []
    assert "cannot be read: No such object" in changed.passing[0]
    assert "the file changed" in changed.passing[1]


def test_a_stamp_tells_of_every_write(s3: S3) -> None:
    s3.put("stamps/a.csv", b"id,body\n1,x\n")
    source = rows("s3://mill/stamps/*.csv")
    assert isinstance(source, base.Stamped)
    first = source.stamp()
    assert first is not None
    again = rows("s3://mill/stamps/*.csv")
    assert isinstance(again, base.Stamped)
    assert again.stamp() == first
    s3.put("stamps/a.csv", b"id,body\n1,y\n")
    second = source.stamp()
    assert second not in {None, first}
    s3.put("stamps/b.csv", b"id,body\n2,y\n")
    assert source.stamp() is None, "it does not read the file that came since it was opened"


def test_an_object_that_changes_while_it_is_read_is_told(s3: S3) -> None:
    n = CHUNK_ROWS + 1
    text = b"id,body\n" + b"".join(b"%d,x\n" % i for i in range(n))
    s3.put("moving/a.csv", text)
    chunks = rows("s3://mill/moving/a.csv").scan()
    next(chunks)
    s3.put("moving/a.csv", text.replace(b"x", b"y"))
    with pytest.raises(SourceAwayError, match=r"a\.csv changed while it was read; run again"):
        list(chunks)


def test_a_window_of_a_parquet_object_is_pruned(s3: S3) -> None:
    out = io.BytesIO()
    days = [datetime(2024, 1, day, tzinfo=UTC) for day in range(1, 11)]
    pl.DataFrame({"id": range(10), "body": ["x"] * 10, "at": days}).write_parquet(
        out, row_group_size=2
    )
    s3.put("windows/a.parquet", out.getvalue())
    source = rows("s3://mill/windows/a.parquet", event_time="at")
    assert isinstance(source, base.Windowed)
    found = pl.concat([chunk.records for chunk in source.scan_window(days[5], days[6])])
    assert found["place"].to_list() == [f"s3://mill/windows/a.parquet#{row}" for row in (4, 5)]


@pytest.mark.slow
def test_a_server_that_goes_away_may_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    with servers.s3() as server:
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        body = "x" * 1000
        lines = "".join(f"{i},{body}\n" for i in range(CHUNK_ROWS))
        server.put("a.csv", f"id,body\n{lines}".encode())
        server.put("a.png", picture(1))
        read = rows("s3://mill/a.csv")
        photos = files.open(files.Params(path="s3://mill/*.png"), Path(), "image")
        cells = everything(photos).records["content"]
        chunks = read.scan()
        server.stop()
        attempts: list[Callable[[], object]] = [
            lambda: list(chunks),
            lambda: list(photos.scan()),
            photos.stamp,
            lambda: rows("s3://mill/*.csv"),
        ]
        for attempt in attempts:
            with pytest.raises(SourceAwayError, match="run again") as caught:
                attempt()
            assert passes(caught.value)
            told = "".join(traceback.format_exception(caught.value))
            assert servers.PASSWORD not in told
        assert "cannot be read" in decode("image", cells).passing[0]


def test_a_table_is_the_same_wherever_it_lies(s3: S3, tmp_path: Path) -> None:
    text = b'id,body\n1,"a\nb"\n2,"broken\n3,\xff\n4,d\n'
    s3.put("same/a.csv", text)
    (tmp_path / "a.csv").write_bytes(text)
    there = everything(rows("s3://mill/same/a.csv"))
    params = table.Params(path="a.csv", id="id", content="body")
    here = everything(table.open(params, tmp_path, "text"))
    assert there.records.drop("place").equals(here.records.drop("place"))
    assert [r.reason for r in there.rejects] == [r.reason for r in here.rejects]


@pytest.mark.usefixtures("s3")
def test_a_bucket_for_vectors_that_is_not_there_is_told_by_a_plan_and_before_a_run_encodes(
    project: Project,
) -> None:
    project.more = '[store]\nvectors = "s3://nobucket/vectors"\n'
    project.write([(1, "stone", "x")])
    problem = project.plan().problem or ""
    assert problem.startswith("s3://nobucket/vectors cannot be read")
    with pytest.raises(StorageError, match=r"^s3://nobucket/vectors cannot be written.*NoSuchBuck"):
        project.run()
    assert project.encoded() == []
    project.more = '[store]\nvectors = "s3://mill/vectors"\n'
    assert project.plan().problem is None
    assert project.run().counts.encoded == 1
