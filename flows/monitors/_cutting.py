"""Kept columns cut into slices: by value where there are few, by size where there are many."""

from __future__ import annotations

import bisect
import math
from collections import defaultdict
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

FEWEST = 3
"""Contents that a value needs to be named: one that stands in a single record tells who it is."""

_PARTS = 4
_LONGEST = 60


@dataclass(frozen=True)
class Slice:
    """Rows that have something of a column in common.

    Attributes:
        name: what, such as ``label = Sports``.
        rows: ``(count,)``, where they stand, in order.
        is_value: whether it is one value, rather than a range or the rest.
    """

    name: str
    rows: NDArray[np.intp]
    is_value: bool


@dataclass(frozen=True)
class Column:
    """A column and its slices; each row is in one of them.

    Attributes:
        name: of the column.
        slices: at least two; none where the column cannot be cut.
        why: why it cannot.
        is_time: whether its values are times, of which later runs have later ones by nature.
    """

    name: str
    slices: tuple[Slice, ...] = ()
    why: str = ""
    is_time: bool = False


def cut(name: str, values: Sequence[object], most: int) -> Column:
    """Cut one column.

    Up to ``most`` different values are a slice each, those of fewer than three rows together one.
    More numbers, or times, are cut into four parts of about equal size, at quantiles. Missing
    values, NaN among them, are a slice too.

    Args:
        name: of the column.
        values: one a row.
        most: different values beyond which there are no slices by value.
    """
    present = {row: value for row, value in enumerate(values) if not _is_missing(value)}
    times = bool(present) and all(isinstance(v, date) for v in present.values())
    by_value: dict[str, list[int]] = defaultdict(list)
    for row, value in present.items():
        by_value[str(value)].append(row)
    if len(by_value) <= most:
        slices = _by_value(name, by_value)
    elif times or all(_is_number(value) for value in present.values()):
        slices = _by_size(name, present)
    else:
        return Column(name, why=f"it has {len(by_value):,} different values and is not of numbers")
    missing = [row for row in range(len(values)) if row not in present]
    slices += [_slice(f"{name} is missing", missing)] if missing else []
    if len(slices) < 2:  # noqa: PLR2004 - nothing is parted by one
        return Column(name, why="all its values are alike")
    return Column(name, tuple(slices), is_time=times)


def _by_value(name: str, by_value: dict[str, list[int]]) -> list[Slice]:
    common = {value: rows for value, rows in by_value.items() if len(rows) >= FEWEST}
    rare = [row for value, rows in by_value.items() if value not in common for row in rows]
    slices = [
        _slice(f"{name} = {_short(value)}", rows, is_value=True)
        for value, rows in sorted(common.items())
    ]
    return slices + ([_slice(f"{name} is a rare value", sorted(rare))] if rare else [])


def _by_size(name: str, present: dict[int, object]) -> list[Slice]:
    ordered = sorted(present.values(), key=_key)
    places = (len(ordered) * part // _PARTS for part in range(1, _PARTS))
    cuts = sorted({_key(v): v for v in (ordered[p] for p in places)}.items())
    above = [(_key(value), value) for value in ordered if _key(value) > _key(ordered[0])]
    # where the quartiles are all the least value, it is held against all larger ones
    cuts = [pair for pair in cuts if pair[0] > _key(ordered[0])] or above[:1]
    keys = [key for key, _ in cuts]
    parts: dict[int, list[int]] = defaultdict(list)
    for row, value in present.items():
        parts[bisect.bisect_right(keys, _key(value))].append(row)
    bounds = ["", *(_told(value) for _, value in cuts), ""]
    return [
        _slice(_range(name, bounds[part], bounds[part + 1]), rows)
        for part, rows in sorted(parts.items())
    ]


def _range(name: str, low: str, high: str) -> str:
    if not low:
        return f"{name} < {high}"
    return f"{low} <= {name} < {high}" if high else f"{name} >= {low}"


def _slice(name: str, rows: list[int], *, is_value: bool = False) -> Slice:
    return Slice(name, np.array(rows, dtype=np.intp), is_value)


def _is_missing(value: object) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))


def _is_number(value: object) -> bool:
    return isinstance(value, int | float | Decimal) and not isinstance(value, bool)


def _key(value: object) -> float:
    """Where a number or a time stands among its like."""
    if isinstance(value, datetime):
        zone = value.utcoffset()
        seconds = value.hour * 3600 + value.minute * 60 + value.second + value.microsecond / 1e6
        return value.toordinal() * 86400 + seconds - (zone.total_seconds() if zone else 0.0)
    if isinstance(value, date):
        return float(value.toordinal())
    return float(str(value)) if isinstance(value, Decimal) else float(value)  # type: ignore[arg-type]  # a number


def _told(value: object) -> str:
    if isinstance(value, datetime):
        return value.isoformat(" ", "seconds")
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _short(value: str) -> str:
    line = " ".join(value.split()) or "(empty)"
    return line if len(line) <= _LONGEST else f"{line[: _LONGEST - 1]}…"
