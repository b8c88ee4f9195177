"""Names that a feature cannot have, since it is a view in SQL."""

from __future__ import annotations

from storage.schema import TABLES

CATALOG_TABLES = (*sorted(TABLES), "schema")

_SQL = """
all analyse analyze and any array as asc asymmetric both case cast check collate column constraint
create default deferrable desc describe distinct do else end except false fetch for foreign from
group having in initially intersect into lambda lateral leading limit not null offset on only or
order pivot pivot_longer pivot_wider placing primary qualify references returning select show some
summarize symmetric table then to trailing true union unique unpivot using variadic when where
window with
"""

TAKEN = frozenset(CATALOG_TABLES) | frozenset(_SQL.split())
"""The catalog's tables, and the words that DuckDB 2.0 reserves (``duckdb_keywords()``)."""
