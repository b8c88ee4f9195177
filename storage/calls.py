"""Table functions of ours within a statement: ``FROM knn('articles', 'a query', 10)``.

DuckDB's Python has no table functions, so each call is answered before the statement runs, and a
table of the answer put in its place. The statement is cut by DuckDB's own tokeniser and arguments
are read by a DuckDB macro of the function's name, so that strings, comments, named arguments and
subqueries mean what they mean anywhere, and wrong ones are refused in the same words.
"""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from storage.model import UsageError
from storage.views import HIDDEN

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from contextlib import AbstractContextManager

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

    @property
    def signature(self) -> str:
        """How it is called."""
        given = [name if v == "NULL" else f"{name} := {v}" for name, v in self.optional.items()]
        return f"{self.name}({', '.join([self.required, *given])})"


@dataclass(frozen=True)
class Token:
    """A word of a statement, in bytes from its beginning.

    Attributes:
        text: the word; of an operator the first sign.
        whole: all of it.
    """

    start: int
    end: int
    text: str
    kind: str
    whole: str


def answered(
    con: duckdb.DuckDBPyConnection,
    sql: str,
    functions: Sequence[Function],
    reading: Callable[[], AbstractContextManager[Any]] = nullcontext,
) -> str:
    """A statement whose calls of some functions are names of tables with their answers.

    These tables last until the next statement is answered so, but for those that a view is over.

    Args:
        con: the session.
        sql: the statement.
        functions: the functions.
        reading: stands around the reading of arguments, in which subqueries may be.

    Raises:
        UsageError: if a call stands where no table can, or its arguments make no sense.
    """
    known = {function.name: function for function in functions}
    data = sql.encode()
    tokens = words(sql) if any(name in sql.lower() for name in known) else []
    parts, at, number = [], 0, 0
    # What a view reads must be there as long as the view is, and be nobody else's.
    own = f"{uuid4().hex}_" if any(token.text.lower() == "view" for token in tokens) else ""
    for place, token in enumerate(tokens):
        function = known.get(token.text.strip('"').lower())
        if function is None or token.kind != "identifier" or token.start < at:
            continue
        close = _closing(tokens, place + 1)
        if close is None:
            continue  # a column or a table that is called so
        _check_place(tokens, place, function.name)
        number += 1
        table = f"{HIDDEN}.{function.name}_{own}{number}"
        given = data[tokens[place + 1].end : tokens[close].start].decode()
        with reading():
            arguments = _arguments(con, function, given, tokens[place + 2 : close])
        _keep(con, table, function.answer(arguments))
        parts += [data[at : token.start].decode(), table, _alias(tokens, close, function.name)]
        at = tokens[close].end
    return "".join([*parts, data[at:].decode()])


def _keep(con: duckdb.DuckDBPyConnection, name: str, table: pa.Table) -> None:
    con.register("vecmill_answer", table)
    con.execute(f"CREATE OR REPLACE TABLE {name} AS FROM vecmill_answer")
    con.unregister("vecmill_answer")


def _arguments(
    con: duckdb.DuckDBPyConnection, function: Function, given: str, tokens: Sequence[Token]
) -> Mapping[str, Any]:
    import duckdb

    names = [function.required, *function.optional]
    optional = "".join(f', "{name}" := {value}' for name, value in function.optional.items())
    packed = ", ".join(f"'{name}': \"{name}\"" for name in names)
    con.execute(
        f"CREATE OR REPLACE TEMP MACRO {function.name}({function.required}{optional}) AS "
        f"{{{packed}}}"
    )
    try:
        ((found,),) = con.execute(f"SELECT {function.name}({given}\n)").fetchall()
    except duckdb.Error as error:
        from storage import refused

        raise refused.call(function, given, tokens, error) from error
    arguments: Mapping[str, Any] = found
    return arguments


def words(sql: str) -> list[Token]:
    """The words of some text, as DuckDB cuts it, without comments."""
    import duckdb

    data = sql.encode()
    found = [(at, kind.name) for at, kind in duckdb.tokenize(sql)]
    ends = [*(at for at, _ in found), len(data)][1:]
    tokens = []
    for (at, kind), end in zip(found, ends, strict=True):
        if kind == "comment":
            continue
        text = whole = data[at:end].decode().rstrip()
        if kind == "operator":
            text = text[:1]
        tokens.append(Token(at, at + len(text.encode()), text, kind, whole))
    return tokens


def _closing(tokens: Sequence[Token], place: int) -> int | None:
    """Where the bracket is closed that stands at a place; None where none stands there."""
    depth = 0
    for at in range(place, len(tokens)):
        if tokens[at].kind == "operator":
            depth += {"(": 1, ")": -1}.get(tokens[at].text, 0)
        if depth == 0:
            return at if at > place else None
    return None


def _check_place(tokens: Sequence[Token], place: int, name: str) -> None:
    before = tokens[place - 1].text.lower() if place else ""
    if before not in {"from", "join", ",", "lateral", "using"}:
        raise UsageError(
            f"{name}(...) is a table and stands where tables do: FROM {name}('articles', ...), or "
            f"JOIN {name}(...)"
        )


def _alias(tokens: Sequence[Token], close: int, name: str) -> str:
    """The name that a call goes by where none is given to it."""
    after = tokens[close + 1] if close + 1 < len(tokens) else None
    named = after is not None and (after.kind == "identifier" or after.text.lower() == "as")
    return "" if named else f" AS {name}"


def statements(sql: str) -> tuple[list[str], str]:
    """The statements that are whole in some text, each with its semicolon, and the rest."""
    data, at, found = sql.encode(), 0, []
    for token in words(sql):
        if token.kind == "operator" and token.text == ";":
            found.append(data[at : token.end].decode())
            at = token.end
    return found, data[at:].decode()
