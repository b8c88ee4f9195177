"""Keeps a SQL session, which may read and write files of its user's, off those of the store."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from storage.calls import words
from storage.database import fetch
from storage.model import UsageError
from storage.views import HIDDEN

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    import duckdb

_TAKING_FILES = frozenset({"ATTACH", "COPY", "EXPORT"})


def refuse(con: duckdb.DuckDBPyConnection, statements: Sequence[Any]) -> None:
    """Refuse statements that would open the catalog, or write over it or in the vectors' folder.

    Opened a second time, the catalog would keep runs waiting, and could be changed behind them.

    Args:
        con: of `storage.query.connect`.
        statements: of `duckdb.DuckDBPyConnection.extract_statements`.

    Raises:
        UsageError: names the file.
    """
    for statement in statements:
        if statement.type.name in _TAKING_FILES:
            for token in words(statement.query):
                if token.kind == "string_const":
                    _refuse_named(con, str(con.execute(f"SELECT {token.whole}").fetchall()[0][0]))


def _refuse_named(con: duckdb.DuckDBPyConnection, name: str) -> None:
    file = Path(name).absolute().resolve()
    places = [Path(str(row["path"])) for row in fetch(con, f"FROM {HIDDEN}.store")]
    if any(place == file or place in file.parents for place in places):
        raise UsageError(
            f"{name} is of the store, which SQL neither opens nor writes: what the catalog has "
            "stands in this session as runs, versions and so on (SHOW TABLES), and is changed by "
            "Vecmill's other commands; name a file elsewhere"
        )
