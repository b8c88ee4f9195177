"""Lengths of time as people write them: ``90 s``, ``30 minutes``, ``6 hours``, ``2 days``."""

from __future__ import annotations

import re
from datetime import timedelta

_UNITS = {
    **dict.fromkeys(("s", "sec", "second", "seconds"), timedelta(seconds=1)),
    **dict.fromkeys(("m", "min", "minute", "minutes"), timedelta(minutes=1)),
    **dict.fromkeys(("h", "hour", "hours"), timedelta(hours=1)),
    **dict.fromkeys(("d", "day", "days"), timedelta(days=1)),
    **dict.fromkeys(("w", "week", "weeks"), timedelta(weeks=1)),
}
_WRITTEN = re.compile(r"\s*(\d{1,6})\s*([a-z]+)\s*")


def duration(name: str, text: str) -> timedelta:
    """The length of time that a key gives.

    Raises:
        ValueError: if the text is no whole number with a unit, or none above 0.
    """
    found = _WRITTEN.fullmatch(text)
    unit = _UNITS.get(found[2]) if found else None
    if found is None or unit is None or int(found[1]) == 0:
        raise ValueError(
            f"{name} is a whole number above 0 with a unit, such as '30 minutes', '6 hours' or "
            f"'2 days', got {text!r}"
        )
    return int(found[1]) * unit
