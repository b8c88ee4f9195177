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
OPEN = """
import sys
import duckdb
with duckdb.connect(sys.argv[1]):
    print("held", flush=True)
    sys.stdin.readline()
"""
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


def stopped(file: DatabaseFile, statement: str) -> None:
    with file.read() as con:
        con.execute(statement)
        raise KeyboardInterrupt


def test_a_block_that_raises_leaves_no_trace(tmp_path: Path) -> None:
    file = DatabaseFile(tmp_path / "a.duckdb", SCHEMA, {}, 5)
    add(file, 1)
    with pytest.raises(duckdb.Error, match="nothing_here"):
        add_and_fail(file)
    assert numbers(file) == [1]


def test_what_a_block_attached_goes_with_it_where_it_raises(tmp_path: Path) -> None:
    file = DatabaseFile(tmp_path / "a.duckdb", SCHEMA, {}, 5)
    add(file, 1)
    beside = f"ATTACH '{tmp_path / 'beside.duckdb'}' AS fresh"
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            stopped(file, beside)
    add(file, 2)
    assert numbers(file) == [1, 2]


def test_a_block_goes_on_where_one_of_another_file_inside_it_failed(tmp_path: Path) -> None:
    one, other = (DatabaseFile(tmp_path / f"{name}.duckdb", SCHEMA, {}, 5) for name in "ab")
    add(one, 1)
    add(other, 2)
    with one.read() as con:
        with pytest.raises(duckdb.Error, match="nothing_here"):
            add_and_fail(other)
        assert numbers(other) == [2]
        assert con.execute("SELECT n FROM numbers").fetchall() == [(1,)]
    add(one, 3)
    assert numbers(one) == [1, 3]


def test_a_process_that_holds_the_file_itself_is_told_so(tmp_path: Path) -> None:
    file = DatabaseFile(tmp_path / "a.duckdb", SCHEMA, {}, 5)
    add(file, 1)
    with (
        duckdb.connect(str(tmp_path / "a.duckdb")),
        pytest.raises(StorageError, match="this very process has it open"),
    ):
        add(file, 2)
    add(file, 3)
    assert numbers(file) == [1, 3]


def test_a_reader_cannot_write(tmp_path: Path) -> None:
    file = DatabaseFile(tmp_path / "a.duckdb", SCHEMA, {}, 5)
    add(file, 1)
    with pytest.raises(duckdb.Error, match="read-only"), file.read() as con:
        con.execute("INSERT INTO numbers VALUES (2)")


