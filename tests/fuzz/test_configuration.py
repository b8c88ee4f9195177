"""Whatever stands in a configuration, it is loaded or refused in words."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.config.configuration import load
from flows.config.settings import Settings, SettingsError
from tests.flows.project import _toml
from tests.fuzz.conftest import QUICK, THOROUGH

GOOD = """
[store]
catalog = "data/catalog.duckdb"
[engine]
shard_size = 100
[limits]
max_pixels = 1000
[sources.notes]
kind = "table"
path = "notes.csv"
id = "id"
content = ["text"]
[encoders.mini]
kind = "sentence"
model = "${VECMILL_FUZZ:-some/model}"
[features.notes]
source = "notes"
encoder = "mini"
monitors = ["drift"]
"""
WORDS = ["store", "engine", "limits", "sources", "encoders", "monitors", "features", "kind",
         "path", "id", "content", "model", "source", "encoder", "max_dead", "schedule", "table",
         "sentence", "vision", "drift", "shard_size", "templates", "${X}", "$${X}", "${X:-y}",
         "${", "notes"]  # fmt: skip
KEYS = st.sampled_from(WORDS) | st.text(max_size=8)
LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | KEYS
VALUES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=6,
)  # fmt: skip
TABLES = st.dictionaries(KEYS, st.dictionaries(KEYS, VALUES, max_size=4) | VALUES, max_size=4)


def loaded(raw: bytes) -> Settings | str:
    """The settings, or why there are none."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "vecmill.toml"
        path.write_bytes(raw)
        try:
            return load(path)
        except SettingsError as error:
            return str(error)


def damaged(data: st.DataObject) -> bytes:
    """The good configuration with pieces of it changed, taken out or doubled."""
    raw = GOOD
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(raw)))
        stop = data.draw(st.integers(start, min(len(raw), start + 12)))
        raw = raw[:start] + data.draw(st.sampled_from(WORDS) | st.text(max_size=6)) + raw[stop:]
    return raw.encode("utf-8", "surrogatepass")


def as_toml(tables: dict[str, Any]) -> bytes:
    """Sections that are tables where they can be; whatever TOML cannot say is left to it."""
    parts = [_toml(name, keys) for name, keys in tables.items() if isinstance(keys, dict)]
    return "\n".join(parts).encode("utf-8", "surrogatepass")


@QUICK
@given(st.data())
def test_damaged(data: st.DataObject) -> None:
    assert loaded(damaged(data))


@QUICK
@given(st.binary(max_size=200))
def test_random_bytes(raw: bytes) -> None:
    assert loaded(raw)


@QUICK
@given(TABLES)
def test_random_values(tables: dict[str, Any]) -> None:
    assert loaded(as_toml(tables))


@QUICK
@given(st.dictionaries(KEYS, VALUES, max_size=3), st.sampled_from(["table", "files"]))
def test_random_keys_of_a_source(keys: dict[str, Any], kind: str) -> None:
    given_keys = {"kind": kind, "path": "x", **keys}
    assert loaded(as_toml({"sources": {"notes": given_keys}}))


@pytest.mark.slow
@THOROUGH
@given(st.data())
def test_damaged_thoroughly(data: st.DataObject) -> None:
    assert loaded(damaged(data))


@pytest.mark.slow
@THOROUGH
@given(TABLES)
def test_random_values_thoroughly(tables: dict[str, Any]) -> None:
    assert loaded(as_toml(tables))
