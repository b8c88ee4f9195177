"""The command that keeps alerts from being sent for a while."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

from cyclopts import Parameter

from flows.commands._app import WATCH, AsJson, Conf, Flag, app
from flows.commands._app import stores as stores_of
from flows.output import units
from flows.output.answers import print_json, say, table
from flows.output.codes import FINE
from storage.model import UsageError

_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_LONGEST = timedelta(days=366)


@app.command(usage="Usage: vecmill snooze [OPTIONS] [FEATURE] [MONITOR]", group=WATCH)
def snooze(
    feature: str | None = None,
    monitor: str | None = None,
    /,
    *,
    time: Annotated[str, Parameter(name="--for", metavar="TIME")] = "1d",
    off: Flag = False,
    reason: Annotated[str | None, Parameter(metavar="TEXT")] = None,
    conf: Conf = None,
    json: AsJson = False,
) -> int:
    """Send no alerts of a feature, or of one of its monitors, for a while.

    An alarm is still found, kept and counted by gates; nobody is told of it. Without a feature,
    what is snoozed is listed.

    Parameters
    ----------
    feature
        The feature.
    monitor
        One of its monitors; all of them where none is named.
    time
        For how long: a number with m, h, d or w, such as 7d.
    off
        End it now.
    reason
        Why; kept in the catalog.
    """
    from storage import alerts

    stores, settings = stores_of(conf)
    if feature is None:
        _list(alerts.all_snoozed(stores.catalog), json=json)
        return FINE
    known = [m.name for m in settings.feature(feature).monitors or settings.default_monitors]
    if monitor is not None and monitor not in known:
        raise UsageError(
            f"{feature} has no monitor {monitor!r}; there are: {', '.join(sorted(known))}"
        )
    now = datetime.now(UTC)
    until = now if off else now + _length(time)
    alerts.snooze(stores.catalog, feature, monitor, until, reason)
    row = {"feature": feature, "monitor": monitor, "until": None if off else until}
    print_json([row], json=json)
    what = f"{feature}: {monitor or 'all monitors'}"
    say(f"{what}: not snoozed" if off else f"{what}: snoozed until {units.moment(until)}")
    return FINE


def _list(rows: list[dict[str, Any]], *, json: bool) -> None:
    print_json(rows, json=json)
    if not rows:
        say("nothing is snoozed")
    elif not json:
        shown = [row | {"monitor": row["monitor"] or "all"} for row in rows]
        table(shown, ("feature", "monitor", "until", "reason"))


def _length(text: str) -> timedelta:
    match = re.fullmatch(r"(\d{1,6})([mhdw])", text)
    length = timedelta(**{_UNITS[match[2]]: int(match[1])}) if match else timedelta(0)
    if not timedelta(0) < length <= _LONGEST:
        raise UsageError(
            f"--for takes a number with m, h, d or w, such as 7d, up to 366 days, got {text!r}"
        )
    return length
