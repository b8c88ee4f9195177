"""Names made from content: stable, told apart, and refused where they would not be stable."""

from __future__ import annotations

import re
import time
from datetime import UTC, date, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage import ids
from tests.processes import python

SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()


def test_hashes_are_what_they_were() -> None:
    """Every table holds these; a change of the function would encode every record again."""
    assert ids.hash_text("mill") == "065c4272912fcd3726c19e3ff3b1c92a"
    assert ids.hash_row(["a", "b"], [1, "x"]) == "0f1b87eafe44ff5750ac6994e04ce733"
    assert ids.fingerprint({"a": 1}) == "6903fb303cd60ccb0a2b9c2592fa773b"
    assert ids.hash_row(["ä", "b"], ["ö", date(2026, 1, 31)]) == "b664dea4ac8e0e1d8c9c7c8186cb1c4d"
    assert ids.fingerprint({"ä": "ö"}) == "34a9199ca6bc61f0edd24775a8302890"


def test_seeds_are_what_they_were() -> None:
    """What is drawn by them is kept: samples, cells of a map, the parts of a probe."""
    assert ids.seed("ä") == 17315702723226345529


@given(st.text(), st.text())
def test_texts_have_equal_hashes_only_where_they_are_equal(one: str, other: str) -> None:
    assert (ids.hash_text(one) == ids.hash_text(other)) == (one == other)


def test_a_lone_surrogate_has_a_hash_of_its_own() -> None:
    assert len({ids.hash_text("\ud800"), ids.hash_text("\ud801"), ids.hash_text("?")}) == 3


@given(st.dictionaries(st.text(), SCALARS, min_size=1))
def test_the_order_of_columns_does_not_matter(row: dict[str, object]) -> None:
    names, values = list(row), list(row.values())
    assert ids.hash_row(names, values) == ids.hash_row(names[::-1], values[::-1])


def test_a_whole_number_hashes_the_same_as_float() -> None:
    assert ids.hash_row(["n"], [3]) == ids.hash_row(["n"], [3.0])
    assert ids.hash_row(["n"], [3]) != ids.hash_row(["n"], [3.5])


@pytest.mark.parametrize("value", ["3", None, True, 4, -3, "3.0", [3]])
def test_other_values_hash_otherwise(value: object) -> None:
    assert ids.hash_row(["n"], [value]) != ids.hash_row(["n"], [3])


def test_a_value_does_not_hash_as_another_columns() -> None:
    assert ids.hash_row(["a", "b"], [1, 2]) != ids.hash_row(["a", "b"], [2, 1])
    assert ids.hash_row(["a"], ["1"]) != ids.hash_row(["a", "b"], ["1", None])


def test_a_row_needs_a_value_for_each_name() -> None:
    with pytest.raises(ValueError, match="shorter"):
        ids.hash_row(["a", "b"], [1])


@pytest.mark.parametrize("recipe", [{"x": object()}, {"x": {1, 2}}, {"x": b"1"}])
def test_a_recipe_that_json_cannot_hold_is_refused(recipe: dict[str, object]) -> None:
    with pytest.raises(TypeError, match="not JSON serializable"):
        ids.fingerprint(recipe)


def test_a_recipe_of_nan_is_refused() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        ids.fingerprint({"x": float("nan")})


def test_a_fingerprint_hangs_on_values_alone() -> None:
    one = ids.fingerprint({"a": 1, "b": {"c": [1, 2], "d": None}})
    assert one == ids.fingerprint({"b": {"d": None, "c": [1, 2]}, "a": 1})
    assert one != ids.fingerprint({"a": 1, "b": {"c": [2, 1], "d": None}})


def test_names_are_the_same_in_another_process() -> None:
    code = "from storage import ids; print(ids.fingerprint({'a': 1}), ids.seed('a'))"
    told, _ = python(code).communicate()
    assert told.split() == [ids.fingerprint({"a": 1}), str(ids.seed("a"))]


def test_run_ids_sort_by_time_in_utc() -> None:
    moment = datetime(2026, 1, 31, 23, 59, 59, tzinfo=UTC)
    made = ids.new_run_id(moment.astimezone(timezone(timedelta(hours=5))))
    assert made.startswith("20260131T235959-")
    assert made < ids.new_run_id(moment + timedelta(seconds=1))


def test_a_run_id_is_of_now_in_utc_wherever_the_clock_stands(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "Asia/Tokyo")
        time.tzset()
        before, made, after = datetime.now(UTC), ids.new_run_id(), datetime.now(UTC)
    time.tzset()
    assert f"{before:%Y%m%dT%H%M%S}" <= made[:15] <= f"{after:%Y%m%dT%H%M%S}"
    assert re.fullmatch(r"\d{8}T\d{6}-[0-9a-f]{11}", made)


def test_run_ids_of_one_second_differ() -> None:
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    assert len({ids.new_run_id(moment) for _ in range(50)}) == 50
