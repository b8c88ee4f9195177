"""The catalog's file: whole transactions, turns, and plain words for what is wrong with it."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import duckdb
import pytest

from storage.database import DatabaseFile, fetch
from storage.model import StorageError
from tests.processes import python

if TYPE_CHECKING:
    from pathlib import Path

SCHEMA = "CREATE TABLE numbers (n INTEGER);"
HOLD = """
import sys
from filelock import FileLock
with FileLock(sys.argv[1]):
    print("held", flush=True)
    sys.stdin.readline()
"""


def numbers(file: DatabaseFile) -> list[int]:
    with file.read() as con:
        return [row["n"] for row in fetch(con, "FROM numbers ORDER BY n")]


def add(file: DatabaseFile, n: int) -> None:
    with file.write() as con:
        con.execute("INSERT INTO numbers VALUES (?)", [n])


def add_and_fail(file: DatabaseFile) -> None:
    with file.write() as con:
        con.execute("INSERT INTO numbers VALUES (2)")
        con.execute("FROM nothing_here")


def test_a_block_that_raises_leaves_no_trace(tmp_path: Path) -> None:
    file = DatabaseFile(tmp_path / "a.duckdb", SCHEMA, 1, 5)
    add(file, 1)
    with pytest.raises(duckdb.Error, match="nothing_here"):
        add_and_fail(file)
    assert numbers(file) == [1]


def test_a_reader_cannot_write(tmp_path: Path) -> None:
    file = DatabaseFile(tmp_path / "a.duckdb", SCHEMA, 1, 5)
    add(file, 1)
    with pytest.raises(duckdb.Error, match="read-only"), file.read() as con:
        con.execute("INSERT INTO numbers VALUES (2)")


def test_threads_take_turns(tmp_path: Path) -> None:
    file = DatabaseFile(tmp_path / "a.duckdb", SCHEMA, 1, 60)
    threads = [threading.Thread(target=add, args=(file, n)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert numbers(file) == list(range(8))


def test_others_who_keep_it_busy_are_waited_for_only_so_long(tmp_path: Path) -> None:
    file = DatabaseFile(tmp_path / "a.duckdb", SCHEMA, 1, 0.3)
    with python(HOLD, f"{file.path}.lock") as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "held\n"
        with pytest.raises(StorageError, match=r"waited 0\.3 s for the catalog .* wait_seconds"):
            add(file, 1)
        child.communicate("\n")
    add(file, 1)


def test_a_file_that_is_no_database_is_refused_at_once(tmp_path: Path) -> None:
    file = DatabaseFile(tmp_path / "lock.duckdb", SCHEMA, 1, 3600)
    file.path.write_text("rubbish " * 1000)
    with pytest.raises(StorageError, match=r"catalog .*lock\.duckdb"):
        numbers(file)
    folder = DatabaseFile(tmp_path, SCHEMA, 1, 3600)
    with pytest.raises(StorageError, match=r"cannot open the catalog .* check its folder"):
        numbers(folder)


def test_somebody_elses_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    with duckdb.connect(str(tmp_path / "a.duckdb")) as con:
        con.execute("CREATE TABLE schema (owner VARCHAR)")
    file = DatabaseFile(tmp_path / "a.duckdb", SCHEMA, 1, 5)
    for use in (lambda: add(file, 1), lambda: numbers(file)):
        with pytest.raises(StorageError, match="not a catalog of Vecmill's"):
            use()
    with duckdb.connect(str(tmp_path / "a.duckdb")) as con:
        assert con.sql("SHOW TABLES").fetchall() == [("schema",)]


def test_another_schema_version_is_refused(tmp_path: Path) -> None:
    add(DatabaseFile(tmp_path / "a.duckdb", SCHEMA, 1, 5), 1)
    newer = DatabaseFile(tmp_path / "a.duckdb", SCHEMA, 2, 5)
    with pytest.raises(StorageError, match="has schema version 1, this Vecmill reads 2"):
        numbers(newer)
