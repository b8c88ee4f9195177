"""One DuckDB file that many processes share.

DuckDB lets one process write or many read. So every call opens the file, does one short transaction
and closes it, behind a lock file that makes the others wait their turn.
"""

from __future__ import annotations

import re
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast

from storage import disk, swaps
from storage._attached import Instance
from storage.model import StorageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    import duckdb
    from filelock import BaseFileLock

_SCHEMA_TABLE = "CREATE TABLE schema (version INTEGER, created_at TIMESTAMPTZ);"
_RESTORE = (
    "restore it and the vectors from one backup (`vecmill doctor` says what to do without one), or "
    "name another file as catalog in [store] if this one is none of Vecmill's"
)
_HOLDER = re.compile(r"held in (?P<program>.+?) \(PID (?P<process>\d+)\)")
_CUT_OFF = "Could not read enough bytes"
_PATIENCE = 2.0
"""Seconds of waiting that nobody need hear of."""


class DatabaseFile:
    """A DuckDB file with a schema, opened for one transaction at a time.

    Args:
        path: the file; it and its folder are made by the first write.
        schema: the statements that make the tables of its first schema.
        migrations: schema version to the statements that make the next one of it.
        wait_seconds: how long a call waits for others before it gives up with `StorageError`.
        on_wait: told, in a sentence, when a call has to wait for more than a moment.
    """

    def __init__(
        self,
        path: Path,
        schema: str,
        migrations: Mapping[int, str],
        wait_seconds: float,
        on_wait: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.path = path
        self._schema = _SCHEMA_TABLE + schema
        self._migrations = migrations
        self._newest = 1 + len(migrations)
        self._wait_seconds = wait_seconds
        self._on_wait = on_wait

    @contextmanager
    def write(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """One transaction that is committed if the block ends, and leaves no trace if it raises.

        Raises:
            StorageError: if the file cannot be had, read, or is of another schema version.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self._turn(), self._telling():
            if not self.path.exists():
                self._make()
            with self._connect(read_only=False) as con:
                con.execute("SET TimeZone = 'UTC'")
                found = self._found(con)
                self._keep_outdated(con, found)
                con.execute("BEGIN")
                self._ensure_schema(con, found)
                yield con
                con.execute("COMMIT")

    @contextmanager
    def read(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """A connection that cannot write; where there is no file yet, its tables are empty.

        Raises:
            StorageError: as `write`.
        """
        if self.path.exists():
            with self._turn(), self._telling(), self._connect(read_only=True) as con:
                con.execute("SET TimeZone = 'UTC'")
                found = self._found(con)
                if found == self._newest:
                    yield con
                    return
            if found is not None:
                with self.write() as con:
                    yield con
                return
        with Instance.here().blank(self._all_schemas, self._create) as con:
            con.execute("SET TimeZone = 'UTC'")
            yield con

    def is_outdated(self) -> bool:
        """Whether the next call brings the file up to date, and so writes it.

        Raises:
            StorageError: as `write`.
        """
        if not self.path.exists():
            return False
        with self._turn(), self._telling(), self._connect(read_only=True) as con:
            return self._found(con) not in {None, self._newest}

    def rewrite(self) -> None:
        """Write the file anew and put it in the place of the old one, all in one turn.

        DuckDB keeps deleted rows in free blocks of the file; a new file has none. Copies of the
        file as it was under earlier schemas have them too, and go, finished or not. Killed on the
        way, the old file stays, and a ``.vecmill-`` file beside it that may be deleted.

        Raises:
            StorageError: as `write`.
        """
        if not self.path.exists():
            return
        with self._turn(), self._telling():
            for file, _ in self._beside():
                file.unlink(missing_ok=True)
            fresh = self._clear_fresh()
            with self._connect(read_only=False) as con:
                con.execute("CHECKPOINT")
                _copy(con, fresh)
            swaps.settle(fresh)
            # Both are whole and say the same, so it does not matter which one a crash leaves.
            self.path.with_name(f"{self.path.name}.wal").unlink(missing_ok=True)
            fresh.replace(self.path)

    def copies(self) -> list[Path]:
        """Copies of the file, each as it was before a release changed its schema."""
        return sorted(path for path, rest in self._beside() if not rest)

    def unfinished_copies(self) -> list[Path]:
        """What is left of copies whose process was killed; of no use to anybody."""
        return sorted(path for path, rest in self._beside() if "tmp" in rest.split("."))

    def _beside(self) -> list[tuple[Path, str]]:
        """Copies, and files that are called after one, with what their names have after that."""
        found, begin = [], f"{self.path.name}.schema-"
        for path in self.path.parent.iterdir():
            number, _, rest = path.name.removeprefix(begin).partition(".")
            if path.name.startswith(begin) and number.isdecimal():
                found.append((path, rest))
        return found

    @contextmanager
    def _turn(self) -> Iterator[None]:
        """Wait for our turn; on a read-only file system there is nobody to wait for."""
        from filelock import FileLock, Timeout

        lock = FileLock(f"{self.path}.lock")
        try:
            lock.acquire(timeout=min(_PATIENCE, self._wait_seconds))
        except Timeout:
            self._wait_long(lock)
        except OSError:
            yield
            return
        try:
            yield
        finally:
            lock.release()

    @contextmanager
    def _telling(self) -> Iterator[None]:
        """Tell a file that is damaged, or a disk that is full, from a statement that is wrong."""
        import duckdb

        try:
            yield
        except (
            duckdb.IOException,
            duckdb.FatalException,
            duckdb.InternalException,
            duckdb.SerializationException,
            duckdb.TransactionException,
        ) as error:
            raise disk.told(error) or StorageError(
                f"the catalog {self.path} cannot be read or written: "
                f"{str(error).splitlines()[0]}; {_RESTORE}"
            ) from error

    def _wait_long(self, lock: BaseFileLock) -> None:
        from filelock import Timeout

        left = self._wait_seconds - _PATIENCE
        if left > 0:
            self._on_wait(f"the catalog {self.path} is busy; waiting up to {left:g} s for it")
        try:
            lock.acquire(timeout=max(left, 0))
        except Timeout as error:
            raise StorageError(
                f"waited {self._wait_seconds:g} s for the catalog {self.path}, which other runs "
                "keep busy; try again, or raise wait_seconds in [engine]"
            ) from error

    @contextmanager
    def _connect(self, *, read_only: bool) -> Iterator[duckdb.DuckDBPyConnection]:
        import duckdb

        self._refuse_stranger()
        began = time.monotonic()
        told = False
        while True:
            try:
                instance = Instance.here()
                con, name = instance.attach(self.path, read_only=read_only)
                break
            except duckdb.IOException as error:
                held = "Could not set lock" in str(error)
                waited = time.monotonic() - began
                if held and waited < self._wait_seconds:
                    # Somebody outside Vecmill, such as a DuckDB shell, has the file open.
                    if waited > _PATIENCE and not told:
                        self._on_wait(
                            f"the catalog {self.path} is held open by {_holder(error)}; waiting up "
                            f"to {self._wait_seconds:g} s for it"
                        )
                        told = True
                    time.sleep(0.2)
                    continue
                damaged = _RESTORE if _CUT_OFF in str(error) else "check its folder"
                message = f"cannot open the catalog {self.path}: {error}; {damaged}"
                if held:
                    message = (
                        f"cannot open the catalog {self.path}, which {_holder(error)} has held "
                        f"open for {waited:.0f} s; close that, and run again"
                    )
                raise disk.told(error) or StorageError(message) from error
            except duckdb.Error as error:
                # Two DuckDBs of one process never share a file, whatever both do with it.
                doubled = "Unique file handle conflict" in str(error)
                advice = (
                    "this very process has it open with a connection of its own; close that, or "
                    "read by storage.query.connect" if doubled else _RESTORE
                )  # fmt: skip
                message = f"the catalog {self.path} cannot be read: {error}; {advice}"
                raise StorageError(message) from error
        with instance.holding(con, name):
            # A bar would be drawn into what others print.
            con.execute("SET enable_progress_bar = false")
            yield con

    def _make(self) -> None:
        """Make the file in one go: nobody could make sense of one that a kill left half made."""
        fresh = self._clear_fresh()
        instance = Instance.here()
        with instance.holding(*instance.attach(fresh, read_only=False)) as con:
            con.execute("SET TimeZone = 'UTC'; BEGIN")
            self._create(con)
            con.execute("COMMIT; CHECKPOINT")  # what it would leave in a log has another name
        swaps.settle(fresh)
        fresh.replace(self.path)

    def _clear_fresh(self) -> Path:
        """Where a new file is made that will take the place of this one; nothing is there."""
        fresh = self.path.with_name(f".vecmill-{self.path.name}")
        for leftover in (fresh, fresh.with_name(f"{fresh.name}.wal")):
            leftover.unlink(missing_ok=True)
        return fresh

    def _refuse_stranger(self) -> None:
        """DuckDB would fetch an extension from the network to open another program's database."""
        if not self.path.is_file():
            return
        with self.path.open("rb") as file:
            if file.read(12)[8:] != b"DUCK":
                raise StorageError(
                    f"cannot open the catalog {self.path}: it is no DuckDB file; {_RESTORE}"
                )

    def _keep_outdated(self, con: duckdb.DuckDBPyConnection, found: int | None) -> None:
        """Copy a file of an earlier schema before it is changed: the way back to that release."""
        if found in {None, self._newest}:
            return
        copy = self.path.with_name(f"{self.path.name}.schema-{found}")
        with swaps.whole(copy, durable=True) as fresh:
            _copy(con, fresh)
        self._on_wait(
            f"the catalog {self.path} is of schema {found} and becomes one of {self._newest}, "
            f"which earlier releases do not read; as it was it is kept as {copy.name}"
        )

    def _ensure_schema(self, con: duckdb.DuckDBPyConnection, found: int | None) -> None:
        if found is None:
            self._create(con)
            return
        for version in range(found, self._newest):
            con.execute(self._migrations[version])
            con.execute("UPDATE schema SET version = ?", [version + 1])

    def _create(self, con: duckdb.DuckDBPyConnection) -> None:
        """Make the tables, by way of all the schemas there were: so there is one way only."""
        con.execute(self._all_schemas)
        con.execute("INSERT INTO schema VALUES (?, now())", [self._newest])

    @property
    def _all_schemas(self) -> str:
        return self._schema + "".join(self._migrations[v] for v in range(1, self._newest))

    def _found(self, con: duckdb.DuckDBPyConnection) -> int | None:
        """The schema version of the file, which this release reads or can bring up to date.

        None where there are no tables, as where the process died in its very first write.
        """
        try:
            found = number(con, "SELECT version FROM schema")
        except Exception as error:
            # Of this file: what else the thread has attached is listed too.
            here = "SELECT count(*) FROM duckdb_tables() WHERE database_name = current_database()"
            if not number(con, here):
                return None
            raise StorageError(
                f"{self.path} is a DuckDB file, but not a catalog of Vecmill's ({error}); "
                "name another file as catalog in [store]"
            ) from error
        if not 1 <= found <= self._newest:
            raise StorageError(
                f"the catalog {self.path} has schema version {found}, this Vecmill reads up to "
                f"{self._newest}; use the Vecmill that wrote it, or a newer one"
            )
        return found


def _copy(con: duckdb.DuckDBPyConnection, target: Path) -> None:
    """Write what a connection's own database holds into a file that is not there yet."""
    target.unlink(missing_ok=True)
    here = fetch(con, "SELECT current_database() AS name")[0]["name"]
    path = str(target).replace("'", "''")
    con.execute(f"ATTACH '{path}' AS fresh; COPY FROM DATABASE \"{here}\" TO fresh")
    con.execute("CHECKPOINT fresh; DETACH fresh")


def number(con: duckdb.DuckDBPyConnection, sql: str, *parameters: object) -> int:
    """The only value of a SELECT, a whole number; takes half of what `fetch` does."""
    return int(con.execute(sql, list(parameters)).fetchall()[0][0])


def fetch(con: duckdb.DuckDBPyConnection, sql: str, *parameters: object) -> list[dict[str, Any]]:
    """The rows of a SELECT, as dicts by column name."""
    table = con.sql(sql, params=list(parameters)).to_arrow_table()
    return cast("list[dict[str, Any]]", table.to_pylist())


def _holder(error: Exception) -> str:
    """The program that DuckDB says has a file open."""
    found = _HOLDER.search(str(error))
    return f"{found['program']}, process {found['process']}" if found else "another program"
