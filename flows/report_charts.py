"""Charts of a report: inline SVG that is as wide as its box, in the page's own colours.

Places along x are percentages and those along y pixels, so that a chart fills a phone's width and a
desk's without its letters and marks being stretched.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from flows.console import NOTHING, cell
from flows.markup import Html, el, put
from flows.report_verdict import day

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from flows.reported import Look, Points, Watched

_HEIGHT, _PAD = 150, 14
_WIDE = 12
"""A chart whose values are further apart than so many times is drawn by their logarithms."""

_APART = 15
_FEW = 400
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
    is_log: bool

    @classmethod
    def over(cls, values: Sequence[float]) -> _Scale:
        """A scale that begins at 0, or by logarithms where values are far apart."""
        high = max(values)
        positive = [v for v in values if v > 0]
        if len(positive) == len(values) and high > _WIDE * sorted(values)[len(values) // 2]:
            return cls(math.log10(min(values)) - 0.1, math.log10(high) + 0.1, is_log=True)
        low = min(0.0, *values)
        return cls(low, (high if high > low else low + 1.0) * 1.06, is_log=False)

    def y(self, value: float) -> float:
        """Where a value lies."""
        at = math.log10(value) if self.is_log else value
        share = (at - self.low) / (self.high - self.low)
        return round(_PAD + (1 - min(1.0, max(0.0, share))) * (_HEIGHT - 2 * _PAD), 1)


def number(value: float | None) -> str:
    """A number as people read it; p-values next to nothing are not rounded to it."""
    return f"{value:.1e}" if value is not None and 0 < abs(value) < NOTHING else cell(value)


def drawn(watched: Watched) -> list[Look]:
    """The looks of a monitor that can be drawn: those that measured something."""
    return [k for k in watched.looks if k.statistic is not None and math.isfinite(k.statistic)]


def over_time(watched: Watched, name: str) -> Html:
    """What a monitor measured at each look, above the band that chance alone keeps to.

    Args:
        watched: the monitor.
        name: that no other element of the page has.
    """
    looks = drawn(watched)
    values = [k.statistic for k in looks if k.statistic is not None]
    bounds = [k.threshold for k in looks if k.threshold is not None]
    scale = _Scale.over([*values, *bounds])
    svg = el(
        "svg",
        el("title", f"{watched.monitor} over time", id=f"{name}-title"),
        el("desc", described(watched), id=f"{name}-desc"),
        *_bands(looks, scale),
        el("line", class_="axis", x1="0", x2="100%", y1=_HEIGHT - _PAD, y2=_HEIGHT - _PAD),
        *_lines(looks, scale),
        *(_mark(k, _x(i, looks), scale) for i, k in enumerate(looks)),
        role="img", height=_HEIGHT, width="100%",
        aria_labelledby=f"{name}-title {name}-desc",
    )  # fmt: skip
    ticks = el("div", *_ticks(values, bounds, scale), class_="ticks", aria_hidden="true")
    return el("div", ticks, svg, el("div", *_dates(looks), class_="dates", aria_hidden="true"),
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
    n = "1 look" if len(looks) == 1 else f"{len(looks)} looks"
    return f"{n} {when}: {verdicts}. The last measured {number(last.statistic)}{bound}."


def _x(place: int, looks: Sequence[Look]) -> float:
    return round(100 * (place + 0.5) / len(looks), 3)


def _bands(looks: Sequence[Look], scale: _Scale) -> list[Html]:
    """What each look took for chance: up to its threshold."""
    wide, floor = 100 / len(looks), _HEIGHT - _PAD
    found = []
    for i, look in enumerate(looks):
        if look.threshold is None:
            continue
        top = scale.y(look.threshold)
        x, width = f"{i * wide:.3f}%", f"{wide:.3f}%"
        found.append(el("rect", class_="band", x=x, y=top, width=width, height=floor - top))
        end = f"{(i + 1) * wide:.3f}%"
        found.append(el("line", class_="bound", x1=x, x2=end, y1=top, y2=top))
    return found


def _lines(looks: Sequence[Look], scale: _Scale) -> list[Html]:
    places = [(f"{_x(i, looks)}%", scale.y(k.statistic or 0.0)) for i, k in enumerate(looks)]
    pairs = pairwise(places)
    return [el("line", class_="way", x1=a, y1=b, x2=c, y2=d) for (a, b), (c, d) in pairs]


def _mark(look: Look, x: float, scale: _Scale) -> Html:
    shape = el("path", el("title", told(look)), d=_MARKS.get(look.verdict, _MARKS["quiet"]))
    kind = f"mark {look.verdict.replace(' ', '-')}"
    return el("svg", shape, class_=kind, x=f"{x}%", y=scale.y(look.statistic or 0.0),
              overflow="visible")  # fmt: skip


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


def _ticks(values: Sequence[float], bounds: Sequence[float], scale: _Scale) -> list[Html]:
    """The largest value, the last threshold and the floor, where they do not meet."""
    floor = min(values) if scale.is_log else scale.low
    found: list[Html] = []
    taken: list[float] = []
    for value in (floor, *(bounds[-1:]), max(values)):
        y = scale.y(value)
        if all(abs(y - other) > _APART for other in taken):
            taken.append(y)
            found.append(el("span", f"{value:.3g}", style=f"top:{y}px"))
    return found


def _dates(looks: Sequence[Look]) -> list[Html]:
    same = looks[0].at.date() == looks[-1].at.date()
    form = "%H:%M" if same else "%Y-%m-%d"
    ends = [f"{looks[0].at:%Y-%m-%d %H:%M}"] if len(looks) == 1 else [
        f"{look.at:{form}}" for look in (looks[0], looks[-1])
    ]  # fmt: skip
    return [el("span", text) for text in ends]


# --- bars -----------------------------------------------------------------------------------------


def pair_of(figures: Mapping[str, float]) -> tuple[str, float, float] | None:
    """What a part had before and has now, and what that is; shares before all else."""
    found = []
    for key, before in figures.items():
        if "reference" not in key:
            continue
        others = (key.replace("reference", "current"), key.replace("_reference", ""))
        now = next((figures[k] for k in others if k in figures and k != key), None)
        if now is not None:
            name = key.replace("reference", "").strip("_").replace("__", "_")
            found.append((name, before, now))
    return min(found, key=lambda pair: "share" not in pair[0], default=None)


def paired(name: str, before: float, now: float, most: float) -> Html:
    """Two bars, one below the other.

    Args:
        name: of what they show; a ``share`` is written in per cent.
        before: the reference's.
        now: the current sample's.
        most: the value of a bar of full width.
    """
    rows = (("before", before), ("after", now))
    return el("div", *(_bar(kind, value, most, name) for kind, value in rows), class_="pair")


def _bar(kind: str, value: float, most: float, name: str) -> Html:
    wide = 100 * max(0.0, value) / most if most > 0 else 0.0
    shown = f"{value:.1%}" if "share" in name or name == "" else number(value)
    bar = el("i", style=f"width:{wide:.2f}%")
    return el("div", el("span", kind, class_="hidden"), el("span", bar, class_="track"),
              el("b", shown), class_=kind)  # fmt: skip


def meter(value: float, most: float) -> Html:
    """A small bar beside a number."""
    wide = 100 * min(1.0, value / most) if most > 0 else 0.0
    return el("span", el("i", style=f"width:{wide:.1f}%"), class_="track small",
              aria_hidden="true")  # fmt: skip


# --- the map --------------------------------------------------------------------------------------


def cloud(layers: Sequence[tuple[str, Points]], rings: set[str], name: str, told: str) -> Html:
    """Records as dots, one path a layer: thousands of elements would make the page slow.

    Args:
        layers: a class and the points that have it, the ones behind first.
        rings: record ids of the last layer that are marked.
        name: of the chart, that no other element has.
        told: the chart in words.
    """
    dots = [_layer(kind, points) for kind, points in layers]
    last = layers[-1][1]
    marked = [
        el("circle", el("title", i), class_="ring", cx=_at(x), cy=_at(1 - y), r="11")
        for i, x, y in zip(last.ids, last.x, last.y, strict=True)
        if i in rings
    ]
    return el("svg", el("title", told, id=f"{name}-title"), put(*dots, *marked),
              role="img", aria_labelledby=f"{name}-title", viewBox="-20 -20 1040 1040",
              data_map=name)  # fmt: skip


def _layer(kind: str, points: Points) -> Html:
    """One path; its dots are larger where there are few."""
    few = " few" if len(points.ids) <= _FEW else ""
    return el("path", class_=f"dots {kind}{few}", d=_dots(points))


def _dots(points: Points) -> str:
    """Lines of no length: their round ends are the dots."""
    pairs = zip(points.x, points.y, strict=True)
    return "".join(f"M{_at(x)} {_at(1 - y)}h0" for x, y in pairs)


def _at(share: float) -> str:
    return f"{1000 * share:.0f}"
