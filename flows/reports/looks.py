"""Looks of a monitor in words: what each measured, how likely that was, and what it had to reach.

A look may have several p-values, and each is called what it is: the p of this look, adjusted for
how many checks it was made of where there are several; and the level that it had to reach to be
an alarm by itself, which the series of looks gives it.
"""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING

from flows.output import units
from flows.reports.bars import number
from flows.reports.verdict import day

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flows.reports.model import Look, Watched

COUNTED = {
    "records": ("named record", "named records"),
    "slices": ("slice that changed", "slices that changed"),
    "checks": ("check that failed", "checks that failed"),
}
"""What a statistic is a number of, as people say one and many."""

_MOMENTS = 3
_OTHERWISE = "since it is configured, or compared, otherwise"


def drawn(watched: Watched) -> list[Look]:
    """The looks of a monitor that can be drawn: those that measured something."""
    return [k for k in watched.looks if k.statistic is not None and math.isfinite(k.statistic)]


def anew(watched: Watched) -> dict[str, str]:
    """By run the looks with which a series of looks began anew, and why; not the first series."""
    found: dict[str, str] = {}
    before: Look | None = None
    for look in watched.looks:
        if not look.series:
            continue
        if look.begins and before is not None:
            alarmed = before.verdict == "alarm"
            after = f"after the alarm of {before.at:%Y-%m-%d %H:%M}"
            found[look.run_id] = after if alarmed else _OTHERWISE
        before = look
    return found


def counted(watched: Watched, value: float) -> str:
    """A number of what the monitor's statistic counts, in words."""
    one, many = COUNTED.get(watched.counts or "", (f"{watched.counts}", f"{watched.counts}"))
    return f"{value:,.0f} {one if value == 1 else many}"


def measured(watched: Watched, look: Look) -> str:
    """What a look measured."""
    if look.statistic is None:
        return "nothing was measured"
    if watched.counts is not None:
        seen = units.several(look.n_current, "record")
        return f"{counted(watched, look.statistic)}, {seen} looked at"
    bound = "" if look.threshold is None else f", {number(look.threshold)} is allowed"
    if bound and not watched.is_check:
        bound = f", chance alone keeps to {number(look.threshold)}"
    effect = "" if look.effect_size is None else f", effect {number(look.effect_size)}"
    return f"measured {number(look.statistic)}{bound}{effect}"


def likely(watched: Watched, look: Look) -> str:
    """How likely that was where nothing has changed, and what it had to be; empty without a p."""
    if look.p_value is None:
        return ""
    told = f"p of this look {look.p_value:.2g}{_adjusted(watched.detail, watched.counts)}"
    level = look.figure("level")
    if level is None:
        return told
    if level == 0:
        return f"{told}; too few records for an alarm by this look alone"
    return f"{told}; level this look had to reach {level:.2g}"


def _adjusted(detail: Mapping[str, float], counts: str | None) -> str:
    tests = detail.get(counts or "") if counts in {"checks", "slices"} else None
    if not tests:
        return ""
    return f" (the least of {tests:.0f} {counts}, adjusted for that)"


def told(watched: Watched, look: Look) -> str:
    """A look in a few words."""
    words = f"{look.at:%Y-%m-%d %H:%M}: {look.verdict}"
    if look.alone != look.verdict:
        words += f" ({look.alone} by itself)"
    begun = anew(watched).get(look.run_id)
    parts = [words, measured(watched, look), likely(watched, look)]
    return "; ".join(
        [*filter(None, parts), *([f"its series begins anew, {begun}"] if begun else [])]
    )


def described(watched: Watched) -> str:
    """All looks that are drawn, in words."""
    looks = drawn(watched)
    counts = Counter(k.verdict for k in looks)
    verdicts = ", ".join(f"{n} {verdict}" for verdict, n in sorted(counts.items()))
    first, last = looks[0], looks[-1]
    when = f"on {day(first.at)}"
    if first.at.date() != last.at.date():
        when = f"from {day(first.at)} to {day(last.at)}"
    n = "1 look" if len(looks) == 1 else f"{len(looks)} looks"
    p = likely(watched, last)
    said = f"{n} {when}: {verdicts}. The last: {measured(watched, last)}{f'; {p}' if p else ''}."
    return f"{said}{_restarts(watched)}"


def _restarts(watched: Watched) -> str:
    whys = list(anew(watched).values())
    found = ""
    if whys:
        shown = ", ".join(dict.fromkeys(whys[-_MOMENTS:]))
        times = "" if len(whys) == 1 else f" {len(whys)} times"
        last = ", last" if len(whys) > _MOMENTS else ":" if times else ""
        found = f" Its series began anew{times}{last} {shown}."
    if watched.looks and watched.looks[-1].series and watched.looks[-1].verdict == "alarm":
        found += " With this alarm its series ends: the next look begins one."
    return found
