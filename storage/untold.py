"""Where files of the machine lie: what a session that is shut off does not tell.

A session of `storage.guarded` sees no file but those that its views are over, and names none.
DuckDB has no setting for that: whoever may read a view may read its text, with the names of files
in it, and may ask for all settings. So what tells them is refused by its name; what runs a
statement out of a string, in which no name can be seen, is refused as well.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from storage.calls import words

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from storage.calls import Token

_TELLING = frozenset({
    "current_setting", "duckdb_databases", "duckdb_extensions", "duckdb_external_file_cache",
    "duckdb_logs", "duckdb_settings", "duckdb_temporary_files", "duckdb_views",
    "pg_get_viewdef", "pg_settings", "pg_views", "pragma_database_list",
    "sqlite_master", "sqlite_schema", "sqlite_temp_master", "sqlite_temp_schema",
})  # fmt: skip
_HIDING = frozenset({"json_execute_serialized_sql", "query", "query_table"})


def told(sql: str) -> str | None:
    """Why one statement is refused; None where it tells of no file."""
    tokens = words(sql)
    plain = [token.text.strip("\"'").lower() for token in tokens]
    if plain[:1] == ["explain"] and "analyze" in _options(tokens):
        return "EXPLAIN ANALYZE, which names the files that were read, is not answered here"
    for at, word in enumerate(plain):
        if word in _HIDING and plain[at + 1 : at + 2] == ["("]:
            return f"{word}() reads what cannot be seen, and is not answered here; name it outright"
        if word in _TELLING or (
            word == "views" and plain[at - 2 : at] == ["information_schema", "."]
        ):
            return (
                f"{word} tells where files of this machine lie, and is not answered here; "
                "`vecmill sql` takes it"
            )
    return None


def _options(tokens: Sequence[Token]) -> Iterator[str]:
    """The words after EXPLAIN: the next one, or those in brackets."""
    bracketed = len(tokens) > 1 and tokens[1].text == "("
    for token in tokens[1:] if bracketed else tokens[1:2]:
        if bracketed and token.text == ")":
            return
        yield token.text.lower()
