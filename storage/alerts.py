"""Alerts that were sent, so that each alarm is told once, and snoozes, which keep some unsent."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from storage.database import fetch
from storage.entries import insert

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import duckdb

    from storage.catalog import Catalog

_ABANDONED = timedelta(minutes=10)
"""What has been on its way for longer was broken off."""

_GRAVITY = ("cannot tell", "watch", "alarm")

_STANDING = """
SELECT alert_id, monitor, status, sent_at, verdict, about FROM alerts
WHERE feature = ? AND version = ? AND channel = ?
QUALIFY rowid > coalesce(max(rowid) FILTER (status = 'over') OVER (PARTITION BY monitor), -1)
ORDER BY rowid
"""
"""What was sent, or tried, of each monitor since it was quiet last."""


@dataclass(frozen=True)
class Raised:
    """Something to be told of a monitor.

    Attributes:
        verdict: what it says.
        about: the names of what that is about, which stay the same while it stands.
    """

    verdict: str
    about: Sequence[str] = ()


@dataclass(frozen=True)
class Claimed:
    """An alert that is to be sent now.

    Attributes:
        new: what it is about that it was not about when it was sent before; None where nothing
            was sent before, or something less grave.
    """

    alert_id: str
    new: tuple[str, ...] | None = None


def claim(
    catalog: Catalog,
    key: Mapping[str, Any],
    raised: Mapping[str, Raised],
    over: Sequence[str],
) -> dict[str, Claimed]:
    """Note which alarms are about to be sent; those that were, and still stand, are not again.

    Unless they have become graver, or are about something that they were never about while they
    stood. Two looks at once send each alarm once. What is on its way counts as sent, unless
    whoever sent it has ended.

    Args:
        catalog: the catalog.
        key: feature, version, run_id and channel.
        raised: the monitors that something is to be sent of.
        over: those that are quiet: the next alarm of them is a new one.

    Returns:
        By monitor those to send now.
    """
    now, claimed = datetime.now(UTC), dict[str, Claimed]()
    with catalog.transaction() as con:
        standing: dict[str, list[dict[str, Any]]] = {}
        for row in fetch(con, _STANDING, key["feature"], key["version"], key["channel"]):
            standing.setdefault(row["monitor"], []).append(row)
        for monitor in over:
            if monitor in standing:
                row = {"alert_id": uuid4().hex, "monitor": monitor, "status": "over"}
                insert(con, "alerts", {**key, **row, "sent_at": now})
        for monitor, alarm in raised.items():
            told = [row for row in standing.get(monitor, ()) if _is_told(row, now)]
            new = _news(con, told, alarm)
            if new == ():
                continue
            claimed[monitor] = Claimed(uuid4().hex, new)
            row = {"alert_id": claimed[monitor].alert_id, "monitor": monitor, "status": "sending"}
            row |= {"verdict": alarm.verdict, "about": _json(alarm.about), "sent_at": now}
            insert(con, "alerts", {**key, **row})
    return claimed


def _is_told(row: Mapping[str, Any], now: datetime) -> bool:
    if row["status"] == "sending":
        return bool(now - row["sent_at"] < _ABANDONED)
    return bool(row["status"] == "sent")


def _news(
    con: duckdb.DuckDBPyConnection, told: Sequence[Mapping[str, Any]], alarm: Raised
) -> tuple[str, ...] | None:
    """What of an alarm was not told yet; None for all of it."""
    if not told or _GRAVITY.index(alarm.verdict) > max(_GRAVITY.index(r["verdict"]) for r in told):
        return None
    # What an earlier release sent was about what it is about now.
    if untold := [row["alert_id"] for row in told if row["about"] is None]:
        con.execute(
            "UPDATE alerts SET about = ? WHERE list_contains(?, alert_id)",
            [_json(alarm.about), untold],
        )
        return ()
    known = {thing for row in told for thing in json.loads(row["about"])}
    return tuple(thing for thing in alarm.about if thing not in known)


def _json(about: Sequence[str]) -> str:
    # In their own letters, so that `erase` finds ids of any script in them.
    return json.dumps(list(about), ensure_ascii=False)


def settle(catalog: Catalog, alert_ids: Sequence[str], error: str | None) -> None:
    """Note that alerts were sent, or why not: those are sent again at the next look."""
    status = "sent" if error is None else "failed"
    with catalog.transaction() as con:
        for alert_id in alert_ids:
            con.execute(
                "UPDATE alerts SET status = ?, error = ?, sent_at = ? WHERE alert_id = ?",
                [status, error, datetime.now(UTC), alert_id],
            )


def snooze(
    catalog: Catalog, feature: str, monitor: str | None, until: datetime, reason: str | None
) -> None:
    """Send no alert of a monitor, or of any, until then; an earlier snooze gives way.

    A moment that is past ends one; without a monitor, all of the feature.
    """
    now = datetime.now(UTC)
    with catalog.transaction() as con:
        rows = fetch(con, "SELECT DISTINCT monitor FROM snoozes WHERE feature = ?", feature)
        others = [row["monitor"] for row in rows] if until <= now and monitor is None else []
        for name in {monitor, *others}:
            row = {"feature": feature, "monitor": name, "until": until, "reason": reason}
            insert(con, "snoozes", row | {"snoozed_at": now})


def snoozed(catalog: Catalog, feature: str) -> dict[str | None, datetime]:
    """Until when which monitors of a feature are snoozed; under None, all of them."""
    found = catalog.query(
        "SELECT monitor, arg_max(until, rowid) AS until FROM snoozes WHERE feature = ? "
        "GROUP BY monitor HAVING arg_max(until, rowid) > ?",
        *(feature, datetime.now(UTC)),
    )
    return {row["monitor"]: row["until"] for row in found.to_pylist()}


def all_snoozed(catalog: Catalog) -> list[dict[str, Any]]:
    """What is snoozed now: feature, monitor (None for all), until, reason, snoozed_at."""
    found = catalog.query(
        "SELECT * FROM snoozes QUALIFY row_number() OVER (PARTITION BY feature, monitor "
        "ORDER BY rowid DESC) = 1 AND until > ? ORDER BY feature, monitor NULLS FIRST",
        datetime.now(UTC),
    )
    rows: list[dict[str, Any]] = found.to_pylist()
    return rows


def until(asleep: Mapping[str | None, datetime], monitor: str) -> datetime | None:
    """Until when a monitor is snoozed, by what `snoozed` gave; None where it is not."""
    moments = [asleep[name] for name in (monitor, None) if name in asleep]
    return max(moments, default=None)