def test_threads_take_turns(tmp_path: Path) -> None:
    file = DatabaseFile(tmp_path / "a.duckdb", SCHEMA, {}, 60)
    threads = [threading.Thread(target=add, args=(file, n)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert numbers(file) == list(range(8))


def test_others_who_keep_it_busy_are_waited_for_only_so_long(tmp_path: Path) -> None:
    file = DatabaseFile(tmp_path / "a.duckdb", SCHEMA, {}, 0.3)
    with python(HOLD, f"{file.path}.lock") as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "held\n"
        with pytest.raises(StorageError, match=r"waited 0\.3 s for the catalog .* wait_seconds"):
            add(file, 1)
        child.communicate("\n")
    add(file, 1)


def test_who_has_the_file_open_is_named(tmp_path: Path) -> None:
    said: list[str] = []
    path = tmp_path / "a.duckdb"
    add(DatabaseFile(path, SCHEMA, {}, 60), 1)
    with python(OPEN, str(path)) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "held\n"
        with pytest.raises(
            StorageError, match=rf"process {child.pid} has held open for . s; close"
        ):
            numbers(DatabaseFile(path, SCHEMA, {}, 0))

        def let_go(words: str) -> None:
            said.append(words)
            child.communicate("\n")

        assert numbers(DatabaseFile(path, SCHEMA, {}, 3600, let_go)) == [1]
    assert len(said) == 1
    assert f"process {child.pid}; waiting up to 3600 s for it" in said[0]


def test_a_file_that_is_no_database_is_refused_at_once(tmp_path: Path) -> None:
    file = DatabaseFile(tmp_path / "lock.duckdb", SCHEMA, {}, 3600)
    file.path.write_text("rubbish " * 1000)
    with pytest.raises(StorageError, match=r"catalog .*lock\.duckdb.*one backup.*vecmill doctor"):
        numbers(file)
    folder = DatabaseFile(tmp_path, SCHEMA, {}, 3600)
    with pytest.raises(StorageError, match=r"cannot open the catalog .* check its folder"):
        numbers(folder)


def test_a_damaged_file_is_to_be_restored(tmp_path: Path) -> None:
    file = DatabaseFile(tmp_path / "a.duckdb", SCHEMA, {}, 5)
    add(file, 1)
    whole = file.path.read_bytes()
    for damaged in (whole[: len(whole) // 2], whole[:5000] + b"rubbish" + whole[5007:]):
        file.path.write_bytes(damaged)
        with pytest.raises(StorageError, match=r"restore it and the vectors.*vecmill doctor"):
            numbers(file)


def test_somebody_elses_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    with duckdb.connect(str(tmp_path / "a.duckdb")) as con:
        con.execute("CREATE TABLE schema (owner VARCHAR)")
    file = DatabaseFile(tmp_path / "a.duckdb", SCHEMA, {}, 5)
    for use in (lambda: add(file, 1), lambda: numbers(file)):
        with pytest.raises(StorageError, match="not a catalog of Vecmill's"):
            use()
    with duckdb.connect(str(tmp_path / "a.duckdb")) as con:
        assert con.sql("SHOW TABLES").fetchall() == [("schema",)]


def test_a_file_without_tables_is_begun_whatever_else_was_read_before(tmp_path: Path) -> None:
    duckdb.connect(str(tmp_path / "a.duckdb")).close()  # as a kill in the first write left it once
    file = DatabaseFile(tmp_path / "a.duckdb", SCHEMA, {}, 5)
    assert numbers(DatabaseFile(tmp_path / "b.duckdb", SCHEMA, {}, 5)) == []
    assert numbers(file) == []
    assert numbers(file) == []
    add(file, 1)
    assert numbers(file) == [1]


def test_a_newer_schema_is_refused(tmp_path: Path) -> None:
    later = {1: "ALTER TABLE numbers ADD COLUMN name VARCHAR DEFAULT 'none'"}
    add_named(DatabaseFile(tmp_path / "a.duckdb", SCHEMA, later, 5), 1)
    older = DatabaseFile(tmp_path / "a.duckdb", SCHEMA, {}, 5)
    for use in (lambda: add(older, 2), lambda: numbers(older)):
        with pytest.raises(StorageError, match="has schema version 2, this Vecmill reads up to 1"):
            use()


def add_named(file: DatabaseFile, n: int) -> None:
    with file.write() as con:
        con.execute("INSERT INTO numbers (n) VALUES (?)", [n])


@pytest.mark.parametrize("reads_first", [True, False])
def test_an_older_schema_is_brought_up_to_date(tmp_path: Path, *, reads_first: bool) -> None:
    add(DatabaseFile(tmp_path / "a.duckdb", SCHEMA, {}, 5), 1)
    later = {
        1: "ALTER TABLE numbers ADD COLUMN name VARCHAR DEFAULT 'old'",
        2: "ALTER TABLE numbers ADD COLUMN more INTEGER",
    }
    file = DatabaseFile(tmp_path / "a.duckdb", SCHEMA, later, 5)
    if reads_first:
        assert numbers(file) == [1]
    add_named(file, 2)
    with file.read() as con:
        assert fetch(con, "FROM numbers ORDER BY n")[0] == {"n": 1, "name": "old", "more": None}
        assert fetch(con, "SELECT version FROM schema") == [{"version": 3}]


def test_a_file_of_an_older_schema_is_kept_as_it_was_until_it_is_rewritten(tmp_path: Path) -> None:
    old = DatabaseFile(tmp_path / "a.duckdb", SCHEMA, {}, 5)
    add(old, 1)
    assert old.copies() == []
    told: list[str] = []
    later = {1: "ALTER TABLE numbers ADD COLUMN name VARCHAR"}
    file = DatabaseFile(tmp_path / "a.duckdb", SCHEMA, later, 5, told.append)
    add_named(file, 2)
    add_named(file, 3)
    (copy,) = file.copies()
    assert copy.name == "a.duckdb.schema-1"
    (sentence,) = told
    assert sentence.endswith(f"as it was it is kept as {copy.name}")
    assert numbers(DatabaseFile(copy, SCHEMA, {}, 5)) == [1]
    file.rewrite()
    assert file.copies() == []
    assert numbers(file) == [1, 2, 3]


def test_what_is_left_of_a_copy_that_was_never_finished_goes_too(tmp_path: Path) -> None:
    file = DatabaseFile(tmp_path / "[a].duckdb", SCHEMA, {}, 5)
    add(file, 1)
    (tmp_path / "[a].duckdb.schema-1").write_bytes(b"as it was")
    left = [tmp_path / f"[a].duckdb.schema-1.77.tmp{more}" for more in ("", ".wal")]
    for path in left:
        path.write_bytes(b"with rows in it")
    assert [path.name for path in file.copies()] == ["[a].duckdb.schema-1"]
    assert file.unfinished_copies() == left
    own = tmp_path / "[a].duckdb.schema-of-mine"
    own.write_text("nobody else's")
    file.rewrite()
    assert [*file.copies(), *file.unfinished_copies()] == []
    assert own.exists()
    assert numbers(file) == [1]


def test_a_migration_that_fails_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    add(DatabaseFile(tmp_path / "a.duckdb", SCHEMA, {}, 5), 1)
    later = {1: "ALTER TABLE numbers ADD COLUMN name VARCHAR; FROM nothing_here"}
    with pytest.raises(duckdb.Error, match="nothing_here"):
        add_named(DatabaseFile(tmp_path / "a.duckdb", SCHEMA, later, 5), 2)
    assert numbers(DatabaseFile(tmp_path / "a.duckdb", SCHEMA, {}, 5)) == [1]
    assert numbers(DatabaseFile(tmp_path / "a.duckdb.schema-1", SCHEMA, {}, 5)) == [1]


def test_a_wait_is_told_of(tmp_path: Path) -> None:
    told: list[str] = []
    file = DatabaseFile(tmp_path / "a.duckdb", SCHEMA, {}, 60, told.append)
    with python(HOLD, f"{file.path}.lock") as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "held\n"
        waiting = threading.Thread(target=add, args=(file, 1))
        waiting.start()
        while not told:
            waiting.join(0.05)
        child.communicate("\n")
        waiting.join()
    assert told == [f"the catalog {file.path} is busy; waiting up to 58 s for it"]
    assert numbers(file) == [1]
