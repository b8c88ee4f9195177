"""SQL conditions over the columns of a table, as Lance takes them.

A user writes DuckDB's SQL, as everywhere else; Lance has a dialect of its own, in which a name that
is not all lower-case letters wants backticks. DuckDB says what is wrong with a condition, since its
words are the better ones, and Lance what it cannot do.
"""

from __future__ import annotations

from re import search
from typing import TYPE_CHECKING, Any

from storage.model import UsageError
from storage.nearest import perhaps

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import duckdb
    import pyarrow as pa


_SECONDS = 10.0
"""How long a condition may take over no rows; none that Lance takes needs a moment."""
_MISFIT = r"literal \w+\((.*)\) and could not convert to literal of type '(\w+)'"
_TYPES = {"Utf8": "text", "LargeUtf8": "text", "Int64": "integer", "Float64": "number"}


def literal(text: str) -> str:
    """A SQL string literal; ids come from records, so quotes in them must not end it."""
    return "'" + text.replace("'", "''") + "'"


def other_than(column: str, value: str) -> str:
    """That a column of texts holds another value, and holds one."""
    return f"`{column}` <> {literal(value)}"


def both(*conditions: str | None) -> str | None:
    """All of some conditions, those that are None left out; None where all are."""
    given = [f"({condition})" for condition in conditions if condition is not None]
    return " AND ".join(given) or None


def for_lance(dataset: Any, given: str, what: str) -> str:  # noqa: ANN401 - pylance ships no types
    """A condition in DuckDB's SQL over the columns of a table, as a filter for Lance.

    Args:
        dataset: the table at one state.
        given: the condition, as the user wrote it.
        what: the feature, for messages.

    Raises:
        UsageError: if it names a column that is not there, or the vector; if DuckDB makes no sense
            of it; or if Lance cannot filter by it.
    """
    columns = [name for name in dataset.schema.names if name != "vector"]
    _check(dataset.schema, given, what, columns)
    told = _renamed(given, columns)
    try:
        dataset.scanner(columns=columns[:1], filter=told).explain_plan()
    except (ValueError, OSError, RuntimeError) as error:
        why = str(error).splitlines()[0].partition(", /")[0]
        misfit = search(
            r"literal \w+\((.*)\) and could not convert to literal of type '(\w+)'", why
        )
        if misfit is not None:
            raise UsageError(
                f"the condition {given!r} over {what} compares {misfit[1]} with a column of type "
                f"{_TYPES.get(misfit[2], misfit[2])}; a text stands in single quotes, a number "
                "in none"
            ) from error
        raise UsageError(
            f"the condition {given!r} cannot be pushed down to the vectors of {what}: {why}. "
            "Comparisons, IN, LIKE, IS NULL, AND, OR and NOT can, and a time is written TIMESTAMP "
            "'2026-01-31'; for all else ask `vecmill sql`, where knn() gives the nearest as a table"
        ) from error
    return told


def _check(schema: pa.Schema, given: str, what: str, columns: Sequence[str]) -> None:
    """Have DuckDB read a condition over a table of these columns that has no rows.

    It is shut off meanwhile: a subquery could read files, and an error quote them.
    """
    import duckdb

    from storage import guarded

    empty = schema.empty_table().select(columns)
    with duckdb.connect() as con:
        con.execute("SET TimeZone = 'UTC'")
        con.register("rows", empty)
        guarded.shut(con, [], guarded.Limits())
        try:
            if len(con.extract_statements(f"SELECT ({given}\n)")) != 1:
                raise UsageError(f"a condition is one expression, got {given!r}")
            _check_brackets(con, given, what)
            with guarded.stopping(con, _SECONDS):
                con.sql(f"SELECT record_id FROM rows WHERE ({given}\n)").fetchall()
        except duckdb.Error as error:
            raise UsageError(_told(error, given, what, columns)) from error


def _check_brackets(con: duckdb.DuckDBPyConnection, given: str, what: str) -> None:
    """Refuse a condition that makes sense only since it closes the bracket around it.

    Beside other conditions it would take these apart: ``a) OR (b``.
    """
    import duckdb

    try:
        con.extract_statements(f"SELECT [{given}\n]")
    except duckdb.Error as error:
        raise UsageError(
            f"the condition {given!r} over {what} closes a bracket that it does not open"
        ) from error


def _told(error: Exception, given: str, what: str, columns: Sequence[str]) -> str:
    lost = search(r'Referenced (?:column|table) "([^"]*)" not found', str(error))
    if lost is None:
        told = str(error).splitlines()
        meant = " ".join(line for line in told[1:] if line.startswith("Did you mean"))
        # The bracket is ours, which stands around the condition.
        early = given.count("(") == given.count(")") and 'at or near ")"' in told[0]
        why = "it ends where something is to follow" if early else told[0]
        return f"the condition {given!r} over {what}: {' '.join(filter(None, [why, meant]))}"
    if lost[1] == "vector":
        return (
            "a condition cannot be by the vector, which a search compares already; it may be by: "
            + ", ".join(columns)
        )
    hint = perhaps(lost[1], columns) or "."
    return (
        f"the condition {given!r} names {lost[1]!r}, which is no column of {what}{hint} There are: "
        f"{', '.join(columns)}. What else the source has can be kept: keep = [...]"
    )


def _renamed(given: str, columns: Sequence[str]) -> str:
    """A condition with the names of columns in backticks and as they are written in the table."""
    known = {name.lower(): name for name in columns}
    parts = []
    for word, is_name, follows in _tokens(given):
        # Lance knows no other type of moments, and holds it against UTC.
        text = "TIMESTAMP" if word.upper() == "TIMESTAMPTZ" else word
        name = text[1:-1].replace('""', '"') if text.startswith('"') else text
        # year(event_time) and date '2026-01-01' are no columns, whatever columns are called.
        column = known.get(name.lower()) if is_name and follows not in {"(", "'"} else None
        parts.append(text if column is None else f"`{column}`")
    return " ".join(parts)


def _tokens(given: str) -> Iterator[tuple[str, bool, str]]:
    """The words of a statement, whether each may be a column, and the character after it."""
    import duckdb

    with duckdb.connect() as con:
        reserved = con.execute(
            "SELECT keyword_name FROM duckdb_keywords() WHERE keyword_category = 'reserved'"
        ).fetchall()
    never = {word for (word,) in reserved}
    data = given.encode()
    found = [(at, kind.name) for at, kind in duckdb.tokenize(given)]
    ends = [*(at for at, _ in found[1:]), len(data)]
    for (at, kind), end in zip(found, ends, strict=True):
        if kind == "comment":
            continue
        text = data[at:end].decode().strip()
        is_name = kind in {"identifier", "keyword"} and text.lower() not in never
        yield text, is_name, data[end : end + 1].decode(errors="replace")
