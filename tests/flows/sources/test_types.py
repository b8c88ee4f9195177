"""Inferred types, casts and points in time."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal

import polars as pl
import pytest

from flows.sources import _times, _types


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (["1", "-2", None], "int"),
        ([" 1", "2 "], "int"),
        (["1", "2.5"], "float"),
        (["1e5"], "float"),
        (["true", "False"], "bool"),
        (["2024-01-31"], "date"),
        (["2024-01-31T12:00:00", "2024-01-31T12:00:00"], "datetime"),
        (["2024-01-31T12:00:00Z"], "datetime"),
        (["00123", "5"], "str"),
        (["9" * 30], "str"),
        (["1/2/2024"], "str"),
        (["12:30:00"], "str"),
        (["inf"], "str"),
        (["nan"], "str"),
        (["1", "x"], "str"),
        (["1", ""], "str"),
        ([None, None], "str"),
        ([], "str"),
    ],
)
def test_a_type_is_inferred_only_if_every_value_has_it(
    values: list[str | None], expected: str
) -> None:
    sample = pl.DataFrame({"x": pl.Series(values, dtype=pl.String)})
    inferred = _types.infer(sample)["x"]
    assert _types.named(inferred) == expected
    column = sample["x"]
    assert not _types.misfit(column, _types.cast(column, inferred)).any()


def test_what_a_file_calls_text_is_no_number_but_may_be_a_date() -> None:
    sample = pl.DataFrame({"n": ["1"], "d": ["2024-01-31"]})
    inferred = _types.infer(sample, texts={"n", "d"})
    assert inferred == {"n": pl.String(), "d": pl.Date()}


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("int", {"+5": 5, " 7": 7}, ["5.0", "1_000", "x", "", "9" * 19]),
        ("float", {".5": 0.5, "1e3": 1000.0}, ["nan", "inf", "1e999", "1,5"]),
        ("bool", {"TRUE": True, "0": False}, ["yes", "2"]),
        ("date", {"2024-02-29": date(2024, 2, 29)}, ["2023-02-29", "2024-01-31T00:00", "x"]),
        ("datetime", {"2024-01-31": datetime(2024, 1, 31, tzinfo=UTC)}, ["2024", "31.1.2024"]),
    ],
)
def test_casts_take_what_fits_and_nothing_else(
    name: str, good: dict[str, object], bad: list[str]
) -> None:
    column = pl.Series([*good, *bad, None])
    typed = _types.cast(column, _types.dtype(name))
    assert typed.to_list() == [*good.values(), *[None] * (len(bad) + 1)]
    assert _types.misfit(column, typed).to_list() == [False] * len(good) + [True] * len(bad) + [
        False
    ]


def test_a_nan_of_a_typed_file_is_no_value_rather_than_a_misfit() -> None:
    column = pl.Series([1.0, float("nan"), 2.5])
    typed = _types.cast(column, pl.Int64())
    assert typed.to_list() == [1, None, None]
    assert _types.misfit(column, typed).to_list() == [False, False, True]


@pytest.mark.parametrize("name", _types.NAMES)
@pytest.mark.parametrize(
    "value",
    [
        True,
        1,
        1.5,
        date(2024, 1, 31),
        time(1),
        timedelta(1),
        Decimal("1.5"),
        b"\xff",
        [1],
        {"a": 1},
    ],
    ids=repr,
)
def test_a_cast_that_is_called_possible_does_not_fail(value: object, name: str) -> None:
    column = pl.Series([value])
    wanted = _types.dtype(name)
    if _types.can_cast(column.dtype, wanted):
        typed = _types.cast(column, wanted)
        assert typed.dtype == wanted
        assert typed.null_count() == _types.misfit(column, typed).sum()
    else:
        assert column.dtype != wanted


def test_a_fraction_is_no_integer_and_a_two_is_no_bool() -> None:
    assert _types.cast(pl.Series([Decimal("1.5"), Decimal(2)]), pl.Int64()).to_list() == [None, 2]
    assert _types.cast(pl.Series([0, 1, 2]), pl.Boolean()).to_list() == [False, True, None]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2024-01-31", datetime(2024, 1, 31, tzinfo=UTC)),
        ("20240131", datetime(2024, 1, 31, tzinfo=UTC)),
        ("2024-01-31 12:30", datetime(2024, 1, 31, 12, 30, tzinfo=UTC)),
        ("2024-01-31T12:30:00.25Z", datetime(2024, 1, 31, 12, 30, 0, 250_000, tzinfo=UTC)),
        ("2024-01-31T12:30-05:00", datetime(2024, 1, 31, 17, 30, tzinfo=UTC)),
        ("1706659200", datetime(2024, 1, 31, tzinfo=UTC)),
        ("1706659200.5", datetime(2024, 1, 31, 0, 0, 0, 500_000, tzinfo=UTC)),
        ("1706659200123", datetime(2024, 1, 31, 0, 0, 0, 123_000, tzinfo=UTC)),
        ("-1706659200", datetime(1915, 12, 3, tzinfo=UTC)),
        ("0001-01-01T00:00+14:00", datetime(1, 1, 1, tzinfo=UTC)),
    ],
)
def test_points_in_time(text: str, expected: datetime) -> None:
    found = _times.moments(pl.Series([text]))
    assert found.dtype == pl.Datetime("us", "UTC")
    if text.startswith("0001"):
        # fourteen hours before the first moment that Python knows, kept all the same
        assert found.cast(pl.Int64).to_list() == [-62135596800000000 - 14 * 3600 * 1_000_000]
    else:
        assert found.to_list() == [expected]


@pytest.mark.parametrize(
    "text", ["", "2024", "12", "99999999", "1e9", "1706659200123456", "today", "2024-13-01", "-"]
)
def test_what_is_no_point_in_time(text: str) -> None:
    assert _times.moments(pl.Series([text])).to_list() == [None]
