"""What need not be read again, and what changes while it is read."""

from __future__ import annotations

import os
import sqlite3
import time
from contextlib import closing
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest

from flows.pipeline.retries import passes
from flows.sources import base, files, table
from flows.sources.base import CHUNK_ROWS, SourceAwayError, SourceError
from storage.ids import hash_bytes
from tests.flows.sources.reading import everything, read_files

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

LONG_AGO = 1_700_000_000
LARGE = "id,body\n" + "".join(f"{i},text\n" for i in range(3 * CHUNK_ROWS))


def age(*paths: Path) -> None:
    """Make files as old as those that a run usually meets."""
    for path in paths:
        os.utime(path, (LONG_AGO, LONG_AGO))


def opened(root: Path, path: str = "*.csv", **keys: Any) -> base.Source:  # noqa: ANN401 - whatever a key takes
    params = table.Params(path=path, id="id", content="body", **keys)
    return base.open("table", params, root, "text")


def stamp(source: base.Source) -> str | None:
    assert isinstance(source, base.Stamped)
    return source.stamp()


@pytest.mark.parametrize(
    "change",
    [
        lambda p: (p / "a.csv").write_text("id,body\n1,y\n"),
        lambda p: (p / "b.csv").write_text("id,body\n2,x\n"),
        lambda p: (p / "a.csv").rename(p / "c.csv"),
        lambda p: (p / "other").rename(p / "a.csv"),
    ],
    ids=["written in place, its time set back", "added", "renamed", "replaced, its time set back"],
)
def test_a_stamp_tells_of_a_change(tmp_path: Path, change: Callable[[Path], object]) -> None:
    (tmp_path / "a.csv").write_text("id,body\n1,x\n")
    (tmp_path / "other").write_text("id,body\n1,z\n")
    age(tmp_path / "a.csv", tmp_path / "other")
    first = stamp(opened(tmp_path))
    assert first is not None
    assert stamp(opened(tmp_path)) == first
    change(tmp_path)
    age(*tmp_path.iterdir())
    assert stamp(opened(tmp_path)) not in {None, first}


