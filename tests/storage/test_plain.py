"""Conditions of which nothing grows."""

from __future__ import annotations

import pytest

from storage import plain
from storage.model import UsageError


@pytest.mark.parametrize(
    "condition",
    [
        "label = 'a' AND n > 3 OR NOT (m IS NULL)",
        "label IN ('a', 'b') AND label LIKE 'x%' AND label NOT ILIKE '%y'",
        "n BETWEEN 1 AND 2 AND CAST(label AS INTEGER) % 2 = 1",
        "year(event_time) = 2026 AND event_time > TIMESTAMP '2026-01-31'",
        "event_time > now() - INTERVAL 3 DAY",
        "lower(label) = 'a' || 'b' AND starts_with(label, 'a') AND \"Odd name\" = 1",
        "CASE WHEN n > 1 THEN true ELSE false END",
        "label = 'repeat(''x'', 9)'",
    ],
)
def test_comparisons_and_plain_functions_pass(condition: str) -> None:
    plain.check(condition)


@pytest.mark.parametrize(
    ("condition", "words"),
    [
        ("length(repeat('x', 3000000000)) > 1", r"not repeat\(\)"),
        ("n = 1) OR (lpad('x', 3000000000, 'y') = 'z'", r"not lpad\(\)"),
        ("n = 1); SELECT (range(3000000000) IS NULL", r"not range\(\)"),
        ("CASE WHEN n > 1 THEN format('{:3000000000}', 1) = 'x' END", r"not format\(\)"),
        ("n IN (SELECT 1)", "no SELECT within"),
        ("+".join("1" * 900), "too many parts within parts"),
    ],
)
def test_what_may_grow_is_refused_by_name(condition: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        plain.check(condition)


def test_what_cannot_be_parsed_is_for_others_to_tell() -> None:
    plain.check("n = ")
