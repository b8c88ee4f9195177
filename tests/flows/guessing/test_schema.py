"""What databases in files tell of their tables."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import duckdb

from flows.guessing import schema

if TYPE_CHECKING:
    from pathlib import Path

TABLES = (
    "CREATE TABLE one (sku TEXT, nr INTEGER PRIMARY KEY, body TEXT)",
    "CREATE TABLE two (a TEXT, b TEXT, body TEXT, PRIMARY KEY (a, b))",
    'CREATE TABLE "it\'s ""odd""" (id TEXT, "the key" TEXT PRIMARY KEY)',
    "CREATE TABLE without (id TEXT, body TEXT)",
)
KEYS = {"one": {"nr"}, "two": {"a", "b"}, 'it\'s "odd"': {"the key"}, "without": set[str]()}


def test_primary_keys_of_sqlite(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "shop.db")) as con:
        for table in TABLES:
            con.execute(table)
    url = "sqlite:///shop.db"
    assert set(schema.tables(url, tmp_path)) == set(KEYS)
    assert {name: set(schema.primary_key(url, name, tmp_path)) for name in KEYS} == KEYS


def test_primary_keys_of_duckdb(tmp_path: Path) -> None:
    with duckdb.connect(str(tmp_path / "shop.duckdb")) as con:
        for table in TABLES:
            con.execute(table)
        con.execute("CREATE SCHEMA other; CREATE TABLE other.one (id TEXT PRIMARY KEY)")
    url = "duckdb:///shop.duckdb"
    assert set(schema.tables(url, tmp_path)) == {*KEYS, "other.one"}
    assert {name: set(schema.primary_key(url, name, tmp_path)) for name in KEYS} == KEYS
    assert schema.primary_key(url, "other.one", tmp_path) == ["id"]
