"""Keeps a SQL session, which may read and write files of its user's, off those of the store.

DuckDB takes a file's name as an expression too, and from within other statements. What is checked
here must be what is opened there, so that a name is taken as plain text only, where it is seen.
"""

from __future__ import annotations

import os
import re
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING

from storage.calls import words
from storage.database import fetch
from storage.model import UsageError
from storage.views import HIDDEN

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Any

    import duckdb

    from storage.calls import Token

_TAKING_FILES = frozenset({"ATTACH", "COPY", "EXPORT"})
_AROUND = frozenset({"EXPLAIN", "ANALYZE", "PREPARE"})
_BEFORE_NAME = frozenset({"ATTACH", "EXPORT", "DATABASE", "IF", "NOT", "EXISTS", "OR", "REPLACE"})
_LOGS = frozenset({"log_query_path", "profile_output", "profiling_output"})
"""Settings that name a file which DuckDB writes from then on."""
_LOGGING = frozenset({"enable_logging", "enable_profiling"})
"""Functions that take the name of one, or of a folder."""
_SCHEME = re.compile(r"duckdb:|file://localhost(?=/)|file://(?=/)|file:", re.IGNORECASE)
"""What DuckDB leaves out of a name, or takes as another word for a file."""


def refuse(con: duckdb.DuckDBPyConnection, statements: Sequence[Any]) -> None:
    """Refuse statements that would open the catalog, or write over it or in the vectors' folder.

    Opened a second time, the catalog would keep runs waiting, and could be changed behind them.

    Args:
        con: of `storage.query.connect`; where it was shut off (`storage.guarded`), it opens no
            file anyway, and nothing is refused here.
        statements: of `duckdb.DuckDBPyConnection.extract_statements`.

    Raises:
        UsageError: names the file; or says that its name cannot be seen.
    """
    for statement in statements:
        tokens, kind = words(statement.query), statement.type.name
        logs = list(_logged_to(tokens))
        if logs and not _is_shut(con):
            for log in logs:
                _refuse_named(con, log, whole_folder=False)
        inner = _within(tokens)
        if (inner is None and kind not in _TAKING_FILES) or _is_shut(con):
            continue
        if inner is not None:
            raise UsageError(f"{inner} stands within another statement; {_HOW}")
        name = _name(kind, tokens)
        if name is not None:
            _refuse_named(con, name, whole_folder=kind == "COPY")


def _is_shut(con: duckdb.DuckDBPyConnection) -> bool:
    return not _setting(con, "enable_external_access")


def _setting(con: duckdb.DuckDBPyConnection, name: str) -> object:
    return con.execute(f"SELECT current_setting('{name}')").fetchall()[0][0]


def _within(tokens: Sequence[Token]) -> str | None:
    """What takes a file within another statement; None where nothing does.

    DuckDB explains and prepares such statements, and runs a COPY as a table of WITH.
    """
    texts = [_word(token) for token in tokens]
    inner = [_explained(tokens)]
    for at in range(3, len(tokens)):
        if texts[at - 1] == "(" and texts[at - 2] in {"AS", "MATERIALIZED"}:
            column = at + 1 < len(texts) and texts[at + 1] in {",", ")", "."}
            inner += [] if column else [texts[at]]
    return next((word for word in inner if word in _TAKING_FILES), None)


def _explained(tokens: Sequence[Token]) -> str:
    """The first word of what a statement explains or prepares; of another its own, left out."""
    outer = iter([_word(tokens[at]) for at in _outer(tokens)])
    word = next(outer, "")
    if word not in _AROUND:
        return ""
    while word in _AROUND:
        if word == "PREPARE":
            list(takewhile(lambda one: one != "AS", outer))
        word = next(outer, "")
    return word


