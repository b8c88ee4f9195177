"""Which version of a feature is live: changes of standing, one transaction each, and their log.

The log is read in the order in which it was written, never by the clock, which may be set back.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, cast

from storage.database import fetch
from storage.entries import PUBLISHED, set_live
from storage.model import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import duckdb

    from storage.catalog import Catalog
    from storage.model import Standing

_BASIS = f"""
SELECT l.version AS live, n.run_id AS live_run, m.run_id AS run, v.complete, v.dropped_at,
       (SELECT max(found_at) FROM findings
        WHERE feature = v.feature AND version = v.version) AS looked_at
FROM versions v
LEFT JOIN versions l ON l.feature = v.feature AND l.standing = 'live'
LEFT JOIN ({PUBLISHED}) m ON m.feature = v.feature AND m.version = v.version
LEFT JOIN ({PUBLISHED}) n ON n.feature = l.feature AND n.version = l.version
WHERE v.feature = ? AND v.version = ?
"""
_LOG = "SELECT * FROM standings WHERE feature = ? ORDER BY rowid"
_VERSIONS = f"""
SELECT v.version, v.standing, v.dropped_at, m.run_id AS run
FROM versions v LEFT JOIN ({PUBLISHED}) m USING (feature, version)
WHERE v.feature = ? ORDER BY v.version
"""


@dataclass(frozen=True)
class Basis:
    """What the catalog says of a version and of the live one: what a promotion is decided on.

    Attributes:
        live: the number of the live version, None where there is none.
        live_run: the run whose published state its readers see.
        run: the run whose published state readers of the version would see, None without one.
        complete: whether the version holds a whole source.
        dropped_at: since when its table is gone.
        looked_at: when a monitor last looked at the version.
    """

    live: int | None
    live_run: str | None
    run: str | None
    complete: bool
    dropped_at: datetime | None
    looked_at: datetime | None


@dataclass(frozen=True)
class Change:
    """One entry of the log: a version came to a standing.

    Attributes:
        action: ``publish``, ``promote``, ``rollback``, ``retire`` or ``reinstate``.
        forced: whether gates had failed.
        reason: why, in somebody's words.
        gates: what the gates said, None where none was asked.
    """

    feature: str
    version: int
    standing: Standing
    action: str
    forced: bool
    reason: str | None
    gates: Sequence[Mapping[str, object]] | None
    changed_at: datetime


def log(catalog: Catalog, feature: str) -> list[Change]:
    """All changes of standing of a feature's versions, oldest first."""
    return [_change(row) for row in catalog.query(_LOG, feature).to_pylist()]


def basis(catalog: Catalog, feature: str, number: int) -> Basis:
    """What a promotion of the version would be decided on now.

    Raises:
        UsageError: if there is no such version.
    """
    return _basis(catalog.query(_BASIS, feature, number).to_pylist(), feature, number)


def promote(
    catalog: Catalog,
    feature: str,
    number: int,
    decided_on: Basis,
    *,
    forced: bool = False,
    reason: str | None = None,
    gates: Sequence[Mapping[str, object]] | None = None,
) -> bool:
    """Make a version live, if the catalog still says what that was decided on.

    Returns:
        Whether it is live; False where something has changed meanwhile, so that it has to be
        decided again.

    Raises:
        UsageError: if there is no such version, or its readers would see nothing.
    """
    with catalog.transaction() as con:
        found = _basis(fetch(con, _BASIS, feature, number), feature, number)
        if found != decided_on:
            return False
        _check_readable(f"{feature}_v{number}", found.dropped_at, found.run)
        set_live(con, feature, number, "promote", forced=forced, reason=reason, gates=gates)
    return True


def rollback(catalog: Catalog, feature: str, reason: str | None = None) -> tuple[int, int]:
    """Make the version live that was so before the present one; again and again walks back.

    Returns:
        The version that was live, and the one that is.

    Raises:
        UsageError: if no version was live before, or its readers would see nothing.
    """
    with catalog.transaction() as con:
        versions = {row["version"]: row for row in fetch(con, _VERSIONS, feature)}
        now = next((n for n, row in versions.items() if row["standing"] == "live"), None)
        if now is None:
            raise UsageError(
                f"{feature} has no live version to go back from; make one live with "
                f"`vecmill promote {feature} N`"
            )
        changes = [_change(row) for row in fetch(con, _LOG, feature)]
        path = [n for n in walked(changes) if n != now]
        if not path:
            left = [c.version for c in changes if c.standing == "live" and c.version != now]
            also = f" (v{left[-1]}, which was gone back from, was so after it)" if left else ""
            other = left[-1] if left else "N"
            raise UsageError(
                f"no version of {feature} was live before v{now}{also}; make another one live with "
                f"`vecmill promote {feature} {other}`"
            )
        target = versions[path[-1]]
        _check_readable(f"{feature}_v{path[-1]}", target["dropped_at"], target["run"], before=now)
        set_live(con, feature, path[-1], "rollback", reason=reason)
    return now, path[-1]


