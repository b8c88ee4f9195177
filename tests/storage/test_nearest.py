"""Names that somebody may have meant."""

from __future__ import annotations

import pytest

from storage.nearest import alike, nearest, perhaps


@pytest.mark.parametrize(
    ("name", "known", "expected"),
    [
        ("artcles", ["articles", "runs"], "articles"),
        ("ARTCLES", ["articles"], "articles"),
        ("label", ["Label"], "Label"),
        ("xyzzy", ["articles", "runs"], None),
        ("a", [], None),
    ],
)
def test_the_nearest_is_found_whatever_its_case(
    name: str, known: list[str], expected: str | None
) -> None:
    assert nearest(name, known) == expected
    assert perhaps(name, known) == ("" if expected is None else f"; did you mean {expected!r}?")


def test_the_likest_come_first() -> None:
    assert alike("banks", ["bang", "bank", "football"], 2) == ["bank", "bang"]
