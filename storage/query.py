"""SQL over the vectors and the catalog, in DuckDB.

A session works on a copy of the catalog's few rows and on the Lance tables at their published
versions, so that it holds no lock and sees no half of a run however long it lasts.
"""

from __future__ import annotations

import re
import shutil
import sys
import tempfile
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from storage import own_files, refused, views
from storage.calls import answered
from storage.damage import told
from storage.model import StorageError, UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    import duckdb
    import pyarrow as pa

    from storage.calls import Function
    from storage.catalog import Catalog
    from storage.vectors import Vectors

    Connection: TypeAlias = duckdb.DuckDBPyConnection
    Relation: TypeAlias = duckdb.DuckDBPyRelation

_CHANGES = frozenset({"ALTER", "DELETE", "DROP", "INSERT", "MERGE_INTO", "UPDATE"})


class QueryError(UsageError):
    """A statement that DuckDB refuses; in DuckDB's own words."""


def connect(
    catalog: Catalog, vectors: Vectors, moment: datetime | None = None
) -> duckdb.DuckDBPyConnection:
    """A DuckDB connection over the store as it is published now, or was at a moment.

    Each feature is a view of its live version under its own name, each version a view such as
    ``articles_v3``; the catalog's tables stand beside them. Views have the columns of
    `storage.vectors.SYSTEM_COLUMNS` and then the kept ones; ``vector`` is ``FLOAT[dim]``. What a
    history adds is told in `storage.views`, and in `storage.moments` what is shown of a moment.
    """
    import duckdb

    con = duckdb.connect()
    # Else FROM run, where runs was meant, finds a variable of ours of that name.
    con.execute("SET TimeZone = 'UTC'; SET python_enable_replacements = false")
    views.create(con, catalog, vectors, moment)
    return con


def run(
    con: duckdb.DuckDBPyConnection, sql: str, functions: Sequence[Function] = ()
) -> duckdb.DuckDBPyRelation:
    """Run statements, of which one gives rows; these are fetched by who has the relation.

    Args:
        con: of `connect`.
        sql: the statements.
        functions: table functions that they may call (`storage.calls`).

    Raises:
        QueryError: if DuckDB refuses it, with DuckDB's own words and the names there are; if no
            statement gives rows, or more than one; or if one would change the session's copy.
    """
    import duckdb

    try:
        with warnings.catch_warnings():
            # DuckDB says that SHOW and DESCRIBE are copied; there is nothing to do about it.
            warnings.simplefilter("ignore", UserWarning)
            statements = con.extract_statements(answered(con, sql, functions))
            _check(statements)
            own_files.refuse(con, statements)
            for statement in statements[:-1]:
                con.execute(statement)
            relation = con.sql(statements[-1].query)
    except duckdb.Error as error:
        raise (told(error) or QueryError(refused.statement(con, error))) from error
    if relation is None:
        return con.sql("SELECT 'done' AS status")
    return relation


def table(relation: duckdb.DuckDBPyRelation) -> pa.Table:
    """All rows of a relation.

    Raises:
        QueryError: if the statement fails on one of them.
    """
    import duckdb

    try:
        return relation.to_arrow_table()
    except duckdb.Error as error:
        raise (told(error) or QueryError(str(error))) from error


def _check(statements: Sequence[Any]) -> None:
    if not statements:
        raise QueryError("there is no statement; give one such as 'FROM runs'")
    kinds = [statement.type.name for statement in statements]
    lost = [kind for kind in kinds if kind in _CHANGES]
    if lost:
        raise QueryError(f"{lost[0]} {refused.A_COPY}")
    if kinds[:-1].count("SELECT"):
        raise QueryError(
            f"only the rows of one statement can be shown, and it must be the last; got "
            f"{kinds.count('SELECT')} that give rows"
        )


_LISTS_NAMES = re.compile(
    r"\s*((SELECT [\w, *]+ )?FROM\s*\(\s*)?(SHOW|DESCRIBE|DESC|SUMMARIZE)\b", re.IGNORECASE
)
_NAMES = 100_000
"""Tables or columns that are shown, which is all of them."""

_SHOWN_BYTES = (
    "'<' || format('{{:.1f}}', octet_length({0}) / 1000) || ' kB' || "
    "CASE WHEN hex({0}) LIKE '52494646________57454250%' THEN ' webp>' ELSE '>' END"
)


def _without_bytes(relation: duckdb.DuckDBPyRelation, form: str) -> duckdb.DuckDBPyRelation:
    """Rows with what a form says of bytes, such as those of a thumbnail, in their place."""
    types = zip(relation.columns, relation.types, strict=True)
    names = [_quoted(name) for name, type_ in types if type_ == "BLOB"]
    return _replaced(relation, {name: form.format(name) for name in names})


_WIDE = re.compile(r"(?:FLOAT|DOUBLE)\[(\d+)\]")
_LEADING = 3
"""Numbers of a vector that are shown; a person reads no more, and a pipe has no width to cut at."""


def _shortened(relation: duckdb.DuckDBPyRelation) -> duckdb.DuckDBPyRelation:
    """Rows with the first numbers of each vector, and how many it has."""
    found = {}
    for name, type_ in zip(relation.columns, relation.types, strict=True):
        wide = _WIDE.fullmatch(str(type_))
        if wide is None or int(wide[1]) <= _LEADING + 1:
            continue
        quoted = _quoted(name)
        shown = " || ', ' || ".join(f"printf('%.4g', {quoted}[{n + 1}])" for n in range(_LEADING))
        found[quoted] = f"'[' || {shown} || ', … of {wide[1]}]'"
    return _replaced(relation, found)


def _replaced(
    relation: duckdb.DuckDBPyRelation, columns: Mapping[str, str]
) -> duckdb.DuckDBPyRelation:
    """Rows with expressions in the place of some columns, whose names are quoted."""
    if not columns:
        return relation
    told = ", ".join(f"{form} AS {name}" for name, form in columns.items())
    return relation.project(f"* REPLACE ({told})")


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def as_table(relation: duckdb.DuckDBPyRelation, width: int, statement: str = "") -> str:
    """The rows as a table for a terminal of that width, ending with a newline.

    Of more than 20 rows DuckDB leaves out the middle; where ``statement`` asks which tables or
    columns there are, none is left out, since the one that is missing may be the one that is meant.
    """
    import contextlib
    import io

    import duckdb

    text = io.StringIO()
    try:
        with contextlib.redirect_stdout(text):
            shown = _shortened(_without_bytes(relation, _SHOWN_BYTES))
            rows = _NAMES if _LISTS_NAMES.match(statement) else None
            shown.show(max_width=width, max_rows=rows)
    except duckdb.Error as error:  # rows are fetched only now, and a cast may fail on one
        raise (told(error) or QueryError(str(error))) from error
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
    beside = None if output is None else output.absolute().parent
    if beside is not None and not beside.is_dir():
        raise UsageError(f"there is no folder {beside}; make it, or name another --output")
    try:
        with tempfile.TemporaryDirectory(prefix=".vecmill-sql-", dir=beside) as folder:
            path = Path(folder) / "rows"
            if form != "parquet":  # neither CSV nor JSON has bytes
                relation = _without_bytes(relation, "base64({0})")
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
        raise (told(error) or QueryError(str(error))) from error
