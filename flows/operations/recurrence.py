"""When something is to happen again: by cron, every so often, or by a rule of RFC 5545.

Times of a clock on the wall (cron, rules, whole days) are of the schedule's time zone, so that 6
o'clock stays 6 o'clock when the clocks are changed. Hours, minutes and seconds are counted from
midnight UTC of a fixed day, so that a process that starts anew does not shift them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal
from zoneinfo import ZoneInfo, available_timezones

from flows.config.nearest import hint

Kind = Literal["cron", "every", "rrule"]

CRON_FIELDS = 5
ANCHOR = datetime(2020, 1, 1, tzinfo=UTC)
"""What is counted from where a schedule names no beginning; Prefect takes the same for rules."""

_NAMED_ZONE = re.compile(r";TZID=[^:;]*", re.IGNORECASE)
"""What dateutil heeds though it is to ignore zones."""
_ZONED_START = re.compile(r"DTSTART(;TZID=[^:;]*:|:\w*Z$)", re.IGNORECASE | re.MULTILINE)
_DAY = timedelta(days=1)
_DAILY = f"DTSTART:{ANCHOR:%Y%m%dT%H%M%S}\nRRULE:FREQ=DAILY;INTERVAL="
_UNITS = ("hours", "minutes", "seconds")


@dataclass(frozen=True)
class Recurrence:
    """When a schedule is due.

    Attributes:
        kind: what ``text`` is.
        text: a cron line of five fields, an interval in seconds, or a rule (RFC 5545, RRULE).
        zone: the name of a time zone.
    """

    kind: Kind
    text: str
    zone: str = "UTC"

    @classmethod
    def every(cls, interval: timedelta, zone: str = "UTC") -> Recurrence:
        """A recurrence every so often; whole days begin at midnight of the time zone."""
        if interval % _DAY:
            return cls("every", str(int(interval.total_seconds())), zone)
        return cls("rrule", f"{_DAILY}{interval // _DAY}", zone)

    @property
    def interval(self) -> timedelta:
        """The interval, where the kind is ``every``."""
        return timedelta(seconds=int(self.text))

    @property
    def counted_in(self) -> str:
        """The time zone to give Prefect: in others it shifts intervals when clocks are changed.

        It would leave out one start of the hour that is doubled, and start what is due every 36
        hours twice, an hour apart.
        """
        return "UTC" if self.kind == "every" else self.zone

    def after(self, moment: datetime) -> datetime | None:
        """The first time after a moment, in the schedule's zone; None where there is none.

        Of an hour that the clocks skip it is the hour before, of one that they double the first:
        so Prefect 3.8 starts it.
        """
        zone = ZoneInfo(self.zone)
        if self.kind == "every":
            steps = (moment - ANCHOR) // self.interval + 1
            return (ANCHOR + steps * self.interval).astimezone(zone)
        wall = moment.astimezone(zone).replace(tzinfo=None)
        while (named := self._on_the_wall(wall)) is not None:
            readings = (named.replace(tzinfo=zone, fold=fold) for fold in (0, 1))
            # By way of UTC: within a zone Python compares what the clock shows.
            found = min(reading.astimezone(UTC) for reading in readings)
            if found > moment:
                return found.astimezone(zone)
            wall = named
        return None

    def _on_the_wall(self, moment: datetime) -> datetime | None:
        """What ``cron`` or ``rrule`` names next, by a clock that nobody changes; without a zone."""
        if self.kind == "cron":
            from cronsim import CronSim

            return next(CronSim(self.text, moment), None)
        from dateutil.rrule import rrulestr  # type: ignore[import-untyped]

        # Rules are of the wall's clock, whatever zone they name: so has Prefect it.
        text = _NAMED_ZONE.sub("", self.text)
        rule = rrulestr(text, dtstart=ANCHOR.replace(tzinfo=None), ignoretz=True)
        named: datetime | None = rule.after(moment)
        return named

    def told(self) -> str:
        """As a table shows it."""
        if self.text.startswith(_DAILY):
            return _every(int(self.text.removeprefix(_DAILY)), "days")
        if self.kind != "every":
            return self.text.split("\n")[-1]
        unit = next(unit for unit in _UNITS if not self.interval % timedelta(**{unit: 1}))
        return _every(self.interval // timedelta(**{unit: 1}), unit)


def _every(count: int, unit: str) -> str:
    return f"every {unit.removesuffix('s')}" if count == 1 else f"every {count} {unit}"


def check_cron(name: str, text: str) -> None:
    """Refuse what is no cron line.

    Raises:
        ValueError: with the field that is wrong.
    """
    from cronsim import CronSim, CronSimError

    if len(text.split()) != CRON_FIELDS:
        raise ValueError(
            f"{name} must be a cron line of {CRON_FIELDS} fields such as '0 * * * *', got {text!r}"
        )
    try:
        CronSim(text, ANCHOR)
    except CronSimError as error:
        field = str(error).removeprefix("Bad ")
        raise ValueError(
            f"{name} = {text!r} has a wrong {field}; the fields are minute, hour, day of the "
            "month, month and day of the week, such as '30 6 * * MON-FRI'"
        ) from None


def check_rrule(name: str, text: str) -> None:
    """Refuse what is no rule.

    Raises:
        ValueError: with what dateutil says of it.
    """
    from dateutil.rrule import rrulestr

    if fine := next((f for f in ("SECONDLY", "MINUTELY") if f in text.upper()), None):
        # To count from the rule's beginning to now would take seconds each time.
        raise ValueError(f"{name} is too fine with FREQ={fine}; use every = '5 minutes'")
    if re.search(r"UNTIL=\w*Z", text, re.IGNORECASE) and not _ZONED_START.search(text):
        raise ValueError(
            f"{name} = {text!r} ends at a time of UTC, and its times are those of `timezone`: "
            "leave out the Z after UNTIL"
        )
    try:
        rrulestr(text, dtstart=ANCHOR.replace(tzinfo=None))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            f"{name} must be a rule of RFC 5545 such as 'FREQ=WEEKLY;BYDAY=MO,FR;BYHOUR=6', got "
            f"{text!r} ({error})"
        ) from None


def check_zone(name: str, text: str) -> None:
    """Refuse what is no time zone.

    Raises:
        ValueError: with the nearest name.
    """
    known = available_timezones()
    if text not in known:
        near = hint(text, known)
        near = near if "did you mean" in near else "; names are such as 'Europe/Berlin' and 'UTC'"
        raise ValueError(f"{name} must be a time zone, got {text!r}{near}")
