"""Sizes, times and counts as people read them; JSON has the plain numbers, with units in names."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

_BYTES = ("bytes", "kB", "MB", "GB", "TB", "PB")
_MINUTE, _HOUR, _DAY = 60, 3_600, 86_400
_TENTHS = 10
"""Below this many of a unit, a tenth of it is told."""


def size(count: float) -> str:
    """Bytes as ``1.2 MB``: thousands, as disks and desktops count them."""
    value, unit = float(count), 0
    # What would be written as 1,000 of a unit is 1 of the next.
    while unit < len(_BYTES) - 1 and round(abs(value)) >= 1000:  # noqa: PLR2004 - the step
        value, unit = value / 1000, unit + 1
    if unit == 0:
        return f"{value:,.0f} {'byte' if value == 1 else 'bytes'}"
    digits = 1 if round(value, 1) < 100 else 0  # noqa: PLR2004 - three digits in all
    return f"{value:,.{digits}f} {_BYTES[unit]}"


def duration(seconds: float) -> str:
    """Seconds as ``3 min 20 s``: the two largest units, and what is short to the millisecond."""
    if seconds < 0:
        return f"-{duration(-seconds)}"
    whole = round(seconds)
    if whole < _MINUTE:
        return _short(seconds)
    if whole < _HOUR:
        return _two(whole, _MINUTE, 1, "min", "s")
    # Minutes are enough from an hour on, and hours from a day on.
    whole = _to(whole, _MINUTE)
    if whole < _DAY:
        return _two(whole, _HOUR, _MINUTE, "h", "min")
    return _two(_to(whole, _HOUR), _DAY, _HOUR, "days", "h")


def _short(seconds: float) -> str:
    if seconds == round(seconds) or round(seconds, 1) >= _TENTHS:
        return f"{seconds:.0f} s"
    return f"{seconds:.1f} s" if seconds >= 1 else f"{seconds * 1000:.0f} ms"


def _to(seconds: int, unit: int) -> int:
    return round(seconds / unit) * unit


def _two(seconds: int, large: int, small: int, name: str, rest: str) -> str:
    many, left = divmod(seconds, large)
    name = "day" if (name, many) == ("days", 1) else name
    return f"{many:,} {name}" + (f" {left // small} {rest}" if left else "")


def about(seconds: float) -> str:
    """An expected duration: no more digits than an estimate has."""
    if seconds < 1:
        return "less than a second"
    whole = round(seconds)
    if whole >= _HOUR * _TENTHS:
        return f"about {duration(_to(whole, _HOUR))}"
    if whole >= _MINUTE * _TENTHS:
        return f"about {duration(_to(whole, _MINUTE))}"
    return f"about {duration(whole)}"


def count(number: int) -> str:
    """A count as ``1,234``."""
    return f"{number:,}"


def several(number: int, noun: str) -> str:
    """So many of something: ``1 record``, ``1,234 records``."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def verb(number: int, noun: str, one: str, more: str) -> str:
    """So many of something, and what it or they do: ``1 row is``, ``1,234 rows are``."""
    return f"{several(number, noun)} {one if number == 1 else more}"


def moment(when: datetime) -> str:
    """A moment by the clock of this machine, with its zone; one without a zone as it is."""
    if when.tzinfo is None:
        return f"{when:%Y-%m-%d %H:%M}"
    return f"{when.astimezone():%Y-%m-%d %H:%M %Z}"


def ago(seconds: float) -> str:
    """How long ago something was, by its largest unit alone: ``3 h ago``, ``2 days ago``."""
    whole = max(round(seconds), 0)
    if whole < _MINUTE:
        return "just now"
    unit = next(unit for unit in (_DAY, _HOUR, _MINUTE) if whole >= unit)
    return f"{duration(whole // unit * unit)} ago"


def rate(per_second: float) -> str:
    """Records a second as ``1,234/s``; slow ones by the minute or the hour."""
    if per_second >= _TENTHS:
        return f"{per_second:,.0f}/s"
    if per_second >= 1:
        return f"{per_second:.1f}/s"
    a_minute = per_second * _MINUTE
    return f"{a_minute:.1f}/min" if a_minute >= 1 else f"{per_second * _HOUR:.1f}/h"


def far(done: int, total: int | None, seconds: float) -> str:
    """How far a stage is: its count, its rate, and about how long the rest will take."""
    of = "" if total is None else f" of {total:,}"
    if not done or seconds <= 0:
        return f"{done:,}{of}"
    pace = done / seconds
    left = f", {about((total - done) / pace)} left" if total and total > done else ""
    return f"{done:,}{of}, {rate(pace)}{left}"
