"""Cursors as text: which of them is the highest.

Only one thing must hold: no cursor is higher than every value that was seen, else rows would be
passed over. A database may sort text by the rules of a language, and this module by code points;
the highest by one order was seen under the other too, so what lies behind it is read at worst
twice.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    import polars as pl

Sort: TypeAlias = Literal["number", "moment", "text", "json"]
"""How cursors compare; ``json`` is numbers before text, as SQLite sorts a column without types."""


def sort_of(dtype: pl.DataType) -> Sort:
    """How the values of a column compare."""
    if dtype.is_numeric():
        return "number"
    return "moment" if dtype.is_temporal() else "text"


def highest(cursors: Iterable[str], sort: Sort) -> str | None:
    """The highest cursor; None where there is none, or none that sorts (NaN, infinity)."""
    best: tuple[Any, str] | None = None
    for cursor in cursors:
        key = _KEYS[sort](cursor)
        if key is not None and (best is None or key > best[0]):
            best = key, cursor
    return None if best is None else best[1]


def later(one: str, other: str, sort: Sort) -> str:
    """The later of two cursors; the first where neither sorts."""
    return highest((one, other), sort) or one


def as_text(value: object) -> str:
    """A value as a cursor that a database reads back exactly."""
    if isinstance(value, datetime):
        return value.isoformat(" ")
    return repr(value) if isinstance(value, float) else str(value)


def _number(cursor: str) -> Decimal | None:
    try:
        number = Decimal(cursor)
    except InvalidOperation:
        return None
    return number if number.is_finite() else None


def _moment(cursor: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(cursor)
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _json(cursor: str) -> tuple[int, Any]:
    value = json.loads(cursor)
    return int(isinstance(value, str)), value


_KEYS: dict[Sort, Callable[[str], Any]] = {
    "number": _number, "moment": _moment, "text": str, "json": _json,
}  # fmt: skip
