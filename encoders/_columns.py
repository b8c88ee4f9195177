"""One column of a table into a few numbers that weigh as much as any other column's.

What a column becomes is learned once, from a sample, and is then a frozen value that goes into
the encoder's state as JSON. Each gives a block of features:

* `Number`: the value, standardised, and where the sample had gaps a 0/1 feature that marks them,
* `Category`: a 0/1 feature for each frequent category, for all others, and for a gap.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from encoders.base import EncoderError

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    import polars as pl
    from numpy.typing import NDArray

    from encoders.base import Json

FARTHEST = 20.0
"""Deviations from the mean at which a number is held: far enough to be seen, safe in float32."""

_LARGEST = 1e150
"""Larger numbers would overflow when they are squared."""

_SKEWED = 1.0
_DISTINCT = 1e-14
"""Of the largest value: a column that deviates by less is rounding, not information."""


@dataclass(frozen=True)
class Number:
    """How a column of numbers, truth values or times is read.

    Attributes:
        name: of the column.
        median: stands in for a gap; heavy tails are pulled in around it.
        unit: distances from the median of many units are compressed to their logarithm; None
            leaves them as they are.
        mean: of the values after that.
        deviation: of the values after that.
        gaps: whether gaps have a feature.
    """

    name: str
    median: float
    unit: float | None
    mean: float
    deviation: float
    gaps: bool

    @property
    def width(self) -> int:
        """How many features."""
        return 1 + self.gaps

    def block(self, column: pl.Series) -> NDArray[np.float64]:
        """The features, ``(n, width)`` float64.

        Raises:
            EncoderError: if the column holds no numbers.
        """
        import numpy as np

        values = _numbers(column)
        missing = np.isnan(values)
        filled = tame(np.where(missing, self.median, values), self.median, self.unit)
        standard = np.clip((filled - self.mean) / self.deviation, -FARTHEST, FARTHEST)
        return np.column_stack([standard, missing] if self.gaps else [standard])

    def missing(self, column: pl.Series) -> NDArray[np.bool_]:
        """Which values are gaps, ``(n,)``.

        Raises:
            EncoderError: if the column holds no numbers.
        """
        import numpy as np

        return np.isnan(_numbers(column))


@dataclass(frozen=True)
class Category:
    """How a column of categories is read.

    Attributes:
        name: of the column.
        numeric: whether the categories were numbers or truth values, not text.
        names: those that have a feature, the most frequent first.
        others: whether all others share a feature.
        gaps: whether gaps have a feature.
    """

    name: str
    numeric: bool
    names: tuple[str, ...]
    others: bool
    gaps: bool

    @property
    def width(self) -> int:
        """How many features."""
        return len(self.names) + self.others + self.gaps

    def block(self, column: pl.Series) -> NDArray[np.float64]:
        """The features, ``(n, width)`` float64; a value that has none is zero in all.

        Raises:
            EncoderError: if the column holds text where it held numbers, or the reverse.
        """
        import numpy as np

        known = len(self.names)
        index = self.index(column)
        if not self.others:
            index = np.where(index == known, -1, index)
        index = np.where(index == known + 1, self.width - 1 if self.gaps else -1, index)
        block = np.zeros((len(index), self.width))
        there = np.flatnonzero(index >= 0)
        block[there, index[there]] = 1
        return block

    def index(self, column: pl.Series) -> NDArray[np.int64]:
        """The place of each value in `names`, ``(n,)``; then come all others, and then gaps.

        Raises:
            EncoderError: if the column holds text where it held numbers, or the reverse.
        """
        import numpy as np
        import polars as pl

        if column.dtype != pl.Null and _is_number(column.dtype) != self.numeric:
            raise EncoderError(
                f"column {self.name!r} has type {column.dtype}, but held "
                f"{'numbers' if self.numeric else 'text'} when the encoder was fitted: "
                "convert it, or refit"
            )
        texts = _texts(column)
        place = {name: index for index, name in enumerate(self.names)}
        other, gap = len(self.names), len(self.names) + 1
        return np.array([gap if t is None else place.get(t, other) for t in texts], dtype=np.int64)


def learn(
    column: pl.Series, *, as_category: bool, min_count: int, max_categories: int
) -> Number | Category | None:
    """Learn how to read a column; None if it says nothing: constant, or all gaps.

    Raises:
        EncoderError: if its type is neither numbers, times, nor text.
    """
    import polars as pl

    if column.dtype == pl.Null:
        return None
    if _is_number(column.dtype) and not as_category:
        return _learn_number(column)
    return _learn_category(column, min_count, max_categories)


def tame(values: NDArray[np.float64], median: float, unit: float | None) -> NDArray[np.float64]:
    """``sign(d) log(1 + |d| / unit)`` of the distances d from the median; as is without a unit."""
    import numpy as np

    if unit is None:
        return values
    away = values - median
    return np.sign(away) * np.log1p(np.abs(away) / unit)


def to_json(column: Number | Category) -> dict[str, Json]:
    """A column as JSON."""
    fields = asdict(column)
    if isinstance(column, Category):
        fields["names"] = list(column.names)
    return {"type": type(column).__name__.lower(), **fields}


def from_json(fields: Mapping[str, Any]) -> Number | Category:
    """A column from what `to_json` gave."""
    given = {name: value for name, value in fields.items() if name != "type"}
    if fields["type"] == "number":
        return Number(**given)
    return Category(**{**given, "names": tuple(given["names"])})


def _learn_number(column: pl.Series) -> Number | None:
    import numpy as np

    values = _numbers(column)
    missing = np.isnan(values)
    finite = values[np.abs(values) < _LARGEST]
    if not len(finite) or finite.std() <= _DISTINCT * np.abs(finite).max():
        return None
    median = float(np.median(finite))
    unit = _tail_unit(finite, median)
    filled = tame(np.where(missing, median, values), median, unit)[~(np.abs(values) >= _LARGEST)]
    return Number(
        column.name, median, unit, float(filled.mean()), float(filled.std()), bool(missing.any())
    )


def _tail_unit(values: NDArray[np.float64], median: float) -> float | None:
    """The median distance from the median, of those that have one, if the logarithm evens out."""
    import numpy as np

    away = np.abs(values - median)
    unit = float(np.median(away[away > 0]))
    before, after = _skewness(values), _skewness(tame(values, median, unit))
    return unit if after < before and before > _SKEWED else None


def _skewness(values: NDArray[np.float64]) -> float:
    standard = (values - values.mean()) / values.std()
    return abs(float((standard**3).mean()))


def _learn_category(column: pl.Series, min_count: int, max_categories: int) -> Category | None:
    texts = _texts(column)
    counts = texts.drop_nulls().alias("name").value_counts(name="count")
    ranked = sorted(counts.iter_rows(), key=lambda row: (-row[1], row[0]))
    names = tuple(name for name, count in ranked[:max_categories] if count >= min_count)
    read = Category(
        name=column.name,
        numeric=_is_number(column.dtype),
        names=names,
        others=len(ranked) > len(names),
        gaps=texts.null_count() > 0,
    )
    return read if read.width > 1 else None


def _is_number(dtype: pl.DataType) -> bool:
    import polars as pl

    return dtype.is_numeric() or dtype.is_temporal() or dtype == pl.Boolean


def _numbers(column: pl.Series) -> NDArray[np.float64]:
    """As float64, times as microseconds; gaps and NaN as NaN, infinity as a very large number."""
    import numpy as np
    import polars as pl

    if column.dtype == pl.Null:
        return np.full(len(column), np.nan)
    if not _is_number(column.dtype):
        raise EncoderError(
            f"column {column.name!r} has type {column.dtype}, but held numbers when the encoder "
            "was fitted: convert it, or refit"
        )
    if column.dtype == pl.Date or isinstance(column.dtype, pl.Datetime):
        column = column.cast(pl.Datetime("us")).to_physical()
    elif isinstance(column.dtype, pl.Duration):
        column = column.cast(pl.Duration("us")).to_physical()
    elif column.dtype == pl.Time:
        column = column.to_physical()
    values = column.cast(pl.Float64).fill_null(np.nan).to_numpy()
    return np.asarray(np.clip(values, -_LARGEST, _LARGEST), dtype=np.float64)


def _texts(column: pl.Series) -> pl.Series:
    """As text without spaces around it; gaps, NaN and empty text as null."""
    import polars as pl

    if column.dtype == pl.Null:
        return column.cast(pl.String)
    if _is_number(column.dtype):
        numbers = pl.Series(column.name, _numbers(column)).fill_nan(None)
        return numbers.cast(pl.String)
    if not isinstance(column.dtype, pl.String | pl.Categorical | pl.Enum):
        raise EncoderError(
            f"column {column.name!r} has type {column.dtype}, expected numbers, truth values, "
            "times or text: take it apart, or leave it out of the content"
        )
    texts = column.cast(pl.String).str.strip_chars()
    return texts.replace("", None)
