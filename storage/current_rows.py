"""The current rows of a version in a SQL session: which there are, and some of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from storage import views
from storage.query import run

if TYPE_CHECKING:
    from collections.abc import Sequence

    import duckdb
    import pyarrow as pa

    from storage.model import Version

# By a hash of their ids, so that the first of them are the same ones while the version grows.
_KEYS = "SELECT record_id, content_hash FROM ({rows}) ORDER BY md5(record_id), record_id"
_SOME = "SELECT r.* FROM ({rows}) r SEMI JOIN wanted w USING (record_id) ORDER BY record_id"


def keys(con: duckdb.DuckDBPyConnection, version: Version) -> dict[str, str]:
    """The hash of the content of each row by its id, in an order that is like a draw by lot."""
    found = run(con, _KEYS.format(rows=_rows(version))).to_arrow_table()
    ids, hashes = (found[name].to_pylist() for name in ("record_id", "content_hash"))
    return dict(zip(ids, hashes, strict=True))


def some(con: duckdb.DuckDBPyConnection, version: Version, ids: Sequence[str]) -> pa.Table:
    """The rows of these ids, with all columns, by id."""
    import pyarrow as pa

    con.register("wanted", pa.table({"record_id": pa.array(ids, pa.string())}))
    found: pa.Table = run(con, _SOME.format(rows=_rows(version))).to_arrow_table()
    return found


def _rows(version: Version) -> str:
    return views.current(version.table) if version.history else f"FROM {version.table}"
