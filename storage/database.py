"""One DuckDB file that many processes share.

DuckDB lets one process write or many read. So every call opens the file, does one short transaction
and closes it, behind a lock file that makes the others wait their turn.
"""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast

from storage.model import StorageError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import duckdb

_SCHEMA_TABLE = "CREATE TABLE schema (version INTEGER, created_at TIMESTAMPTZ);"


class DatabaseFile:
    """A DuckDB file with a schema, opened for one transaction at a time.

    Args:
        path: the file; it and its folder are made by the first write.
        schema: the statements that make its tables.
        schema_version: kept in the file; a file of another version is refused.
        wait_seconds: how long a call waits for others before it gives up with `StorageError`.
    """

    def __init__(self, path: Path, schema: str, schema_version: int, wait_seconds: float) -> None:
        self.path = path
        self._schema = _SCHEMA_TABLE + schema
        self._schema_version = schema_version
        self._wait_seconds = wait_seconds

    @contextmanager
    def write(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """One transaction that is committed if the block ends, and leaves no trace if it raises.

        Raises:
            StorageError: if the file cannot be had, read, or is of another schema version.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self._turn(), self._connect(read_only=False) as con:
            con.execute("SET TimeZone = 'UTC'")
            con.execute("BEGIN")
            self._ensure_schema(con)
            yield con
            con.execute("COMMIT")

    @contextmanager
    def read(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """A connection that cannot write; where there is no file yet, its tables are empty.

        Raises:
            StorageError: as `write`.
        """
        import duckdb

        if self.path.exists():
            with self._turn(), self._connect(read_only=True) as con:
                con.execute("SET TimeZone = 'UTC'")
                # Without tables where the process died in its very first write.
                if fetch(con, "SELECT 1 FROM duckdb_tables() LIMIT 1"):
                    self._check_schema(con)
                    yield con
                    return
        with duckdb.connect() as con:
            con.execute(self._schema)
            yield con

    @contextmanager
    def _turn(self) -> Iterator[None]:
        """Wait for our turn; on a read-only file system there is nobody to wait for."""
        from filelock import FileLock, Timeout

        lock = FileLock(f"{self.path}.lock", timeout=self._wait_seconds)
        try:
            lock.acquire()
        except Timeout as error:
            raise StorageError(
                f"waited {self._wait_seconds:g} s for the catalog {self.path}, which other runs "
                "keep busy; try again, or raise wait_seconds in [engine]"
            ) from error
        except OSError:
            yield
            return
        try:
            yield
        finally:
            lock.release()

    @contextmanager
    def _connect(self, *, read_only: bool) -> Iterator[duckdb.DuckDBPyConnection]:
        import duckdb

        deadline = time.monotonic() + self._wait_seconds
        while True:
            try:
                con = duckdb.connect(str(self.path), read_only=read_only)
                break
            except duckdb.IOException as error:
                held = "Could not set lock" in str(error)
                if held and time.monotonic() < deadline:
                    # Somebody outside Vecmill, such as a DuckDB shell, has the file open.
                    time.sleep(0.2)
                    continue
                advice = "close the program that holds it" if held else "check its folder"
                message = f"cannot open the catalog {self.path}: {error}; {advice}"
                raise StorageError(message) from error
            except duckdb.Error as error:
                raise StorageError(
                    f"the catalog {self.path} cannot be read: {error}; restore it from a backup"
                ) from error
        try:
            yield con
        finally:
            con.close()

    def _ensure_schema(self, con: duckdb.DuckDBPyConnection) -> None:
        if fetch(con, "SELECT 1 FROM duckdb_tables() WHERE table_name = 'schema'"):
            self._check_schema(con)
        else:
            con.execute(self._schema)
            con.execute("INSERT INTO schema VALUES (?, now())", [self._schema_version])

    def _check_schema(self, con: duckdb.DuckDBPyConnection) -> None:
        try:
            found = fetch(con, "SELECT version FROM schema")[0]["version"]
        except Exception as error:
            raise StorageError(
                f"{self.path} is a DuckDB file, but not a catalog of Vecmill's ({error}); "
                "name another file as catalog in [store]"
            ) from error
        if found != self._schema_version:
            raise StorageError(
                f"the catalog {self.path} has schema version {found}, this Vecmill reads "
                f"{self._schema_version}; use the Vecmill that wrote it"
            )


def fetch(con: duckdb.DuckDBPyConnection, sql: str, *parameters: object) -> list[dict[str, Any]]:
    """The rows of a SELECT, as dicts by column name."""
    table = con.sql(sql, params=list(parameters)).to_arrow_table()
    return cast("list[dict[str, Any]]", table.to_pylist())
