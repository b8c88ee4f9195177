"""What there is to see of a monitor over time, as lanes of one chart: values by look, and bounds.

Of a test there is what it measured, over the band that chance alone keeps to, as the test's own
permutations or formula have it; the size of the effect; and p. Of a count there is the number, as
bars, and the number of records that were looked at; and p where there is one. All axes begin at 0
but two, which say so: one whose values are too far apart for that is by powers of ten, and p is by
powers of ten from 1, the unlikely above.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from flows.reports.looks import COUNTED, drawn

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from flows.reports.model import Look, Watched

PAD = 14
"""Pixels above and below what is drawn."""

_WIDE = 12
"""A lane whose values are further apart than so many times is drawn by their logarithms."""

_TALL, _HIGH, _LOW = 150, 104, 66
_LEAST_P = 1e-16


@dataclass(frozen=True)
class Scale:
    """From values to pixels, downwards."""

    low: float
    high: float
    height: int
    is_log: bool = False

    @classmethod
    def over(cls, values: Sequence[float], height: int) -> Scale:
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
        return round(PAD + (1 - min(1.0, max(0.0, share))) * (self.height - 2 * PAD), 1)


@dataclass(frozen=True)
class Lane:
    """One strip of a chart.

    Attributes:
        what: it shows, in words.
        values: of each look, None where it has none.
        bounds: up to which a look's value is in the band, None where it has none.
        scale: of both.
        written: a value as people read it.
        is_bars: whether values are bars.
        is_marked: whether each look's verdict is marked.
    """

    what: str
    looks: Sequence[Look]
    values: Sequence[float | None]
    bounds: Sequence[float | None]
    scale: Scale
    written: Callable[[float], str]
    is_bars: bool = False
    is_marked: bool = True


def lanes(watched: Watched) -> list[Lane]:
    """The lanes of a monitor that measured something, the first the one to look at."""
    looks = drawn(watched)
    found = _counts(watched, looks) if watched.counts is not None else _measured(looks)
    return [*found, _likely(looks)] if any(k.p_value is not None for k in looks) else found


def _counts(watched: Watched, looks: Sequence[Look]) -> list[Lane]:
    values = [k.statistic for k in looks]
    rows = [float(k.n_current) for k in looks]
    none: list[float | None] = [None] * len(looks)
    most = max(v for v in values if v is not None)
    # Nothing was counted: there is no need for room to draw it in.
    scale = Scale(0.0, max(1.0, most) * 1.06, _HIGH if most else _LOW)
    words = COUNTED.get(watched.counts or "", (watched.counts or "",) * 2)[1]
    return [
        Lane(words, looks, values, none, scale, "{:,.0f}".format, is_bars=True),
        Lane("records looked at", looks, rows, none, Scale(0.0, max(1.0, *rows) * 1.06, _LOW),
             "{:,.0f}".format, is_bars=True, is_marked=False),
    ]  # fmt: skip


def _measured(looks: Sequence[Look]) -> list[Lane]:
    values = [k.statistic for k in looks]
    bounds = [k.threshold for k in looks]
    every = [v for v in (*values, *bounds) if v is not None]
    scale = Scale.over(every, _TALL)
    powers = ", by powers of ten" if scale.is_log else ""
    found = [Lane(f"measured{powers}", looks, values, bounds, scale, "{:.3g}".format)]
    effects = [k.effect_size if k.effect_size is not None and math.isfinite(k.effect_size) else None
               for k in looks]  # fmt: skip
    if any(effects) and effects != values:
        high = max(e for e in effects if e is not None)
        low = min(0.0, *(e for e in effects if e is not None))
        room = Scale(low, high + 0.06 * (high - low), _LOW)
        found.append(Lane("size of the effect", looks, effects, [None] * len(looks), room,
                          "{:.3g}".format, is_bars=True, is_marked=False))  # fmt: skip
    return found


def _likely(looks: Sequence[Look]) -> Lane:
    """By powers of ten, the unlikely above: 3 is p = 0.001."""
    values = [_powers(k.p_value) for k in looks]
    bounds = [_powers(_level(k)) for k in looks]
    high = max(1.0, *(v for v in (*values, *bounds) if v is not None))
    return Lane("p of this look", looks, values, bounds, Scale(0.0, high * 1.06, _HIGH),
                _written)  # fmt: skip


def _written(powers: float) -> str:
    p = 10**-powers
    return f"≤ {_LEAST_P:g}" if p <= _LEAST_P else f"{p:.2g}"


def _level(look: Look) -> float | None:
    """The p at which the look is an alarm by itself; None where none is small enough."""
    level = look.figure("level")
    return look.figure("alpha") if level is None else level or None


def _powers(p: float | None) -> float | None:
    return None if p is None else -math.log10(max(p, _LEAST_P))
