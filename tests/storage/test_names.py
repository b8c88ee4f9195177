"""The names that features cannot have are those that DuckDB and the catalog have taken."""

from __future__ import annotations

import duckdb

from storage.names import CATALOG_TABLES, TAKEN
from storage.schema import TABLES


def test_every_reserved_word_of_duckdb_is_taken() -> None:
    with duckdb.connect() as con:
        sql = "SELECT keyword_name FROM duckdb_keywords() WHERE keyword_category = 'reserved'"
        words = {word for (word,) in con.execute(sql).fetchall()}
    assert words <= TAKEN


def test_every_table_of_the_catalog_is_taken() -> None:
    assert {*TABLES, "schema"} == set(CATALOG_TABLES)
