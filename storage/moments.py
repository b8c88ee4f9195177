"""The catalog as it was at an earlier moment, as far as it still says.

What the catalog only ever adds to, or notes the end of, is shown as it was: versions and their
standings, runs, manifests, fits, findings, exports, erasures. Of what runs replace there is only
what they left: a dead letter that is none any more is not shown, nor a cursor that was moved on
since; and ``features``, the windows of backfills, and of a version all but its standing are as they
are now.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from storage.database import fetch
from storage.entries import PUBLISHED
from storage.model import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    import duckdb
    import pyarrow as pa

    from storage.catalog import Catalog

_SEEN_AT = {
    "versions": "created_at",
    "standings": "changed_at",
    "fits": "fitted_at",
    "runs": "started_at",
    "manifests": "published_at",
    "cursors": "noted_at",
    "dead_letters": "since",
    "findings": "found_at",
    "backfills": "started_at",
    "exports": "exported_at",
    "erasures": "erased_at",
    "clusterings": "assigned_at",
    "clustering_groups": "assigned_at",
    "profiles": "noted_at",
    "occupancy": "noted_at",
    "alerts": "sent_at",
    "snoozes": "snoozed_at",
}
"""The column by which a row of each table came to be."""

_LEFT_BY_RUNS = ("dead_letters", "cursors", "profiles")
"""What comes to be in the moment that a run is published, whatever the clock says a bit later."""

_RESTORE = """
-- By the order of the log, since the clock may have been set back.
UPDATE versions v SET dropped_at = CASE WHEN dropped_at <= $moment THEN dropped_at END,
    standing = coalesce((SELECT arg_max(s.standing, s.rowid) FROM standings s
        WHERE s.feature = v.feature AND s.version = v.version), 'candidate');
UPDATE manifests SET forgotten_at = NULL, forgotten_by = NULL WHERE forgotten_at > $moment;
UPDATE runs SET status = 'running', error = NULL, finished_at = NULL, seconds = NULL,
    encode_seconds = NULL, {counts} WHERE finished_at > $moment
    AND run_id NOT IN (SELECT run_id FROM manifests);
UPDATE backfills SET status = 'running', finished_at = NULL WHERE finished_at > $moment;
DELETE FROM backfill_windows WHERE backfill_id NOT IN (SELECT backfill_id FROM backfills)
"""


def moment_of(catalog: Catalog, as_of: str) -> datetime:
    """The moment that a run was published, or that a time names (UTC where it has no zone).

    Raises:
        UsageError: if it is neither a published run nor an ISO 8601 time.
    """
    found = catalog.query(
        "SELECT published_at, status, error FROM (SELECT run_id, published_at FROM manifests) "
        "FULL JOIN (SELECT run_id, status, error FROM runs) USING (run_id) WHERE run_id = ?",
        as_of,
    ).to_pylist()
    if found and found[0]["published_at"] is not None:
        moment: datetime = found[0]["published_at"]
        return moment
    if found:
        why = f" ({found[0]['error']})" if found[0]["error"] else ""
        raise UsageError(
            f"the run {as_of} is {found[0]['status']}{why} and published nothing, so there is no "
            "state that it left; name a run that is done, or a time"
        )
    try:
        given = datetime.fromisoformat(as_of)
    except ValueError as error:
        raise UsageError(
            f"--as-of takes a published run, such as `vecmill status --json` names, or a time such "
            f"as 2026-01-31 or 2026-01-31T12:00, got {as_of!r}"
        ) from error
    return given if given.tzinfo else given.replace(tzinfo=UTC)


def copy(
    con: duckdb.DuckDBPyConnection, tables: Mapping[str, pa.Table], moment: datetime | None
) -> list[dict[str, Any]]:
    """Make the catalog's tables in a session, as they were at a moment, or are now.

    Args:
        con: the session.
        tables: the catalog's tables as they are now.
        moment: when; now where none is given.

    Returns:
        The versions with something published by then, as `storage.views.Shown`; and in the table
        ``vecmill.missing`` stands what is published, but was not yet.
    """
    for name, table in tables.items():
        con.register("copied", table)
        con.execute(f"CREATE TABLE {name} AS FROM main.copied")
        con.unregister("copied")
    if moment is None:
        return _published(con)
    now = {row["feature"] for row in _published(con)}
    cleaned = _cleaned_since(con, moment)
    _set_back(con, moment)
    found = [row | {"away": cleaned.get(row["run_id"])} for row in _published(con)]
    readable = {row["feature"] for row in found if row["live"]}
    for feature in sorted(now - readable):
        why = f"no run of it was published, or no version of it live, by {_told(moment)}"
        con.execute("INSERT INTO vecmill.missing VALUES (?, ?)", [feature, why])
    return found


def _cleaned_since(con: duckdb.DuckDBPyConnection, moment: datetime) -> dict[str, str]:
    rows = fetch(con, "FROM manifests WHERE forgotten_at > ?", moment)
    return {
        row["run_id"]: f"what {row['run_id']} had published was cleaned away by "
        f"`vecmill {row['forgotten_by']}` on {_told(row['forgotten_at'])}"
        for row in rows
    }


def _set_back(con: duckdb.DuckDBPyConnection, moment: datetime) -> None:
    for name, seen_at in _SEEN_AT.items():
        at = seen_at
        if name in _LEFT_BY_RUNS:
            published = "SELECT published_at FROM manifests m WHERE m.run_id = t.run_id"
            at = f"coalesce(({published}), {seen_at})"
        # Before manifests are cut, which say when runs were published.
        if name != "manifests":
            con.execute(f"DELETE FROM {name} t WHERE {at} > ?", [moment])
    con.execute("DELETE FROM manifests WHERE published_at > ?", [moment])
    from storage.schema import COUNTS

    counts = ", ".join(f"{name} = NULL" for name in COUNTS)
    for statement in _RESTORE.format(counts=counts).split(";\n"):
        given = {"moment": moment} if "$moment" in statement else {}
        con.execute(statement, given)


def _published(con: duckdb.DuckDBPyConnection) -> list[dict[str, Any]]:
    return fetch(
        con,
        "SELECT feature, version, standing = 'live' AS live, history, run_id, lance_version "
        f"FROM ({PUBLISHED}) JOIN versions USING (feature, version) ORDER BY feature, version",
    )


def _told(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
