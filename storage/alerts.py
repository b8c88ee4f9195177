"""Alerts that were sent, so that each alarm is told once, and snoozes, which keep some unsent."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from storage.database import fetch
from storage.entries import insert

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from storage.catalog import Catalog

_ABANDONED = timedelta(minutes=10)
"""What has been on its way for longer was broken off."""

_GRAVITY = ("cannot tell", "watch", "alarm")

_LAST = """
SELECT monitor, arg_max(status, rowid) AS status, arg_max(sent_at, rowid) AS sent_at,
       arg_max(verdict, rowid) AS verdict
FROM alerts WHERE feature = ? AND version = ? AND channel = ? GROUP BY monitor
"""


def claim(
    catalog: Catalog,
    key: Mapping[str, Any],
    raised: Mapping[str, str],
    over: Sequence[str],
) -> dict[str, str]:
    """Note which alarms are about to be sent; those that were, and still stand, are not again.

    Two looks at once send each alarm once. What is on its way counts as sent, unless whoever sent
    it has ended.

    Args:
        catalog: the catalog.
        key: feature, version, run_id and channel.
        raised: the monitors that something is to be sent of, with their verdicts. A graver one
            than was sent before is news.
        over: those that are quiet: the next alarm of them is a new one.

    Returns:
        Monitor to alert_id, of those to send now.
    """
    now, claimed = datetime.now(UTC), dict[str, str]()
    with catalog.transaction() as con:
        rows = fetch(con, _LAST, key["feature"], key["version"], key["channel"])
        last = {row["monitor"]: row for row in rows}
        for monitor in over:
            if monitor in last and last[monitor]["status"] != "over":
                row = {"alert_id": uuid4().hex, "monitor": monitor, "status": "over"}
                insert(con, "alerts", {**key, **row, "sent_at": now})
        for monitor, verdict in raised.items():
            before = last.get(monitor, {"status": "over"})
            on_its_way = before["status"] == "sending" and now - before["sent_at"] < _ABANDONED
            told = before["status"] == "sent" or on_its_way
            if told and _GRAVITY.index(verdict) <= _GRAVITY.index(before["verdict"]):
                continue
            claimed[monitor] = uuid4().hex
            row = {"alert_id": claimed[monitor], "monitor": monitor, "status": "sending"}
            insert(con, "alerts", {**key, **row, "verdict": verdict, "sent_at": now})
    return claimed


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
