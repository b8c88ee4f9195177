"""Colours of the points of a map: of a column's categories, or along its numbers and times."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from flows.output.visible import on_one_line

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa
    from numpy.typing import NDArray

MOST = 10
"""Categories that have a colour of their own."""

# Petroff 2021, "Accessible color sequences for data visualization": told apart by people who see
# no red, no green or no blue. Its two greys come last here.
PALETTE = (
    "#3f90da", "#ffa90e", "#bd1f01", "#832db6", "#a96b59",
    "#e76300", "#b9ac70", "#92dadd", "#717581", "#94a4a2",
)  # fmt: skip

FAINT = "#c8c8cc"
"""Of what stands behind: other categories, and records without a value."""

OTHER, NONE = "other", "no value"

SCALE = "viridis"

_LONGEST = 60
_TICKS = 5
_ENDS = (1, 99)


@dataclass(frozen=True)
class Category:
    """Some of the points.

    Attributes:
        name: as shown.
        colour: ``#rrggbb``.
        behind: whether it is drawn beneath all others.
    """

    name: str
    colour: str
    count: int
    behind: bool = False


@dataclass(frozen=True)
class Categories:
    """Each point is of one category.

    Attributes:
        column: what they are of; None where there is but one.
        codes: ``(n,)``, places in ``categories``.
        folded: how many categories are in `OTHER`.
    """

    column: str | None
    categories: tuple[Category, ...]
    codes: NDArray[np.int64]
    folded: int = 0


@dataclass(frozen=True)
class Numbers:
    """Each point has a number.

    Attributes:
        values: ``(n,)`` float64; NaN where there is none.
        low, high: where the colours end; a few numbers lie beyond.
        ticks: numbers between, and how they are written.
        beyond: whether some lie below, and above.
    """

    column: str
    values: NDArray[np.float64]
    low: float
    high: float
    ticks: tuple[tuple[float, str], ...]
    beyond: tuple[bool, bool]


Colours: TypeAlias = Categories | Numbers


def colours(column: str | None, values: pa.ChunkedArray | None, n: int) -> Colours:
    """The colours of n points by the values of a column; all of one colour without one.

    Numbers and times of more than `MOST` different values are a scale, all else is categories: the
    `MOST` most frequent by name, so that one keeps its colour while counts change; then `OTHER`.
    """
    import pyarrow.types as kinds

    if column is None or values is None:
        return Categories(None, (Category("records", PALETTE[0], n),), np.zeros(n, np.int64))
    scale = kinds.is_integer(values.type) or kinds.is_floating(values.type)
    scale |= kinds.is_decimal(values.type) or kinds.is_timestamp(values.type)
    scale |= kinds.is_date(values.type)
    if scale:
        numbers = _as_numbers(values)
        if len(np.unique(numbers[np.isfinite(numbers)])) > MOST:
            return _numbers(column, numbers, is_time=kinds.is_temporal(values.type))
    # Lists and structures cannot be counted by, their texts can.
    plain = [v if isinstance(v, str | int | float | None) else str(v) for v in values.to_pylist()]
    return _categories(column, plain)


def _categories(column: str, values: Sequence[Any]) -> Categories:
    counts = Counter(value for value in values if not _missing(value))
    own = [value for value, _ in sorted(counts.items(), key=_by_count)[:MOST]]
    order = {value: code for code, value in enumerate(sorted(own, key=_natural))}
    found = [Category(_short(value), PALETTE[code], counts[value]) for value, code in order.items()]
    folded = len(counts) - len(own)
    if folded:
        count = sum(counts.values()) - sum(counts[value] for value in own)
        found.append(Category(f"{OTHER} ({folded:,} more)", FAINT, count, behind=True))
    missing = len(values) - sum(counts.values())
    if missing:
        found.append(Category(NONE, FAINT, missing, behind=True))
    last = len(found) - 1
    codes = [last if _missing(v) else order.get(v, len(order)) for v in values]
    return Categories(column, tuple(found), np.array(codes, np.int64), folded)


def _numbers(column: str, values: NDArray[np.float64], *, is_time: bool) -> Numbers:
    finite = values[np.isfinite(values)]
    low, high = (float(end) for end in np.percentile(finite, _ENDS))
    if not low < high:
        low, high = float(finite.min()), float(finite.max())
    beyond = (bool(finite.min() < low), bool(finite.max() > high))
    ticks = _times(low, high) if is_time else _round(low, high)
    shown = np.where(np.isfinite(values), values, np.nan)
    return Numbers(column, shown, low, high, tuple(ticks), beyond)


def _round(low: float, high: float) -> list[tuple[float, str]]:
    from matplotlib.ticker import MaxNLocator

    found = [float(t) for t in MaxNLocator(_TICKS).tick_values(low, high) if low <= t <= high]
    return [(tick, f"{tick:,.6g}") for tick in found]


def _times(low: float, high: float) -> list[tuple[float, str]]:
    """Even steps; written as days, or to the minute where all is within two."""
    form = "%Y-%m-%d" if high - low > 2 * 86_400 else "%m-%d %H:%M"
    return [
        (float(t), datetime.fromtimestamp(t, UTC).strftime(form))
        for t in np.linspace(low, high, _TICKS)
    ]


def _as_numbers(values: pa.ChunkedArray) -> NDArray[np.float64]:
    """As float64, times in seconds since 1970; NaN where there is none."""
    import pyarrow as pa
    import pyarrow.types as kinds

    divisor = 1.0
    if kinds.is_temporal(values.type):
        values = values.cast(pa.timestamp("us")).cast(pa.int64())
        divisor = 1e6
    found = values.cast(pa.float64(), safe=False).to_numpy()
    return np.asarray(found, np.float64) / divisor


def _by_count(item: tuple[Any, int]) -> tuple[int, Any]:
    return (-item[1], _natural(item[0]))


def _natural(value: Any) -> tuple[int, float, str]:  # noqa: ANN401 - whatever a column holds
    """Numbers by size, and before all else."""
    if isinstance(value, int | float):
        return (0, float(value), "")
    text = str(value)
    return (0, float(text), text) if text.isdecimal() else (1, 0.0, text)


def _missing(value: Any) -> bool:  # noqa: ANN401 - as above
    return value is None or value == "" or (isinstance(value, float) and np.isnan(value))


def _short(value: Any) -> str:  # noqa: ANN401 - as above
    text = on_one_line(str(value))
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
