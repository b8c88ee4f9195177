"""Table functions of ours within a statement: ``FROM knn('articles', 'a query', 10)``.

DuckDB's Python has no table functions, so each call is answered before the statement runs, and a
table of the answer put in its place. The statement is cut by DuckDB's own tokeniser and arguments
are read by a DuckDB macro of the function's name, so that strings, comments, named arguments and
subqueries mean what they mean anywhere, and wrong ones are refused in the same words.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from storage.model import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import duckdb
    import pyarrow as pa


@dataclass(frozen=True)
class Function:
    """A table function.

    Attributes:
        name: in lower-case letters.
        required: its first argument.
        optional: the others, in order, and what each is where it is not given, as SQL.
        answer: the table of a call, from its arguments by name.
    """

    name: str
    required: str
    optional: Mapping[str, str]
    answer: Callable[[Mapping[str, Any]], pa.Table]


@dataclass(frozen=True)
class _Token:
    """A word of a statement, in bytes from its beginning."""

    start: int
    end: int
    text: str
    kind: str


def answered(con: duckdb.DuckDBPyConnection, sql: str, functions: Sequence[Function]) -> str:
    """A statement whose calls of some functions are names of tables with their answers.

    These tables last until the next statement is answered so.

    Raises:
        UsageError: if a call stands where no table can.
        duckdb.Error: if its arguments make no sense.
    """
    known = {function.name: function for function in functions}
    data = sql.encode()
    tokens = _tokens(sql) if any(name in sql.lower() for name in known) else []
    parts, at, number = [], 0, 0
    for place, token in enumerate(tokens):
        function = known.get(token.text.strip('"').lower())
        if function is None or token.kind != "identifier" or token.start < at:
            continue
        close = _closing(tokens, place + 1)
        if close is None:
            continue  # a column or a table that is called so
        _check_place(tokens, place, function.name)
        number += 1
        table = f"vecmill_{function.name}_{number}"
        arguments = data[tokens[place + 1].end : tokens[close].start].decode()
        con.register(table, function.answer(_arguments(con, function, arguments)))
        parts += [data[at : token.start].decode(), table, _alias(tokens, close, function.name)]
        at = tokens[close].end
    return "".join([*parts, data[at:].decode()])


def _arguments(con: duckdb.DuckDBPyConnection, function: Function, given: str) -> Mapping[str, Any]:
    names = [function.required, *function.optional]
    optional = "".join(f', "{name}" := {value}' for name, value in function.optional.items())
    packed = ", ".join(f"'{name}': \"{name}\"" for name in names)
    con.execute(
        f"CREATE OR REPLACE TEMP MACRO {function.name}({function.required}{optional}) AS "
        f"{{{packed}}}"
    )
    ((found,),) = con.execute(f"SELECT {function.name}({given}\n)").fetchall()
    arguments: Mapping[str, Any] = found
    return arguments


def _tokens(sql: str) -> list[_Token]:
    import duckdb

    data = sql.encode()
    found = [(at, kind.name) for at, kind in duckdb.tokenize(sql)]
    ends = [*(at for at, _ in found), len(data)][1:]
    tokens = []
    for (at, kind), end in zip(found, ends, strict=True):
        if kind == "comment":
            continue
        text = data[at:end].decode().rstrip()
        if kind == "operator":
            text = text[:1]
        tokens.append(_Token(at, at + len(text.encode()), text, kind))
    return tokens


def _closing(tokens: Sequence[_Token], place: int) -> int | None:
    """Where the bracket is closed that stands at a place; None where none stands there."""
    depth = 0
    for at in range(place, len(tokens)):
        if tokens[at].kind == "operator":
            depth += {"(": 1, ")": -1}.get(tokens[at].text, 0)
        if depth == 0:
            return at if at > place else None
    return None


def _check_place(tokens: Sequence[_Token], place: int, name: str) -> None:
    before = tokens[place - 1].text.lower() if place else ""
    if before not in {"from", "join", ",", "lateral", "using"}:
        raise UsageError(
            f"{name}(...) is a table and stands where tables do: FROM {name}('articles', ...), or "
            f"JOIN {name}(...)"
        )


def _alias(tokens: Sequence[_Token], close: int, name: str) -> str:
    """The name that a call goes by where none is given to it."""
    after = tokens[close + 1] if close + 1 < len(tokens) else None
    named = after is not None and (after.kind == "identifier" or after.text.lower() == "as")
    return "" if named else f" AS {name}"


def last_semicolon(sql: str) -> int:
    """How many characters of some text are statements that are whole, up to a last semicolon."""
    ends = [token.end for token in _tokens(sql) if token.kind == "operator" and token.text == ";"]
    return len(sql.encode()[: ends[-1]].decode()) if ends else 0
