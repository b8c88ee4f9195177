"""The rows of the catalog: from values to rows and back, within a transaction of the caller's."""

from __future__ import annotations

import json
from dataclasses import asdict, fields
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING, Any

from storage.database import fetch
from storage.model import Counts, Manifest, PastLook, Version
from storage.schema import COUNTS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import duckdb
    import pyarrow as pa

    from storage.model import DeadLetter

PUBLISHED = """
SELECT * FROM manifests WHERE forgotten_at IS NULL
QUALIFY row_number() OVER (PARTITION BY feature, version ORDER BY
    lance_version DESC, published_at DESC, run_id DESC) = 1
"""
"""The manifest of each version that readers see. By the clock last: it may be set back."""

JSON_COLUMNS = ("recipe", "params", "types")
"""Columns of versions that hold JSON."""


def replace_dead_letters(
    con: duckdb.DuckDBPyConnection, key: Mapping[str, object], run_id: str, dead: pa.Table
) -> None:
    """Put the current dead letters in the place of the old, keeping since when each is one."""
    old = "DELETE FROM dead_letters WHERE feature = $feature AND version = $version"
    if not len(dead):
        con.execute(old, key)
        return
    drop_unpublished(con, key)
    con.register("current_dead", dead)
    con.execute(
        "CREATE TEMP TABLE next_dead AS SELECT $feature AS feature, $version AS version, "
        "c.record_id, c.place, c.reason, c.stage, c.content_hash, "
        "coalesce(o.run_id, $run_id) AS run_id, coalesce(o.since, now()) AS since, "
        "true AS published "
        "FROM current_dead c LEFT JOIN (SELECT place, reason, content_hash, min(run_id) AS run_id, "
        "min(since) AS since FROM dead_letters WHERE feature = $feature AND version = $version "
        "GROUP BY ALL) o ON c.place = o.place AND c.reason = o.reason "
        "AND c.content_hash IS NOT DISTINCT FROM o.content_hash",
        {**key, "run_id": run_id},
    )
    con.execute(old, key)
    con.execute("INSERT INTO dead_letters BY NAME FROM next_dead")


def drop_unpublished(con: duckdb.DuckDBPyConnection, key: Mapping[str, object]) -> None:
    """Drop the dead letters of a run that was refused; ``key`` names feature and version."""
    con.execute(
        "DELETE FROM dead_letters WHERE feature = $feature AND version = $version "
        "AND NOT published",
        key,
    )


def set_live(
    con: duckdb.DuckDBPyConnection,
    feature: str,
    number: int,
    action: str,
    *,
    forced: bool = False,
    reason: str | None = None,
    gates: Sequence[Mapping[str, object]] | None = None,
) -> None:
    """Make a version live within a transaction; the one that was becomes retired. Logs both.

    Args:
        con: of `Catalog.transaction`.
        feature: the feature.
        number: the version.
        action: ``publish``, ``promote`` or ``rollback``.
        forced: whether gates failed and it was made live all the same.
        reason: why, in somebody's words.
        gates: what the gates said.
    """
    key = {"number": number, "feature": feature}
    retired = fetch(
        con,
        "SELECT version FROM versions WHERE feature = ? AND standing = 'live' AND version <> ?",
        feature,
        number,
    )
    con.execute(
        "UPDATE versions SET standing = CASE WHEN version = $number THEN 'live' "
        "WHEN standing = 'live' THEN 'retired' ELSE standing END WHERE feature = $feature",
        key,
    )
    row = {"feature": feature, "action": action, "changed_at": datetime.now(UTC)}
    row |= {"forced": forced, "reason": reason}
    row |= {"gates": None if gates is None else json.dumps(list(gates))}
    for old in retired:
        insert(con, "standings", row | {"version": old["version"], "standing": "retired"})
    insert(con, "standings", row | {"version": number, "standing": "live"})


@cache
def code_version() -> str | None:
    """The version of Vecmill that is running; None where it runs uninstalled."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("vecmill")
    except PackageNotFoundError:
        return None


def insert(con: duckdb.DuckDBPyConnection, table: str, row: Mapping[str, object]) -> None:
    """Insert one row, by the names of its columns."""
    names = ", ".join(row)
    marks = ", ".join("?" for _ in row)
    con.execute(f"INSERT INTO {table} ({names}) VALUES ({marks})", list(row.values()))


def version_of(row: Mapping[str, Any]) -> Version:
    """A version from its row."""
    known = {f.name: row[f.name] for f in fields(Version)}
    known |= {name: json.loads(row[name]) for name in JSON_COLUMNS}
    return Version(**known)


def manifest_of(row: Mapping[str, Any]) -> Manifest:
    """A manifest from its row."""
    counts = Counts(**{name: row[name] for name in COUNTS})
    known = {f.name: row[f.name] for f in fields(Manifest) if f.name != "counts"}
    return Manifest(**known, counts=counts)


def past_look(row: Mapping[str, Any]) -> PastLook:
    """What a finding's row says to the looks after it."""
    known = {f.name: row[f.name] for f in fields(PastLook)}
    known |= {"alone": row["alone"] or row["verdict"], "series": json.loads(row["series"] or "{}")}
    return PastLook(**known)


def dead_table(letters: Sequence[DeadLetter]) -> pa.Table:
    """Dead letters as an Arrow table, typed also when there are none."""
    import pyarrow as pa

    names = ("record_id", "place", "reason", "stage", "content_hash")
    schema = pa.schema([(name, pa.string()) for name in names])
    return pa.Table.from_pylist([asdict(letter) for letter in letters], schema=schema)