def retire(catalog: Catalog, feature: str, number: int, reason: str | None = None) -> bool:
    """Give a candidate up.

    Returns:
        Whether that changed anything: False where it was retired already.

    Raises:
        UsageError: if there is no such version, or it is the live one.
    """
    with catalog.transaction() as con:
        versions = {row["version"]: row["standing"] for row in fetch(con, _VERSIONS, feature)}
        if number not in versions:
            raise UsageError(no_version(feature, number, versions))
        if versions[number] == "live":
            raise UsageError(
                f"{feature}_v{number} is what readers of {feature} see; make another version live "
                f"first, with `vecmill promote {feature} N` or `vecmill rollback {feature}`"
            )
        if versions[number] == "retired":
            return False
        _retire(con, feature, number, reason)
    return True


def retire_all(catalog: Catalog, feature: str, reason: str | None = None) -> list[int]:
    """Give every version of a feature up, the live one too: its readers see nothing any more.

    Returns:
        The versions that were not retired before.
    """
    with catalog.transaction() as con:
        found = fetch(con, _VERSIONS, feature)
        numbers = [row["version"] for row in found if row["standing"] != "retired"]
        for number in numbers:
            _retire(con, feature, number, reason)
    return numbers


def reinstate(catalog: Catalog, feature: str, number: int, reason: str | None = None) -> bool:
    """Make a version that was given up a candidate again.

    Returns:
        Whether that changed anything: False where it is no retired one.
    """
    with catalog.transaction() as con:
        versions = {row["version"]: row["standing"] for row in fetch(con, _VERSIONS, feature)}
        if versions.get(number) != "retired":
            return False
        _set(con, feature, number, ("candidate", "reinstate"), reason)
    return True


def walked(changes: Sequence[Change]) -> list[int]:
    """The versions to go back through, the one that is live last.

    A promotion goes a step on, a rollback a step back, so that the next one goes further back
    and not to where the last one came from.
    """
    path: list[int] = []
    for change in changes:
        if change.standing != "live":
            continue
        if change.action == "rollback":
            path = path[: path.index(change.version)] if change.version in path else []
        path = [*(number for number in path if number != change.version), change.version]
    return path


def no_version(feature: str, number: int, known: Sequence[int] | Mapping[int, object]) -> str:
    """That a feature has no such version, and which it has."""
    there = ", ".join(f"v{n}" for n in known) or "none"
    return f"{feature} has no version v{number}; there are: {there}"


def _basis(rows: Sequence[Mapping[str, Any]], feature: str, number: int) -> Basis:
    if not rows:
        raise UsageError(f"{feature} has no version v{number}; see `vecmill versions {feature}`")
    return Basis(**rows[0])


def _check_readable(
    table: str, dropped_at: datetime | None, run: str | None, before: int | None = None
) -> None:
    was = f"{table}, which was live before v{before}," if before else table
    instead = f"; make another live with `vecmill promote {table.rpartition('_v')[0]} N`"
    if dropped_at is not None:
        raise UsageError(f"{was} was dropped on {dropped_at:%Y-%m-%d}{instead}")
    if run is None:
        raise UsageError(f"{was} has no published run, so readers would see nothing{instead}")


def _retire(con: duckdb.DuckDBPyConnection, feature: str, number: int, reason: str | None) -> None:
    _set(con, feature, number, ("retired", "retire"), reason)


def _set(
    con: duckdb.DuckDBPyConnection,
    feature: str,
    number: int,
    change: tuple[Standing, str],
    reason: str | None,
) -> None:
    """Change a standing, and log it: the new one, and the action."""
    standing, action = change
    con.execute(
        "UPDATE versions SET standing = ? WHERE feature = ? AND version = ?",
        [standing, feature, number],
    )
    con.execute(
        "INSERT INTO standings (feature, version, standing, action, forced, reason, changed_at) "
        "VALUES (?, ?, ?, ?, false, ?, ?)",
        [feature, number, standing, action, reason, datetime.now(UTC)],
    )


def _change(row: Mapping[str, Any]) -> Change:
    said = row["gates"]
    gates = None if said is None else cast("list[Mapping[str, object]]", json.loads(said))
    known = {name: row[name] for name in Change.__dataclass_fields__ if name != "gates"}
    return Change(**known, gates=gates)
