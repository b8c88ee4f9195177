"""The encoder monitor: what it takes for a change, and what kind of change it says it is."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from flows.monitors import encoder
from tests.flows.monitors.samples import sample

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from flows.monitors.base import Finding


def look(before: ArrayLike | None, now: ArrayLike | None, **params: float) -> Finding:
    reference, current = (
        replace(sample(np.ones((50, 8))), canaries=None if m is None else np.asarray(m, np.float32))
        for m in (before, now)
    )
    rng = np.random.default_rng(0)
    return encoder.compare(reference, current, rng, encoder.Params(**params))  # type: ignore[arg-type] # tests name real ones


def drawn(n: int = 40, dim: int = 8, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((n, dim))


def turn(dim: int = 8) -> np.ndarray:
    return np.linalg.qr(drawn(dim, dim, 2))[0]


def test_the_same_vectors_are_quiet_and_so_is_rounding() -> None:
    rows = drawn()
    found = look(rows, rows)
    assert (found.verdict, found.statistic, found.effect_size, found.p_value) == (
        "quiet", 0.0, 0.0, None,
    )  # fmt: skip
    assert found.summary.startswith("the encoder is the same: 40 canaries have the vectors")
    # bfloat16 keeps eight bits of a number
    coarse = (rows.astype(np.float32).view(np.uint32) & 0xFFFF0000).view(np.float32)
    rounded = look(rows, coarse)
    assert rounded.verdict == "quiet"
    assert rounded.statistic is not None
    assert 1e-4 < rounded.statistic < 0.01


def test_another_space_is_told_from_the_same_on_other_axes() -> None:
    rows = drawn()
    turned = look(rows, 3 * rows @ turn() + 1)
    assert turned.verdict == "alarm"
    assert turned.summary.startswith("the encoder changed: 40 of 40 canaries")
    assert "the same on other axes" in turned.summary
    assert turned.detail["residual"] < 1e-9
    assert turned.detail["cka"] == pytest.approx(1)
    assert turned.detail["overlap"] == 1
    other = look(rows, drawn(seed=3))
    assert other.verdict == "alarm"
    assert "it is another space" in other.summary
    assert other.detail["residual"] > 0.3
    assert other.detail["overlap"] < 0.6


def test_few_canaries_in_many_dimensions_tell_the_two_apart_too() -> None:
    rows = drawn(4, 64)
    assert "the same on other axes" in look(rows, rows @ turn(64)).summary
    assert "it is another space" in look(rows, drawn(4, 64, 3)).summary


def test_a_single_content_that_is_treated_otherwise_is_a_change() -> None:
    rows = drawn()
    now = rows.copy()
    now[7] = -now[7]
    found = look(rows, now)
    assert (found.verdict, found.detail["changed"], found.effect_size) == ("alarm", 1.0, 0.0)
    assert "most contents have the vectors that they had" in found.summary
    now[7] = np.nan
    found = look(rows, now)
    assert (found.verdict, found.detail["failed"], found.statistic) == ("alarm", 1.0, 0.0)
    assert "it fails on 1 of them" in found.summary


def test_an_encoder_that_fails_on_all_or_gives_one_vector_is_a_change() -> None:
    rows = drawn()
    assert look(rows, np.full_like(rows, np.nan)).verdict == "alarm"
    flat = look(rows, np.ones_like(rows))
    assert flat.verdict == "alarm"
    assert "residual" not in flat.detail


def test_the_tolerance_decides() -> None:
    rows = drawn()
    assert look(rows, 1.03 * rows).verdict == "alarm"
    assert look(rows, 1.03 * rows, tolerance=0.05).verdict == "quiet"
    with pytest.raises(ValueError, match="tolerance must lie between 0 and 1, got 0"):
        encoder.Params(tolerance=0)
    with pytest.raises(ValueError, match="min_rows must be at least 1, got 0"):
        encoder.Params(min_rows=0)


def test_zero_vectors_are_held_against_the_length_of_the_others() -> None:
    rows = drawn()
    rows[0] = 0
    now = rows.copy()
    now[0, 0] = 1e-9
    assert look(rows, now).verdict == "quiet"
    now[0, 0] = 1
    assert look(rows, now).verdict == "alarm"


def test_without_canaries_it_cannot_tell_and_says_why() -> None:
    rows = drawn()
    for pair, why in (
        ((None, None), "the version has no canaries"),
        ((rows, None), "the 40 canaries could not be encoded again"),
        ((rows[:2], rows[:2]), "2 canaries are left, 3 are needed"),
    ):
        found = look(*pair)
        assert found.verdict == "cannot tell"
        assert why in found.summary
    with pytest.raises(ValueError, match=r"shape \(40, 8\) and the current ones \(39, 8\)"):
        look(rows, rows[1:])
