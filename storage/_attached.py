"""Files attached to a DuckDB that is there already: quicker than a new one for each use."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from itertools import count
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import duckdb

_HERE = threading.local()


class Instance:
    """A DuckDB of a thread's own, in memory, to which a file is attached while it is used.

    To attach a file takes a tenth of the 12 ms of processor time that a new DuckDB takes, and a run
    asks its catalog some twenty times.
    """

    def __init__(self) -> None:
        import duckdb

        self._root = duckdb.connect()
        self._names = count()
        self._attached = 0
        self._blanks: dict[str, str] = {}
        self.given_up = False

    @classmethod
    def here(cls) -> Instance:
        """That of this thread."""
        found = cast("Instance | None", getattr(_HERE, "instance", None))
        if found is None or found.given_up:
            found = _HERE.instance = cls()
        return found

    def attach(self, path: Path, *, read_only: bool) -> tuple[duckdb.DuckDBPyConnection, str]:
        """A connection that sees the file as its database, and the name to `detach` it by."""
        place, name = str(path).replace("'", "''"), f"file_{next(self._names)}"
        mode = "READ_ONLY" if read_only else "READ_WRITE"
        try:
            self._root.execute(f"ATTACH '{place}' AS {name} ({mode})")
            con = self._root.cursor()
            con.execute(f"USE {name}")
        except BaseException:
            self._give_up()
            raise
        self._attached += 1
        return con, name

    @contextmanager
    def holding(
        self, con: duckdb.DuckDBPyConnection, name: str
    ) -> Iterator[duckdb.DuckDBPyConnection]:
        """A block with a connection of `attach`, whose file is let go of after it."""
        try:
            yield con
        except BaseException:
            con.close()
            # The block may have attached more, or been stopped anywhere by Ctrl-C.
            self._detach(name, failed=True)
            raise
        con.close()
        self._detach(name, failed=False)

    @contextmanager
    def blank(
        self, schema: str, make: Callable[[duckdb.DuckDBPyConnection], None]
    ) -> Iterator[duckdb.DuckDBPyConnection]:
        """A connection that sees a database of empty tables in memory, and cannot write to it.

        Args:
            schema: what its tables are; those of one schema are made once.
            make: makes the tables.
        """
        con = self._root.cursor()
        self._attached += 1
        try:
            if schema not in self._blanks:
                name = f"blank_{next(self._names)}"
                con.execute(f"ATTACH ':memory:' AS {name}; USE {name}; BEGIN")
                make(con)
                con.execute("COMMIT")
                self._blanks[schema] = name
            con.execute(f"USE {self._blanks[schema]}; BEGIN TRANSACTION READ ONLY")
            yield con
        except BaseException:
            con.close()
            self._attached -= 1
            self._give_up()
            raise
        con.close()
        self._attached -= 1

    def _detach(self, name: str, *, failed: bool) -> None:
        import duckdb

        self._attached -= 1
        try:
            self._root.execute(f"DETACH {name}")
        except duckdb.Error:
            # After an error that DuckDB calls fatal, or on a full disk. What was committed is in
            # the file or in its log.
            failed = True
        if failed or self.given_up:
            self._give_up()

    def _give_up(self) -> None:
        """Leave whatever may still be attached: the thread gets another instance."""
        self.given_up = True
        if not self._attached:  # by a block around this one, of another file
            self._root.close()
