"""Looks over time as charts: inline SVG as wide as its box, in the page's own colours.

Places along x are percentages and those along y pixels, so that a chart fills a phone's width and a
desk's without its letters and marks being stretched. Each look has the same width, however long ago
the one before was: runs are not written by the clock.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from flows.output.markup import Html, el, put
from flows.reports.bars import number
from flows.reports.lanes import PAD, Lane, lanes
from flows.reports.looks import anew, described, drawn, told

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flows.reports.model import Look, Watched

_APART = 15
_BAR, _WIDEST = 0.6, 9.0
"""Of the width of a look, and of the chart in per cent."""

_MARKS = {
    "alarm": "M0-6.5 6 5H-6Z",
    "watch": "M0-6 6 0 0 6-6 0Z",
    "quiet": "M-3.5 0a3.5 3.5 0 1 0 7 0a3.5 3.5 0 1 0-7 0",
    "cannot tell": "M-3 0a3 3 0 1 0 6 0a3 3 0 1 0-6 0",
}


def over_time(watched: Watched, name: str) -> Html:
    """What a monitor measured at each look, and how likely that was.

    Args:
        watched: the monitor.
        name: that no other element of the page has.
    """
    found = lanes(watched)
    charts = [_chart(watched, lane, f"{name}-{place}") for place, lane in enumerate(found)]
    return put(*charts, el("div", *_dates(drawn(watched)), class_="dates", aria_hidden="true"))


def mark(verdict: str) -> Html:
    """How a look of this verdict is drawn, for a key."""
    shape = el("path", d=_MARKS[verdict])
    return el("svg", shape, viewBox="-8 -8 16 16", class_=f"mark {_kind(verdict)}",
              aria_hidden="true")  # fmt: skip


def _kind(verdict: str) -> str:
    return verdict.replace(" ", "-")


def _chart(watched: Watched, lane: Lane, name: str) -> Html:
    floor = lane.scale.height - PAD
    svg = el(
        "svg",
        el("title", f"{watched.monitor} over time: {lane.what}", id=f"{name}-title"),
        el("desc", described(watched), id=f"{name}-desc"),
        *_bands(lane),
        *_restarts(watched, lane),
        el("line", class_="axis", x1="0", x2="100%", y1=floor, y2=floor),
        *(_bars(watched, lane) if lane.is_bars else _lines(lane)),
        *(_marks(watched, lane) if lane.is_marked else ()),
        role="img", height=lane.scale.height, width="100%",
        aria_labelledby=f"{name}-title {name}-desc",
    )  # fmt: skip
    ticks = el("div", *_ticks(lane), class_="ticks", aria_hidden="true")
    return el("div", ticks, svg, el("span", lane.what, class_="lane", aria_hidden="true"),
              class_="plot")  # fmt: skip


def _x(place: int, lane: Lane) -> float:
    return round(100 * (place + 0.5) / len(lane.looks), 3)


def _bands(lane: Lane) -> list[Html]:
    """What each look took for chance: up to its bound."""
    wide, floor = 100 / len(lane.looks), lane.scale.height - PAD
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


def _restarts(watched: Watched, lane: Lane) -> list[Html]:
    """A line before each look with which the series began anew."""
    begun = anew(watched)
    return [
        el("line", el("title", f"the series begins anew, {begun[look.run_id]}"), class_="anew",
           x1=f"{100 * i / len(lane.looks):.3f}%", x2=f"{100 * i / len(lane.looks):.3f}%",
           y1=PAD, y2=lane.scale.height - PAD)
        for i, look in enumerate(lane.looks) if look.run_id in begun
    ]  # fmt: skip


def _lines(lane: Lane) -> list[Html]:
    places = [
        (f"{_x(i, lane)}%", lane.scale.y(v)) for i, v in enumerate(lane.values) if v is not None
    ]
    pairs = pairwise(places)
    return [el("line", class_="way", x1=a, y1=b, x2=c, y2=d) for (a, b), (c, d) in pairs]


def _bars(watched: Watched, lane: Lane) -> list[Html]:
    wide, zero = min(_WIDEST, _BAR * 100 / len(lane.looks)), lane.scale.y(0.0)
    found = []
    for i, (look, value) in enumerate(zip(lane.looks, lane.values, strict=True)):
        if value is None:
            continue
        top = min(zero, lane.scale.y(value))
        kind = f"bar {_kind(look.verdict)}" if lane.is_marked else "bar"
        title = el("title", f"{lane.what} {number(value)}; {told(watched, look)}")
        found.append(el("rect", title, class_=kind, x=f"{_x(i, lane) - wide / 2:.3f}%", y=top,
                        width=f"{wide:.3f}%",
                        height=round(abs(lane.scale.y(value) - zero), 1)))  # fmt: skip
    return found


def _marks(watched: Watched, lane: Lane) -> list[Html]:
    found = []
    for i, (look, value) in enumerate(zip(lane.looks, lane.values, strict=True)):
        if value is None:
            continue
        title = el("title", told(watched, look))
        shape = el("path", title, d=_MARKS.get(look.verdict, _MARKS["quiet"]))
        found.append(el("svg", shape, class_=f"mark {_kind(look.verdict)}", x=f"{_x(i, lane)}%",
                        y=lane.scale.y(value), overflow="visible"))  # fmt: skip
    return found


def _ticks(lane: Lane) -> list[Html]:
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
