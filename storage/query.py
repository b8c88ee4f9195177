"""SQL over the vectors and the catalog, in DuckDB.

A session works on a copy of the catalog's few rows and on the Lance tables at their published
versions, so that it holds no lock and sees no half of a run however long it lasts.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from storage.catalog import PUBLISHED
from storage.model import StorageError, UsageError

if TYPE_CHECKING:
    import duckdb

    from storage.catalog import Catalog
    from storage.vectors import Vectors


class QueryError(UsageError):
    """A statement that DuckDB refuses; in DuckDB's own words."""


def connect(catalog: Catalog, vectors: Vectors) -> duckdb.DuckDBPyConnection:
    """A DuckDB connection over the store as it is published now.

    Each feature is a view of its live version under its own name, each version a view such as
    ``articles_v3``; the catalog's tables stand beside them. Views have the columns of
    `storage.vectors.SYSTEM_COLUMNS` and then the kept ones; ``vector`` is ``FLOAT[dim]``.
    """
    import duckdb

    con = duckdb.connect()
    con.execute("SET TimeZone = 'UTC'")
    tables = catalog.tables()
    for name, table in tables.items():
        con.register("copied", table)
        con.execute(f"CREATE TABLE {name} AS FROM copied")
        con.unregister("copied")
    # From the copy, so that views and catalog show the same moment.
    published = (
        f"SELECT feature, version, standing, lance_version FROM ({PUBLISHED}) "
        "JOIN versions USING (feature, version)"
    )
    for feature, number, standing, lance_version in con.execute(published).fetchall():
        table = f"{feature}_v{number}"
        dataset = vectors.dataset(table, lance_version)
        con.register(table, dataset)
        if standing == "live":
            con.register(feature, dataset)
    return con


def run(con: duckdb.DuckDBPyConnection, sql: str) -> duckdb.DuckDBPyRelation:
    """Run one statement; its rows are fetched by what the caller does with the relation.

    Raises:
        QueryError: if DuckDB refuses it, with DuckDB's own words and the names there are.
    """
    import duckdb

    try:
        with warnings.catch_warnings():
            # DuckDB says that SHOW and DESCRIBE are copied; there is nothing to do about it.
            warnings.simplefilter("ignore", UserWarning)
            relation = con.sql(sql)
    except duckdb.CatalogException as error:
        names = [row[0] for row in con.execute("SELECT name FROM (SHOW TABLES)").fetchall()]
        raise QueryError(f"{error}\nThere are: {', '.join(names)}") from error
    except duckdb.Error as error:
        raise QueryError(str(error)) from error
    if relation is None:
        return con.sql("SELECT 'done' AS status")
    return relation


def as_table(relation: duckdb.DuckDBPyRelation, width: int) -> str:
    """The first rows as a table for a terminal of that width, ending with a newline."""
    import contextlib
    import io

    import duckdb

    text = io.StringIO()
    try:
        with contextlib.redirect_stdout(text):
            relation.show(max_width=width)
    except duckdb.Error as error:  # rows are fetched only now, and a cast may fail on one
        raise QueryError(str(error)) from error
    return text.getvalue()


def export(
    relation: duckdb.DuckDBPyRelation,
    form: Literal["csv", "json", "parquet"],
    output: Path | None,
) -> None:
    """Write all rows to a file, whole or not at all; to standard output where none is named.

    Raises:
        QueryError: if the statement fails on one of its rows.
        StorageError: if the file cannot be written.
    """
    import duckdb

    options = {
        "csv": "FORMAT csv, HEADER",
        "json": "FORMAT json, ARRAY",
        "parquet": "FORMAT parquet",
    }
    # Beside the output, since only within one file system is a file replaced in one go.
    beside = None if output is None else output.parent
    try:
        with tempfile.TemporaryDirectory(prefix=".vecmill-sql-", dir=beside) as folder:
            path = Path(folder) / "rows"
            target = str(path).replace("'", "''")
            relation.query("answer", f"COPY answer TO '{target}' ({options[form]})")
            if output is None:
                with path.open("rb") as rows:
                    shutil.copyfileobj(rows, sys.stdout.buffer)
                sys.stdout.flush()
            else:
                path.replace(output)
    except BrokenPipeError:
        raise  # the reader of the pipe has what it wanted: no fault
    except (duckdb.IOException, OSError) as error:
        raise StorageError(f"cannot write the rows: {error}") from error
    except duckdb.Error as error:
        raise QueryError(str(error)) from error
