"""The types of columns: inferred from a sample, and given to the values of all rows."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING

from flows.sources import _times

if TYPE_CHECKING:
    from collections.abc import Collection

    import polars as pl

NAMES = ("str", "int", "float", "bool", "date", "datetime")
"""The types that a configuration can name."""

_LEADING_ZERO = r"^[+-]?0\d"


def dtype(name: str) -> pl.DataType:
    """The Polars type for a name out of `NAMES`; a datetime is ``Datetime(us, UTC)``."""
    import polars as pl

    types: dict[str, pl.DataType] = {
        "str": pl.String(),
        "int": pl.Int64(),
        "float": pl.Float64(),
        "bool": pl.Boolean(),
        "date": pl.Date(),
        "datetime": pl.Datetime("us", "UTC"),
    }
    return types[name]


def named(dtype_: pl.DataType) -> str:
    """The name of a type as a configuration writes it, or as Polars does where it has none."""
    return next((name for name in NAMES if dtype(name) == dtype_), str(dtype_))


def plain(native: pl.DataType) -> pl.DataType:
    """The type that a typed column is kept with: categories become the text they stand for."""
    import polars as pl

    return pl.String() if isinstance(native, (pl.Categorical, pl.Enum)) else native


def can_cast(native: pl.DataType, wanted: pl.DataType) -> bool:
    """Whether `cast` has a sensible way from one type to the other.

    Polars would also turn a bool into a day of 1970, or a time of day into a count.
    """
    import polars as pl

    if native in (wanted, pl.String, pl.Null) or isinstance(native, (pl.Categorical, pl.Enum)):
        return True
    number = native.is_numeric() or native == pl.Boolean
    moment = native == pl.Date or isinstance(native, pl.Datetime)
    if wanted == pl.String:
        return number or moment or native == pl.Time
    if wanted.is_numeric():
        return number
    if wanted == pl.Boolean:
        return native.is_integer()
    if wanted == pl.Date:
        return moment
    return isinstance(wanted, pl.Datetime) and (native.is_numeric() or moment)


def infer(sample: pl.DataFrame, texts: Collection[str] = ()) -> dict[str, pl.DataType]:
    """The types of columns that came as text.

    Polars proposes, and its proposal stands only if `cast` takes every value of the sample:
    ``1/2/2024``, a time of day or a number of 30 digits stay text. So do codes with a leading
    zero, which a number would lose. A column without a value is text.

    Args:
        sample: String columns, null where there is no value.
        texts: columns that hold text by their nature, and are never read as numbers.
    """
    import polars as pl

    proposed = _proposed(sample)
    types: dict[str, pl.DataType] = {}
    for column in sample.iter_columns():
        offer = proposed[column.name]
        if column.name in texts and offer not in (dtype("date"), dtype("datetime")):
            offer = pl.String()
        types[column.name] = offer if _holds(column, offer) else pl.String()
    return types


def _proposed(sample: pl.DataFrame) -> dict[str, pl.DataType]:
    import polars as pl

    text = io.StringIO()
    # a column of row numbers in front keeps a row without any value from being a blank line
    plain = [column.str.strip_chars() for column in sample.iter_columns()]
    csv.writer(text, lineterminator="\n").writerows(
        zip(range(len(sample)), *(column.to_list() for column in plain), strict=True)
    )
    if not len(sample):
        return dict.fromkeys(sample.columns, pl.String())
    read = pl.read_csv(
        text.getvalue().encode(),
        has_header=False,
        infer_schema_length=None,
        try_parse_dates=True,
        ignore_errors=True,  # a number of 400 digits fits no type; what is proposed is checked
    )
    found = dict(zip(sample.columns, read.dtypes[1:], strict=True))
    return {
        name: dtype("datetime") if isinstance(kind, pl.Datetime) else kind
        for name, kind in found.items()
    }


def _holds(column: pl.Series, offer: pl.DataType) -> bool:
    from polars import Int64, Series

    if offer not in [dtype(name) for name in NAMES]:
        return False
    if offer == Int64 and column.str.strip_chars().str.contains(_LEADING_ZERO).any():
        return False
    misfits: Series = misfit(column, cast(column, offer))
    return not misfits.any()


def cast(column: pl.Series, wanted: pl.DataType) -> pl.Series:
    """Give a column a type; null where a value does not fit.

    Text is stripped of surrounding space first, unless text is wanted. A float is a finite number;
    a NaN that a file holds is no value. A bool is ``true``, ``false``, ``1`` or ``0``.
    """
    import polars as pl

    if column.dtype.is_float():
        column = column.fill_nan(None)
    if column.dtype == wanted:
        return column
    if isinstance(column.dtype, (pl.Categorical, pl.Enum)):
        column = column.cast(pl.String)
    if wanted == dtype("datetime"):
        return _times.moments(column)
    if column.dtype == pl.String:
        return column if wanted == pl.String else _parse(column.str.strip_chars(), wanted)
    if wanted == pl.Boolean:
        return _parse(column.cast(pl.String), wanted)
    given = column.cast(wanted, strict=False)
    if wanted.is_integer() and not column.dtype.is_integer():
        # Polars cuts 1.5 to 1 without a word
        whole = column.cast(pl.Float64) == given.cast(pl.Float64)
        return pl.select(pl.when(whole).then(given)).to_series().alias(column.name)
    return given


def _parse(text: pl.Series, wanted: pl.DataType) -> pl.Series:
    import polars as pl

    if wanted == pl.Boolean:
        values = {"true": True, "1": True, "false": False, "0": False}
        return text.str.to_lowercase().replace_strict(values, default=None, return_dtype=pl.Boolean)
    if wanted == pl.Date:
        return text.str.to_date("%Y-%m-%d", strict=False)
    given = text.cast(wanted, strict=False)
    if wanted.is_float():
        return pl.select(pl.when(given.is_finite()).then(given)).to_series().alias(text.name)
    return given


def misfit(before: pl.Series, after: pl.Series) -> pl.Series:
    """Boolean mask of the values that `cast` could not give the type; NaN counts as no value."""
    value = before.is_not_null()
    if before.dtype.is_float():
        value &= before.is_not_nan()
    return value & after.is_null()
