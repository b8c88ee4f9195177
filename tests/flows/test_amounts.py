"""Bytes and seconds as people read them."""

from __future__ import annotations

import pytest

from flows.output import amounts


@pytest.mark.parametrize(
    ("number", "told"),
    [
        (0, "0 bytes"), (999, "999 bytes"), (1000, "1.0 kB"), (9_949, "9.9 kB"), (12_345, "12 kB"),
        (999_600, "1.0 MB"), (3_210_000_000, "3.2 GB"), (7e15, "7,000 TB"),
    ],
)  # fmt: skip
def test_sizes(number: float, told: str) -> None:
    assert amounts.size(number) == told


@pytest.mark.parametrize(
    ("number", "told"),
    [
        (0.04, "0.0 s"), (0.36, "0.4 s"), (9.96, "10 s"), (59.4, "59 s"), (59.7, "1 min 0 s"),
        (3723, "62 min 3 s"),
    ],
)  # fmt: skip
def test_seconds(number: float, told: str) -> None:
    assert amounts.seconds(number) == told