def _logged_to(tokens: Sequence[Token]) -> Iterator[str]:
    """What a statement may have DuckDB write its log or its profiles to, from there on."""
    texts = [token.text.strip('"').lower() for token in tokens]
    if not _LOGGING.isdisjoint(texts):
        yield from (_plain(token) for token in tokens if token.whole.startswith("'"))
    if texts[:1] not in (["set"], ["pragma"]):
        return
    for at, setting in enumerate(texts):
        if setting in _LOGS and texts[at + 1 : at + 2] in (["="], ["to"]):
            rest = [token.whole for token in tokens[at + 2 :]]
            if not rest[:1] or not rest[0].startswith("'") or rest[1:] not in ([], [";"]):
                raise UsageError(
                    f"{setting} takes the name of a file in single quotes, got {' '.join(rest)}; "
                    f"name it outright: SET {setting} = 'log.txt'"
                )
            yield _plain(tokens[at + 2])


def _plain(token: Token) -> str:
    """What stands in the single quotes of a token."""
    return token.whole[1:-1].replace("''", "'")


_HOW = "name the file in single quotes, in a statement by itself: COPY ... TO 'rows.csv'"


def _name(kind: str, tokens: Sequence[Token]) -> str | None:
    """The name of the file that a statement opens or writes; None where it does neither."""
    outer = [at for at in _outer(tokens) if _word(tokens[at]) in {"TO", "FROM"}]
    if kind == "COPY" and outer and _word(tokens[outer[0]]) == "FROM":
        return None  # only reads, as any statement may
    if kind != "ATTACH" and outer:
        rest = tokens[outer[0] + 1 :]
    else:
        at = next((i for i, one in enumerate(tokens) if _word(one) not in _BEFORE_NAME), 0)
        rest = tokens[at:]
    found = rest[0].whole if rest else "none"
    if not _ends(rest[1:2]) or not (found.startswith("'") or found.upper() == "STDOUT"):
        raise UsageError(f"{kind} takes the name of a file, got {found} ...; {_HOW}")
    return _plain(rest[0]) if found.startswith("'") else None


def _ends(after: Sequence[Token]) -> bool:
    """Whether a name ends before a word, rather than being a part of an expression."""
    return not after or after[0].kind in {"keyword", "identifier"} or after[0].text in {";", "("}


def _outer(tokens: Sequence[Token]) -> Iterator[int]:
    """Where the words are that stand in no brackets."""
    depth = 0
    for at, token in enumerate(tokens):
        step = {"(": 1, ")": -1}.get(token.text, 0) if token.kind == "operator" else 0
        depth += step
        if depth == 0 and step == 0:
            yield at


def _word(token: Token) -> str:
    return token.text.upper()


def _refuse_named(con: duckdb.DuckDBPyConnection, name: str, *, whole_folder: bool) -> None:
    places = [Path(str(row["path"])) for row in fetch(con, f"FROM {HIDDEN}.store")]
    for file in _files(con, name):
        if any(place == file or place in file.parents for place in places):
            raise UsageError(
                f"{name} is of the store, which SQL neither opens nor writes: what the catalog has "
                "stands in this session as runs, versions and so on (SHOW TABLES), and is changed "
                "by Vecmill's other commands; name a file elsewhere"
            )
        if whole_folder and any(file in place.parents for place in places):
            raise UsageError(
                f"{name} is a folder that the store is in, and COPY may clear the folder it writes "
                "to; name one elsewhere"
            )


def _files(con: duckdb.DuckDBPyConnection, name: str) -> set[Path]:
    """The files that DuckDB may take a name for."""
    home = str(_setting(con, "home_directory") or "") or os.path.expanduser("~")  # noqa: PTH111 - as it is, which Path.home() refuses
    names = [name]
    while found := _SCHEME.match(names[-1]):
        names.append(names[-1][found.end() :])
    # As DuckDB has it, ~x is x right after the home's name: of nobody called x.
    names += [home + one[1:] for one in names if one.startswith("~")]
    return {Path(one).absolute().resolve() for one in names}
