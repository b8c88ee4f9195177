"""Bytes and seconds as people read them."""

from __future__ import annotations

_UNITS = ("bytes", "kB", "MB", "GB", "TB")
_STEP = 1000
_MINUTE = 60


def size(number: float) -> str:
    """Bytes, such as ``12 MB``: in steps of 1000, with three digits at most."""
    value, unit = float(number), 0
    while value >= _STEP - 0.5 and unit < len(_UNITS) - 1:
        value, unit = value / _STEP, unit + 1
    shown = f"{value:,.0f}" if unit == 0 or value >= 10 else f"{value:.1f}"  # noqa: PLR2004 - two digits
    return f"{shown} {_UNITS[unit]}"


def seconds(number: float) -> str:
    """A stretch of time, such as ``0.4 s``, ``12 s`` or ``3 min 5 s``."""
    if number < 9.95:  # noqa: PLR2004 - which is shown as 10 s
        return f"{number:.1f} s"
    minutes, rest = divmod(round(number), _MINUTE)
    return f"{minutes:,} min {rest} s" if minutes else f"{rest} s"
