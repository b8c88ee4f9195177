"""Which features a schedule should have run by now, and has not.

Only schedules that run features are told of: nothing of what the others do is put down by feature.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from storage.logs import entries

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping
    from pathlib import Path

    from flows.config.settings import Settings
    from flows.config.stores import Stores
    from flows.operations.recurrence import Recurrence
    from flows.operations.schedules import Schedule

LATEST = timedelta(minutes=15)
"""How late a start may be: the monitors of the run before, or other features, come first."""

_STARTED = """
SELECT feature, max(started_at) AS started_at, arg_max(run_id, started_at) AS run_id
FROM runs WHERE kind <> 'backfill' GROUP BY feature
"""
_ENDED = """
SELECT feature, max(finished_at) AS ended_at FROM runs WHERE finished_at IS NOT NULL GROUP BY ALL
"""


@dataclass(frozen=True)
class Overdue:
    """A start that has not come.

    Attributes:
        schedule: its name.
        due: when it should have been.
    """

    schedule: str
    due: datetime


@dataclass(frozen=True)
class Began:
    """When a feature's last run began.

    Attributes:
        at: the moment.
        schedules: those that ran the feature then, as `flows.operations.schedules.of_feature` has
            them; None where nobody knows.
    """

    at: datetime
    schedules: Mapping[str, str] | None = None

    def since(self, schedule: Schedule, written: datetime) -> datetime:
        """From when on a schedule could have started a run.

        One that the last run did not know is younger than that, and no younger than the
        configuration.

        Args:
            schedule: the schedule.
            written: when the configuration was last written.
        """
        if self.schedules is None or self.schedules.get(schedule.name) == schedule.due:
            return self.at
        return max(self.at, written)


def overdue(when: Recurrence, last: datetime, now: datetime) -> datetime | None:
    """When a start was due that has not come; None where none is late.

    Args:
        when: the schedule's recurrence.
        last: when the last run began.
        now: the present moment.
    """
    due = when.after(last)
    if due is None or due > now:
        return None
    following = when.after(due)
    late = due + LATEST if following is None else min(following, due + LATEST)
    return due.astimezone(UTC) if late <= now else None


def of_schedules(
    settings: Settings,
    last: Mapping[str, Began],
    ended: Mapping[str, datetime],
    busy: Collection[str],
    now: datetime,
) -> dict[str, Overdue]:
    """By feature the start that is overdue, of several schedules the one that was due first.

    Args:
        settings: the configuration.
        last: by feature its last run's beginning; one that has never run is not overdue, since
            nothing says since when it should be.
        ended: by feature when its last run ended. Where that was after the start was due, its
            monitors may still look, and the others come after them.
        busy: features that a run is under way of; nothing of their schedules is late, as a
            schedule goes through its features one by one.
        now: the present moment.
    """
    found: dict[str, Overdue] = {}
    written = _written(settings)
    for schedule in settings.schedules.values():
        names = schedule.features or tuple(settings.features)
        if schedule.does != "run" or not schedule.active or {*names} & {*busy}:
            continue
        for name in names:
            if name not in last:
                continue
            due = overdue(schedule.when, last[name].since(schedule, written), now)
            if due is None or any(_is_next(due, ended[one], now) for one in names if one in ended):
                continue
            if name not in found or due < found[name].due:
                found[name] = Overdue(schedule.name, due)
    return found


def _written(settings: Settings) -> datetime:
    """When a file of the configuration was last written."""
    times = [file.stat().st_mtime for file in settings.files if file.exists()]
    return datetime.fromtimestamp(max(times, default=0.0), UTC)


def _is_next(due: datetime, ended: datetime, now: datetime) -> bool:
    return due <= ended and now < ended + LATEST


def tell(
    settings: Settings, stores: Stores, rows: list[dict[str, Any]], now: datetime | None = None
) -> None:
    """Put ``overdue_since`` and ``overdue_schedule`` down in rows of `flows.lifecycle.status`.

    Args:
        settings: the configuration.
        stores: where the runs are put down.
        rows: one a version, as `flows.lifecycle.last_runs.tell` leaves them.
        now: the present moment, which is asked of the clock where it is None.
    """
    late: dict[str, Overdue] = {}
    if settings.schedules:
        last = dict(_started(stores, rows))
        busy = {row["feature"] for row in rows if row["last_status"] == "running"}
        ends = stores.catalog.query(_ENDED).to_pylist()
        ended = {row["feature"]: row["ended_at"] for row in ends}
        late = of_schedules(settings, last, ended, busy, now or datetime.now(UTC))
    for row in rows:
        found = late.get(row["feature"]) if row["standing"] != "retired" else None
        row["overdue_since"] = None if found is None else found.due
        row["overdue_schedule"] = None if found is None else found.schedule


def _started(stores: Stores, rows: list[dict[str, Any]]) -> Iterator[tuple[str, Began]]:
    """By feature when a run last began, also one that is in no catalog."""
    latest: dict[str, tuple[datetime, str]] = {
        row["feature"]: (row["started_at"], row["run_id"])
        for row in stores.catalog.query(_STARTED).to_pylist()
    }
    for row in rows:
        began, name = row["started_at"], row["feature"]
        if row["last_status"] in {"crashed", "failed"} and began is not None:
            latest[name] = max((began, row["last_run"]), latest.get(name, (began, "")))
    for name, (at, run_id) in latest.items():
        yield name, Began(at, _known(stores.logs.path(name, run_id)))


def _known(log: Path) -> Mapping[str, str] | None:
    """The schedules that a run has put down as it began."""
    try:
        begin = next(entries(log), None)
    except FileNotFoundError:  # cleared away
        return None
    found = None if begin is None else begin[0].get("schedules")
    return found if isinstance(found, dict) else None
