"""Points in time, read from what tables hold.

A value is read as

* an ISO 8601 date or time (``2024-01-31``, ``2024-01-31T23:59:59.5+02:00``, ``20240131``); one
  without a zone is UTC,
* seconds since 1970, whole or with a fraction, where its size is from 1e8 to 1e11 (1973 to 5138),
* milliseconds since 1970, where its size is from 1e11 to 1e14 (1973 to 5138).

Numbers outside are refused: a year or a row number is not to pass for a minute in 1970. Eight
digits are a date, year first, for the same reason.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import polars as pl

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_NUMBER = re.compile(r"[+-]?\d+(\.\d*)?", re.ASCII)
_COMPACT_DATE = re.compile(r"\d{8}", re.ASCII)
_SECONDS = (1e8, 1e11)
_MILLISECONDS = (1e11, 1e14)


def moments(values: pl.Series) -> pl.Series:
    """Read a column as points in time.

    Args:
        values: String, integer, float, Date or Datetime.

    Returns:
        Datetime(us, UTC), null where the value is null or is no point in time.
    """
    import polars as pl

    wanted = pl.Datetime("us", "UTC")
    if isinstance(values.dtype, pl.Datetime):
        zoned = values if values.dtype.time_zone else values.dt.replace_time_zone("UTC")
        return zoned.dt.convert_time_zone("UTC").cast(wanted)
    if values.dtype == pl.Date:
        return values.cast(pl.Datetime("us")).dt.replace_time_zone("UTC")
    # value by value: fromisoformat is C, and takes all forms of ISO 8601 in one column, where
    # Polars wants a single format
    found = [_moment(value) for value in values.to_list()]
    return pl.Series(values.name, found, dtype=pl.Int64).cast(wanted)


def _moment(value: object) -> int | None:
    """Microseconds since 1970, or None."""
    text = str(value).strip()
    if value is None or not text:
        return None
    if _NUMBER.fullmatch(text) and not _COMPACT_DATE.fullmatch(text):
        return _from_epoch(text)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    zoned = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return (zoned - _EPOCH) // _MICROSECOND


def _from_epoch(text: str) -> int | None:
    number = float(text)
    if _SECONDS[0] <= abs(number) < _SECONDS[1]:
        return round(number * 1_000_000)
    if _MILLISECONDS[0] <= abs(number) < _MILLISECONDS[1]:
        return round(number * 1_000)
    return None