def test_a_file_of_this_moment_has_no_stamp(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("id,body\n1,x\n")
    (tmp_path / "b.csv").write_text("id,body\n2,x\n")
    age(tmp_path / "a.csv")
    os.utime(tmp_path / "b.csv", (time.time() + 3600,) * 2)
    assert stamp(opened(tmp_path)) is None
    found = files.open(files.Params(path="*.csv"), tmp_path, "text")
    assert found.stamp() is None
    age(tmp_path / "b.csv")
    assert stamp(opened(tmp_path)) is not None
    assert found.stamp() is not None


def test_a_stamp_of_files_that_were_not_opened_would_lie(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("id,body\n1,x\n")
    source = opened(tmp_path)
    (tmp_path / "b.csv").write_text("id,body\n2,x\n")
    age(*tmp_path.iterdir())
    assert everything(source).ids == ["1"]
    assert stamp(source) is None


def test_a_file_that_cannot_be_looked_at_has_a_stamp_as_long_as_it_stays_so(tmp_path: Path) -> None:
    (tmp_path / "gone.jpg").symlink_to("nowhere")
    source = files.open(files.Params(path="*.jpg"), tmp_path, "image")
    first = source.stamp()
    assert first is not None
    assert source.stamp() == first
    (tmp_path / "nowhere").write_bytes(b"x")
    age(tmp_path / "nowhere")
    assert source.stamp() not in {None, first}


@pytest.mark.parametrize(
    "change",
    [
        lambda path: path.write_text(LARGE[: len(LARGE) // 2]),
        lambda path: path.write_text(LARGE.replace("text", "TEXT")),
        lambda path: path.unlink(),
        lambda path: path.with_name("new").replace(path),
    ],
    ids=["cut off", "written anew", "removed", "replaced"],
)
@pytest.mark.parametrize("form", ["csv", "jsonl", "parquet"])
def test_a_table_that_changes_while_it_is_read_is_told(
    tmp_path: Path, form: str, change: Callable[[Path], object]
) -> None:
    path = tmp_path / f"a.{form}"
    frame = pl.read_csv(LARGE.encode())
    write = {"csv": "write_csv", "jsonl": "write_ndjson", "parquet": "write_parquet"}[form]
    getattr(frame, write)(path)
    (tmp_path / "new").write_text(LARGE)
    chunks = opened(tmp_path, path.name).scan()
    next(chunks)
    change(path)
    with pytest.raises(
        SourceAwayError, match=rf"a\.{form} changed while it was read; run again"
    ) as caught:
        list(chunks)
    assert passes(caught.value)


def test_a_table_that_is_gone_before_it_is_read_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("id,body\n1,x\n")
    source = opened(tmp_path)
    (tmp_path / "a.csv").unlink()
    with pytest.raises(SourceError, match=r"a\.csv"):
        everything(source)


def test_a_file_that_is_gone_since_it_was_listed_is_rejected(tmp_path: Path) -> None:
    for i in range(files.CHUNK_FILES + 1):
        (tmp_path / f"{i:04}.txt").write_text("x")
    chunks = files.open(files.Params(path="*.txt"), tmp_path, "text").scan()
    next(chunks)
    (tmp_path / f"{files.CHUNK_FILES:04}.txt").unlink()
    [last] = list(chunks)
    assert [r.reason for r in last.rejects] == ["cannot be read: No such file or directory"]


def photos(root: Path, memory: Path | None) -> dict[str, str]:
    """The content hashes by id."""
    params = files.Params(path="*.jpg")
    records = everything(base.open("files", params, root, "image", memory=memory)).records
    return dict(records.select("record_id", "content_hash").iter_rows())


@pytest.fixture
def memory(tmp_path: Path) -> Path:
    return tmp_path / "memory" / "photos"


@pytest.fixture
def shots(tmp_path: Path) -> Path:
    """Three photographs that are long settled."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for name in "abc":
        (folder / f"{name}.jpg").write_bytes(name.encode())
    age(*folder.iterdir())
    return folder


def known(memory: Path) -> list[str]:
    """The names of the files whose hashes are kept."""
    [path] = memory.iterdir()
    with closing(sqlite3.connect(path)) as con:
        found = [row[0] for row in con.execute("SELECT path FROM hashes ORDER BY path")]
    return [name.rpartition("/")[2] for name in found]


def test_hashes_are_kept_and_tell_of_a_change(shots: Path, memory: Path) -> None:
    first = photos(shots, memory)
    assert known(memory) == ["a.jpg", "b.jpg", "c.jpg"]
    (shots / "a.jpg").write_bytes(b"A")
    age(shots / "a.jpg")
    (shots / "b.jpg").unlink()
    second = photos(shots, memory)
    assert second == {"a.jpg": hash_bytes(b"A"), "c.jpg": first["c.jpg"]}
    assert known(memory) == ["a.jpg", "c.jpg"]


def test_what_is_known_is_not_read(shots: Path, memory: Path) -> None:
    first = photos(shots, memory)
    [path] = memory.iterdir()
    # a hash that its file does not have, kept as a scan keeps it: only one that reads would mend it
    from flows.sources._hashes import _proof

    with closing(sqlite3.connect(path)) as con, con:
        mark = con.execute("SELECT mark FROM hashes WHERE path LIKE '%a.jpg'").fetchone()[0]
        proof = _proof(str(shots / "a.jpg"), mark, "0" * 32)
        con.execute(
            "UPDATE hashes SET hash = ?, proof = ? WHERE path LIKE '%a.jpg'", ("0" * 32, proof)
        )
    assert photos(shots, memory) == {**first, "a.jpg": "0" * 32}
    assert photos(shots, None) == first


def test_a_file_of_this_moment_is_not_kept(shots: Path, memory: Path) -> None:
    (shots / "d.jpg").write_bytes(b"d")
    assert len(photos(shots, memory)) == 4
    assert known(memory) == ["a.jpg", "b.jpg", "c.jpg"]


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.write_bytes(b"no database at all"),
        lambda path: path.write_bytes(path.read_bytes()[:5000]),
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(
            path.read_bytes().replace(hash_bytes(b"a").encode(), b"0" * 32)
        ),
    ],
    ids=["another file", "cut off", "empty", "a bit turned"],
)
def test_a_damaged_memory_is_as_good_as_none(
    shots: Path, memory: Path, damage: Callable[[Path], object]
) -> None:
    first = photos(shots, memory)
    [path] = memory.iterdir()
    damage(path)
    assert photos(shots, memory) == first
    assert known(memory) == ["a.jpg", "b.jpg", "c.jpg"]


def test_a_memory_that_cannot_be_written_is_done_without(shots: Path, tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file, no folder")
    assert len(photos(shots, tmp_path / "taken")) == 3


def test_a_scan_that_is_left_early_leaves_the_memory_as_it_was(shots: Path, memory: Path) -> None:
    photos(shots, memory)
    before = {path.name: path.read_bytes() for path in memory.iterdir()}
    scan = base.open("files", files.Params(path="*.jpg"), shots, "image", memory=memory).scan()
    next(scan)
    del scan
    assert {path.name: path.read_bytes() for path in memory.iterdir()} == before


def test_two_sources_may_share_a_folder(shots: Path, memory: Path) -> None:
    photos(shots, memory)
    others = base.open("files", files.Params(path="a.jpg"), shots, "image", memory=memory)
    everything(others)
    assert len(list(memory.iterdir())) == 2
    assert len(photos(shots, memory)) == 3


@pytest.mark.parametrize("dtype", [pl.Datetime("us"), pl.Datetime("ms", "Asia/Kolkata"), pl.Date()])
def test_row_groups_outside_a_window_are_not_read(tmp_path: Path, dtype: pl.DataType) -> None:
    days = pl.Series("at", [date(2024, 1, day) for day in range(1, 11)]).cast(pl.Datetime("us"))
    at = days.dt.replace_time_zone("UTC").dt.convert_time_zone("Asia/Kolkata")
    at = at.cast(dtype) if isinstance(dtype, pl.Datetime) and dtype.time_zone else days.cast(dtype)
    rows = pl.DataFrame({"id": range(10), "body": ["x"] * 10, "at": at})
    rows.write_parquet(tmp_path / "rows.parquet", row_group_size=2)
    source = opened(tmp_path, "rows.parquet", event_time="at")
    assert isinstance(source, base.Windowed)
    moment = [datetime(2024, 1, day, tzinfo=UTC) for day in range(1, 11)]
    found = pl.concat([c.records for c in source.scan_window(moment[5], moment[7])])
    assert found["place"].to_list() == [f"rows.parquet#{row}" for row in (4, 5, 6, 7)]
    assert [len(c.records) for c in source.scan_window(moment[9], None)] == [2]
    assert sum(len(c.records) for c in source.scan_window(None, moment[0])) == 0


def test_only_typed_moments_of_parquet_promise_a_window(tmp_path: Path) -> None:
    rows = pl.DataFrame({"id": [1], "body": ["x"], "at": ["2024-01-01"]})
    rows.write_parquet(tmp_path / "rows.parquet")
    rows.write_csv(tmp_path / "rows.csv")
    for name in ("rows.parquet", "rows.csv"):
        assert not isinstance(opened(tmp_path, name, event_time="at"), base.Windowed)


def test_texts_are_read_whether_there_is_a_memory_or_not(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("x")
    age(tmp_path / "a.txt")
    params = files.Params(path="*.txt")
    source = base.open("files", params, tmp_path, "text", memory=tmp_path / "memory")
    assert everything(source).contents == ["x"]
    assert read_files(tmp_path, "text", path="*.txt").contents == ["x"]
