"""What DuckDB refuses, in words about what the user wrote: which name is wrong, and what is near.

Calls of our functions (`storage.calls`) are replaced before a statement runs, so that DuckDB's own
words may be about a statement that nobody wrote.
"""

from __future__ import annotations

import re
from itertools import pairwise
from typing import TYPE_CHECKING

from storage import views
from storage.database import fetch
from storage.model import UsageError
from storage.nearest import perhaps

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import duckdb

    from storage.calls import Function, Token

A_COPY = (
    "would change a copy that is gone when the session ends; vectors change by `vecmill run` and "
    "`vecmill erase`, and rows of one's own go into a CREATE TABLE ... AS SELECT"
)
_CHANGES = re.compile(
    r"Can only (delete from|update|merge into|modify) |is not an? table$|"
    r"is of type View, trying to (replace with|drop) type Table", re.MULTILINE
)  # fmt: skip
_TABLE = re.compile(r"Table(?P<function> Function)? with name \"?(?P<name>.+?)\"? does not exist")
_COLUMN = re.compile(
    r'Referenced column "(?P<a>[^"]*)" not found|does not have a column named "(?P<b>[^"]*)"|'
    r'Column "+(?P<c>[^"]*)"+ (does not exist|in \w+ list not found|referenced in UNPIVOT)|'
    r'No matching columns found that match regex "(?P<d>[^"]*)"|'
    r'column "(?P<e>[^"]*)" must appear in the GROUP BY'
)
_ALIAS = re.compile(r'Referenced table "(?P<name>[^"]*)" not found')
_CANDIDATES = re.compile(r"(?:Candidate \w+:|Did you mean:?)[: ]*(?P<names>.*)")
_OURS = re.compile(r"vecmill\.(\w+?)_\d+")


def call(function: Function, given: str, tokens: Sequence[Token], error: Exception) -> UsageError:
    """Why a call makes no sense.

    Args:
        function: what is called.
        given: its arguments, as the user wrote them.
        tokens: the words of these arguments.
        error: what DuckDB says of them.
    """
    why = _argument(function, tokens, str(error))
    said = f"{function.name}({given.strip()}) cannot be called: {why}"
    return UsageError(f"{said}\nIt takes {function.signature}")


def _argument(function: Function, tokens: Sequence[Token], error: str) -> str:
    """What is wrong with the arguments of a call."""
    names = [function.required, *function.optional]
    named = _named(tokens)
    for name, sign in named.items():
        if sign != "=" and name.lower() not in names:
            return f"it has no argument {name!r}{perhaps(name, names)}"
        if sign == "=" and name.lower() in names:
            return f"an argument is named with :=, as in {name} := ..."
    lost = re.search(r'Referenced column "([^"]*)"', error)
    if lost is not None:
        return (
            f"{lost[1]!r} stands there as a column, and a call cannot name columns of the "
            f"statement around it; a text wants quotes: '{lost[1]}'"
        )
    if not tokens:
        return f"it needs a {function.required}"
    if "does not support the supplied arguments" in error:
        return f"it takes {len(names)} arguments at most, each once, and those by name last"
    return error.split("\n", 1)[0].partition(": ")[2] or error


def _named(tokens: Sequence[Token]) -> Mapping[str, str]:
    """The words that a sign of naming follows, outside of brackets, and that sign."""
    found, depth = {}, 0
    for token, after in pairwise(tokens):
        depth += {"(": 1, "[": 1, "{": 1, ")": -1, "]": -1, "}": -1}.get(token.text, 0)
        begins = token.kind == "identifier" or token.text.isidentifier()
        if depth == 0 and begins and after.text in {":", "="}:
            found[token.text.strip('"')] = after.whole
    return found


def statement(con: duckdb.DuckDBPyConnection, error: Exception) -> str:
    """Why a statement makes no sense: DuckDB's words, and the names that there are."""
    told = str(error)
    if _OURS.search(told):  # a line of the statement as it was run, with a mark below it
        told = _OURS.sub(lambda found: f"{found[1]}(...)", told.partition("\n\nLINE ")[0])
    table = _TABLE.search(told)
    if table is not None:
        return _no_table(con, table["name"], function=table["function"] is not None)
    if _CHANGES.search(told):
        return f"this {A_COPY}"
    alias = _ALIAS.search(told)
    if alias is not None:
        guess = perhaps(alias["name"], _candidates(told))
        return f"there is no table {alias['name']!r} in FROM{guess}"
    column = _COLUMN.search(told)
    return told if column is None else _no_column(con, told, column)


def _no_column(con: duckdb.DuckDBPyConnection, told: str, found: re.Match[str]) -> str:
    name = next(name for name in found.groupdict().values() if name is not None)
    every = _columns(con)
    if found["e"] is not None and name in every:
        return told  # it is there, and has to be grouped by
    guess = perhaps(name, _candidates(told) or every)
    return (
        f"there is no column {name!r} in what FROM names"
        f"{guess or '; DESCRIBE TABLE shows what a table has'}"
    )


def _candidates(told: str) -> list[str]:
    """The names that DuckDB thinks of."""
    found = _CANDIDATES.search(told)
    return re.findall(r'"([^"]*)"', found["names"]) if found else []


def _no_table(con: duckdb.DuckDBPyConnection, name: str, *, function: bool) -> str:
    there = names(con)
    gone = "".join(f"\n{one} cannot be had: {why}" for one, why in views.missing(con).items())
    what = "table function" if function else "table or view"
    guess = perhaps(name, [*there, "knn"])
    return f"there is no {what} {name!r}{guess}\nThere are: {', '.join(there)}{gone}"


def names(con: duckdb.DuckDBPyConnection) -> list[str]:
    """The tables and views that a session shows."""
    return [row["name"] for row in fetch(con, "SELECT name FROM (SHOW TABLES)")]


def _columns(con: duckdb.DuckDBPyConnection) -> list[str]:
    found = fetch(con, "SELECT DISTINCT column_name FROM duckdb_columns() WHERE NOT internal")
    return [row["column_name"] for row in found]
