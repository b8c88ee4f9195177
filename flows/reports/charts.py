"""Looks over time as charts: inline SVG as wide as its box, in the page's own colours.

Places along x are percentages and those along y pixels, so that a chart fills a phone's width and a
desk's without its letters and marks being stretched.

A monitor has two lanes: what it measured, above the band that chance alone keeps to, and how likely
that was if nothing had changed, by powers of ten, above the band in which it is no alarm by itself.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from flows.markup import Html, el, put
from flows.reports.bars import number
from flows.reports.verdict import day

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from flows.reports.model import Look, Watched

_PAD = 14
_WIDE = 12
"""A lane whose values are further apart than so many times is drawn by their logarithms."""

_APART = 15
_LEAST_P = 1e-16
_MARKS = {
    "alarm": "M0-6.5 6 5H-6Z",
    "watch": "M0-6 6 0 0 6-6 0Z",
    "quiet": "M-3.5 0a3.5 3.5 0 1 0 7 0a3.5 3.5 0 1 0-7 0",
    "cannot tell": "M-3 0a3 3 0 1 0 6 0a3 3 0 1 0-6 0",
}


@dataclass(frozen=True)
class _Scale:
    """From values to pixels, downwards."""

    low: float
    high: float
    height: int
    is_log: bool = False

    @classmethod
    def over(cls, values: Sequence[float], height: int) -> _Scale:
        """A scale that begins at 0, or by logarithms where values are far apart."""
        high = max(values)
        if min(values) > 0 and high > _WIDE * sorted(values)[len(values) // 2]:
            return cls(math.log10(min(values)) - 0.1, math.log10(high) + 0.1, height, is_log=True)
        low = min(0.0, *values)
        return cls(low, (high if high > low else low + 1.0) * 1.06, height)

    def y(self, value: float) -> float:
        """Where a value lies."""
        at = math.log10(value) if self.is_log else value
        share = (at - self.low) / (self.high - self.low)
        return round(_PAD + (1 - min(1.0, max(0.0, share))) * (self.height - 2 * _PAD), 1)


@dataclass(frozen=True)
class _Lane:
    """One chart of looks.

    Attributes:
        what: it shows, in a word.
        values: of each look, None where it has none.
        bounds: up to which a look's value is in the band, None where it has none.
        scale: of both.
        written: a value as people read it.
    """

    what: str
    looks: Sequence[Look]
    values: Sequence[float | None]
    bounds: Sequence[float | None]
    scale: _Scale
    written: Callable[[float], str]


def drawn(watched: Watched) -> list[Look]:
    """The looks of a monitor that can be drawn: those that measured something."""
    return [k for k in watched.looks if k.statistic is not None and math.isfinite(k.statistic)]


def over_time(watched: Watched, name: str) -> Html:
    """What a monitor measured at each look, and how likely that was.

    Args:
        watched: the monitor.
        name: that no other element of the page has.
    """
    looks = drawn(watched)
    lanes = [_measured(looks)]
    if any(k.p_value is not None for k in looks):
        lanes.append(_likely(looks))
    charts = [_chart(watched, lane, f"{name}-{place}") for place, lane in enumerate(lanes)]
    return put(*charts, el("div", *_dates(looks), class_="dates", aria_hidden="true"))


def _measured(looks: Sequence[Look]) -> _Lane:
    values = [k.statistic for k in looks]
    bounds = [k.threshold for k in looks]
    every = [v for v in (*values, *bounds) if v is not None]
    return _Lane("measured", looks, values, bounds, _Scale.over(every, 150), "{:.3g}".format)


def _likely(looks: Sequence[Look]) -> _Lane:
    """By powers of ten, the unlikely above: 3 is p = 0.001."""
    values = [_powers(k.p_value) for k in looks]
    bounds = [_powers(k.figure("level") or k.figure("alpha")) for k in looks]
    high = max(1.0, *(v for v in (*values, *bounds) if v is not None))
    scale = _Scale(0.0, high * 1.06, 104)
    return _Lane("p", looks, values, bounds, scale, lambda value: f"{10**-value:.2g}")


def _powers(p: float | None) -> float | None:
    return None if p is None else -math.log10(max(p, _LEAST_P))


def _chart(watched: Watched, lane: _Lane, name: str) -> Html:
    floor = lane.scale.height - _PAD
    svg = el(
        "svg",
        el("title", f"{watched.monitor} over time: {lane.what}", id=f"{name}-title"),
        el("desc", described(watched), id=f"{name}-desc"),
        *_bands(lane),
        el("line", class_="axis", x1="0", x2="100%", y1=floor, y2=floor),
        *_lines(lane),
        *_marks(lane),
        role="img", height=lane.scale.height, width="100%",
        aria_labelledby=f"{name}-title {name}-desc",
    )  # fmt: skip
    ticks = el("div", *_ticks(lane), class_="ticks", aria_hidden="true")
    return el("div", ticks, svg, el("span", lane.what, class_="lane", aria_hidden="true"),
              class_="plot")  # fmt: skip


def described(watched: Watched) -> str:
    """A chart in words."""
    looks = drawn(watched)
    counts = Counter(k.verdict for k in looks)
    verdicts = ", ".join(f"{n} {verdict}" for verdict, n in sorted(counts.items()))
    first, last = looks[0], looks[-1]
    when = f"on {day(first.at)}"
    if first.at.date() != last.at.date():
        when = f"from {day(first.at)} to {day(last.at)}"
    bound = "" if last.threshold is None else f" against a threshold of {number(last.threshold)}"
    p = "" if last.p_value is None else f", p = {number(last.p_value)}"
    n = "1 look" if len(looks) == 1 else f"{len(looks)} looks"
    return f"{n} {when}: {verdicts}. The last measured {number(last.statistic)}{bound}{p}."


def _x(place: int, lane: _Lane) -> float:
    return round(100 * (place + 0.5) / len(lane.looks), 3)


def _bands(lane: _Lane) -> list[Html]:
    """What each look took for chance: up to its bound."""
    wide, floor = 100 / len(lane.looks), lane.scale.height - _PAD
    found = []
    for i, bound in enumerate(lane.bounds):
        if bound is None:
            continue
        top = lane.scale.y(bound)
        x, end = f"{i * wide:.3f}%", f"{(i + 1) * wide:.3f}%"
        found.append(el("rect", class_="band", x=x, y=top, width=f"{wide:.3f}%",
                        height=round(floor - top, 1)))  # fmt: skip
        found.append(el("line", class_="bound", x1=x, x2=end, y1=top, y2=top))
    return found


def _lines(lane: _Lane) -> list[Html]:
    places = [
        (f"{_x(i, lane)}%", lane.scale.y(v)) for i, v in enumerate(lane.values) if v is not None
    ]
    pairs = pairwise(places)
    return [el("line", class_="way", x1=a, y1=b, x2=c, y2=d) for (a, b), (c, d) in pairs]


def _marks(lane: _Lane) -> list[Html]:
    found = []
    for i, (look, value) in enumerate(zip(lane.looks, lane.values, strict=True)):
        if value is None:
            continue
        shape = el("path", el("title", told(look)), d=_MARKS.get(look.verdict, _MARKS["quiet"]))
        kind = f"mark {look.verdict.replace(' ', '-')}"
        found.append(el("svg", shape, class_=kind, x=f"{_x(i, lane)}%", y=lane.scale.y(value),
                        overflow="visible"))  # fmt: skip
    return found


def told(look: Look) -> str:
    """A look in a few words."""
    words = [f"{look.at:%Y-%m-%d %H:%M}: {look.verdict}"]
    if look.alone != look.verdict:
        words.append(f"{look.alone} by itself")
    bound = "" if look.threshold is None else f" against {number(look.threshold)}"
    words.append(f"measured {number(look.statistic)}{bound}")
    if look.p_value is not None:
        words.append(f"p = {number(look.p_value)}")
    return ", ".join(words)


def _ticks(lane: _Lane) -> list[Html]:
    """The floor, the last bound and the largest value, where they do not meet."""
    values = [v for v in lane.values if v is not None]
    bounds = [v for v in lane.bounds if v is not None]
    floor = min(values) if lane.scale.is_log else lane.scale.low
    found: list[Html] = []
    taken: list[float] = []
    for value in (floor, *bounds[-1:], max(values)):
        y = lane.scale.y(value)
        if all(abs(y - other) > _APART for other in taken):
            taken.append(y)
            found.append(el("span", lane.written(value), style=f"top:{y}px"))
    return found


def _dates(looks: Sequence[Look]) -> list[Html]:
    first, last = looks[0].at, looks[-1].at
    if len(looks) == 1:
        return [el("span", f"{first:%Y-%m-%d %H:%M}")]
    form = "%H:%M" if first.date() == last.date() else "%Y-%m-%d"
    return [el("span", f"{at:{form}}") for at in (first, last)]
