"""A SQL session for statements of people who may read the store, and nothing else of the machine.

What `storage.query.connect` gives runs with the rights of its user: it reads files and writes them.
Here the session is shut off first, by DuckDB's own settings (duckdb.org/docs, "Securing DuckDB"):
no file, no network, no extension, no Python object, and none of these settings can be set again.
Nor does it tell where files lie (`storage.untold`).
"""

from __future__ import annotations

import threading
from bisect import bisect_right
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from storage import query, untold
from storage.calls import answered
from storage.damage import told
from storage.model import UsageError
from storage.query import QueryError
from storage.views import HIDDEN

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    import pyarrow as pa

    from storage.calls import Function
    from storage.query import Connection, Relation

_READING = frozenset({"SELECT", "EXPLAIN"})
_BATCH = 1_000


@dataclass(frozen=True)
class Limits:
    """What one statement may take.

    Attributes:
        seconds: to answer.
        rows: that are fetched.
        bytes: of these rows, after which no more are fetched.
        memory: bytes that DuckDB may hold; what needs more fails, and nothing is put on disk.
    """

    seconds: float = 30.0
    rows: int = 10_000
    bytes: int = 32_000_000
    memory: int = 2_000_000_000


@dataclass(frozen=True)
class Rows:
    """What a statement gave.

    Attributes:
        table: the rows that were fetched.
        cut: why there are no more of them; None where these are all.
    """

    table: pa.Table
    cut: str | None


def load() -> None:
    """Import DuckDB, and what it hands rows on by, which takes longer than most statements."""
    import duckdb

    with duckdb.connect() as con:
        con.sql("SELECT 1").to_arrow_table()


def shut(con: Connection, files: Sequence[Path], limits: Limits) -> None:
    """Shut a session off from the machine, for good.

    Args:
        con: of `storage.query.connect`; its views stay.
        files: what its views read, such as the file of a clustering, and may be read.
        limits: see there.
    """
    con.execute(f"DROP TABLE IF EXISTS {HIDDEN}.store")  # where the store lies; nothing is written
    allowed = ", ".join("'" + str(file).replace("'", "''") + "'" for file in files)
    for setting in (
        f"memory_limit = '{limits.memory}B'",
        "temp_directory = ''",
        "autoinstall_known_extensions = false",
        "autoload_known_extensions = false",
        "python_enable_replacements = false",
        f"allowed_paths = [{allowed}]",
        "enable_external_access = false",
        "lock_configuration = true",
    ):
        con.execute(f"SET {setting}")


def ask(con: Connection, sql: str, functions: Sequence[Function], limits: Limits) -> Rows:
    """The rows of one statement that reads.

    Args:
        con: of `shut`.
        sql: the statement.
        functions: table functions that it may call (`storage.calls`).
        limits: see there.

    Raises:
        QueryError: if it is no such statement, DuckDB refuses it, or it takes too long.
    """
    _check(con, sql)
    # What functions take is not counted, since an encoder may have to be loaded; arguments are.
    ready = _answered(con, sql, functions, limits)
    con.execute("BEGIN TRANSACTION READ ONLY")  # WITH may lead what writes
    try:
        with _in_time(con, limits):
            return _fetched(query.run(con, ready), limits)
    finally:
        con.execute("ROLLBACK")


@contextmanager
def _in_time(con: Connection, limits: Limits) -> Iterator[None]:
    """Stop what takes too long within the block, and say so."""
    with stopping(con, limits.seconds) as late:
        try:
            yield
        except UsageError as error:
            if not late.is_set():
                raise
            raise too_late(limits) from error


def too_late(limits: Limits) -> QueryError:
    """That a statement was stopped since it took too long."""
    return QueryError(
        f"this took longer than {limits.seconds:g} s and was stopped; ask for less, or use "
        "`vecmill sql`, which waits"
    )


@contextmanager
def stopping(con: Connection, seconds: float) -> Iterator[threading.Event]:
    """Stop what a session does within the block once it has taken so long.

    Yields:
        Set once that was so: what DuckDB raises then is about that.
    """
    late = threading.Event()

    def stop() -> None:
        late.set()
        con.interrupt()

    timer = threading.Timer(seconds, stop)
    timer.daemon = True
    timer.start()
    try:
        yield late
    finally:
        timer.cancel()
        timer.join()  # so that it stops no later statement


def _check(con: Connection, sql: str) -> None:
    import duckdb

    try:
        kinds = [statement.type.name for statement in con.extract_statements(sql)]
    except duckdb.Error as error:
        raise QueryError(str(error)) from error
    if len(kinds) != 1:
        raise QueryError(f"one statement is answered at a time, got {len(kinds)}")
    if kinds[0] not in _READING:
        raise QueryError(
            f"{kinds[0]} is not answered here: only what reads is, such as SELECT, FROM, WITH, "
            "DESCRIBE, SHOW, SUMMARIZE and EXPLAIN; `vecmill sql` takes more"
        )
    if (why := untold.told(sql)) is not None:
        raise QueryError(why)


def _answered(con: Connection, sql: str, functions: Sequence[Function], limits: Limits) -> str:
    import duckdb

    try:
        return answered(con, sql, functions, partial(_in_time, con, limits))
    except duckdb.Error as error:
        raise QueryError(str(error)) from error


def _fetched(relation: Relation, limits: Limits) -> Rows:
    """The first rows, as many as are allowed."""
    import duckdb
    import pyarrow as pa

    batches, rows, size = [], 0, 0
    cut = None
    try:
        # Closed before anything is raised: a session takes nothing more while a result is open.
        with relation.limit(limits.rows + 1).to_arrow_reader(_BATCH) as reader:
            for batch in reader:
                fits = _fitting(batch, limits.bytes - size)
                batches.append(batch.slice(0, fits))
                rows, size = rows + fits, size + batches[-1].nbytes
                if rows > limits.rows:
                    cut = f"the first {limits.rows:,} rows; there are more"
                elif fits < batch.num_rows:
                    cut = f"the first {rows:,} rows: more would be over {limits.bytes // 10**6} MB"
                if cut is not None:
                    break
        table = pa.Table.from_batches(batches, schema=reader.schema)
    except (duckdb.Error, pa.ArrowException, OSError) as error:  # as Arrow hands them on
        raise (told(error) or QueryError(str(error))) from error
    if cut and not rows:
        raise QueryError(
            f"the first row alone is over {limits.bytes // 10**6} MB; ask for less of it, such as "
            "left(column, 1000)"
        )
    return Rows(table.slice(0, limits.rows), cut)


def _fitting(batch: pa.RecordBatch, room: int) -> int:
    """How many rows of a batch, from its first, are no larger than some bytes."""
    if batch.nbytes <= room:
        return int(batch.num_rows)
    within = range(batch.num_rows + 1)
    return bisect_right(within, room, key=lambda rows: int(batch.slice(0, rows).nbytes)) - 1
