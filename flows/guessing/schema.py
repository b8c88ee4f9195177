"""What a database tells of its tables: which there are, and their primary keys."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flows.sources import query
from flows.sources.base import SourceError
from storage.conditions import literal

if TYPE_CHECKING:
    from pathlib import Path


def tables(url: str, root: Path) -> list[str]:
    """The tables and views of a database, without its own.

    Raises:
        SourceError: if it cannot be read.
    """
    if url.startswith("sqlite"):
        sql = (
            "SELECT name FROM sqlite_master WHERE type IN ('table', 'view') "
            "AND name NOT LIKE 'sqlite_%' ORDER BY name"
        )
    else:
        sql = (
            "SELECT CASE WHEN table_schema IN ('main', 'public') THEN table_name "
            "ELSE table_schema || '.' || table_name END AS name FROM information_schema.tables "
            "WHERE table_schema NOT IN ('information_schema', 'pg_catalog') ORDER BY 1"
        )
    return _names(url, sql, root)


def primary_key(url: str, name: str, root: Path) -> list[str]:
    """The columns of a table's primary key, in no order; none where it has none or hides it.

    Args:
        url: of the database.
        name: as of `tables`.
        root: that the path of a file is taken from.
    """
    schema, _, table = name.rpartition(".")
    if url.startswith("sqlite"):
        sql = f"SELECT name FROM pragma_table_info({literal(name)}) WHERE pk > 0"  # noqa: S608 - a literal
    elif url.startswith("duckdb"):
        sql = (
            "SELECT unnest(constraint_column_names) AS name FROM duckdb_constraints() "  # noqa: S608 - of literals
            f"WHERE constraint_type = 'PRIMARY KEY' AND table_name = {literal(table)} "
            f"AND schema_name = {literal(schema or 'main')}"
        )
    else:
        # Not of information_schema, which shows keys to the owner of a table alone.
        sql = (
            "SELECT a.attname::text AS name FROM pg_catalog.pg_index i "  # noqa: S608 - of literals
            "JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid "
            "AND a.attnum = ANY(i.indkey) WHERE i.indisprimary "
            f"AND i.indrelid = {literal(quoted(name))}::regclass"
        )
    try:
        return _names(url, sql, root)
    except SourceError:
        return []


def quoted(name: str) -> str:
    """A table's name, as `tables` has it, for a statement."""
    return ".".join('"{}"'.format(part.replace('"', '""')) for part in name.split("."))


def _names(url: str, sql: str, root: Path) -> list[str]:
    """What a query gives in its column ``name``."""
    source = query.open(query.Params(url=url, sql=sql, content="name"), root, "text")
    return [name for chunk in source.scan() for name in chunk.records["content"].to_list()]
