"""A query wrapped so that only some columns and rows of it are asked for.

Values are bound, never pasted. The query stands on lines of its own, so that a comment at its end
ends there.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from flows.sources._params import ParamError
from flows.sources._rows import From

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from flows.sources._rows import Only

_COMMENT = re.compile(r"\s+|--[^\n]*(?:\n|\Z)|/\*.*?\*/|\(", re.DOTALL)
_READING = ("select", "with", "values", "table", "from")


def check_select(sql: str) -> str:
    """A query without the semicolon at its end.

    Raises:
        ParamError: if it begins like a statement that is no query.
    """
    rest = sql
    while found := _COMMENT.match(rest):
        rest = rest[found.end() :]
    word = re.match(r"\w*", rest)
    if word is None or word[0].lower() not in _READING:
        shown = word[0] if word and word[0] else rest[:20]
        raise ParamError(f"sql must be a query that begins with SELECT or WITH, got {shown!r}")
    return re.sub(r"[\s;]+\Z", "", sql)


def quoted(name: str) -> str:
    """A name as SQL writes it."""
    return '"' + name.replace('"', '""') + '"'


def whole(sql: str) -> str:
    """All of a query, as a query of its own."""
    return f"SELECT * FROM (\n{sql}\n) AS vecmill_rows"  # noqa: S608 - the user's own query


def part(sql: str, columns: Iterable[str], where: str = "") -> str:
    """Some columns and rows of a query; ``columns`` are SQL."""
    shown = ", ".join(columns)
    inner = f"SELECT {shown} FROM (\n{sql}\n) AS vecmill_rows"  # noqa: S608 - the user's own query
    return f"{inner} WHERE {where}" if where else inner


def condition(
    only: Only, kind: str, mark: Callable[[int], str], bound: Callable[[str], object] = str
) -> tuple[str, list[object]]:
    """What the wanted rows fulfil, and the values to bind.

    Rows without a cursor are always wanted, since nothing tells whether they are new.

    Args:
        only: the rows.
        kind: of the window's column: ``date``, ``timestamp`` (without a zone, in UTC) or
            ``timestamptz``.
        mark: the placeholder for the value of a number, from 1.
        bound: what to bind for a cursor.
    """
    column = quoted(only.column)
    if isinstance(only, From):
        return f"({column} >= {mark(1)} OR {column} IS NULL)", [bound(only.cursor)]
    # the last day of a window begins before its end
    ends = [(only.since, ">="), (only.until, "<=" if kind == "date" else "<")]
    given = [(_moment(end, kind), sign) for end, sign in ends if end is not None]
    terms = [f"{column} {sign} {mark(n)}" for n, (_, sign) in enumerate(given, 1)]
    return " AND ".join(terms), [value for value, _ in given]


def _moment(moment: datetime, kind: str) -> str:
    there = moment.astimezone(UTC)
    if kind == "date":
        return there.date().isoformat()
    return (there.replace(tzinfo=None) if kind == "timestamp" else there).isoformat(" ")
