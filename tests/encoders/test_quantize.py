"""Fewer bits: how far values may be off, what signs keep, and what is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from encoders.base import EncoderError, EncoderUsageError, State
from encoders.codes import Coded
from encoders.quantize import Params, Quantize, Signs, build
from encoders.vectors import Part, column

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from encoders.base import Metric

seeds = st.integers(0, 2**32 - 1)


def part(metric: Metric = "cosine", dim: int = 24) -> Part:
    return Part("titles", dim, metric, "of titles")


def batch(values: NDArray[Any]) -> pl.DataFrame:
    return pl.DataFrame({"titles": column(values.astype(np.float32), np.ones(len(values), bool))})


def drawn(seed: int, n: int = 200, dim: int = 24) -> NDArray[np.float64]:
    rng = np.random.default_rng(seed)
    middle, spread = rng.normal(0, 1, dim), rng.uniform(0.1, 3, dim)
    values: NDArray[np.float64] = rng.normal(middle, spread, (n, dim))
    return values


def learned(values: NDArray[Any], **params: object) -> Any:  # noqa: ANN401 - an Encoder, a Learner and Coded
    metric: Any = params.pop("metric", "cosine")
    chosen: Any = params
    encoder = build(Params(parts=(part(metric, values.shape[1]),), **chosen))
    if isinstance(encoder, Quantize):
        encoder.fit(batch(values), np.random.default_rng(0))
    return encoder


def unit(values: NDArray[np.float64]) -> NDArray[np.float64]:
    found: NDArray[np.float64] = values / np.linalg.norm(values, axis=1, keepdims=True)
    return found


@settings(deadline=None, max_examples=30)
@given(seed=seeds, metric=st.sampled_from(["cosine", "l2", "dot"]))
def test_eight_bits_are_off_by_half_a_step_at_most(seed: int, metric: str) -> None:
    values = drawn(seed)
    encoder = learned(values, metric=metric, quantile=0.0)
    expected = unit(values) if metric == "cosine" else values
    step = encoder.codes().scale
    reached = np.vstack([expected, np.zeros((int(metric == "cosine"), 24))])
    ranges = np.ptp(reached, axis=0)
    np.testing.assert_allclose(step, ranges / 254, rtol=1e-6)
    # Where zero is to be a step, the whole range moves by half of one at most.
    most = (0.5 if metric != "cosine" else 1.0) * step
    assert (np.abs(encoder.encode(batch(values)) - expected) <= most * (1 + 1e-5) + 1e-6).all()
    assert encoder.metric == metric


@pytest.mark.parametrize("quantile", [0.01, 0.1])
def test_what_lies_beyond_the_quantiles_becomes_the_outermost_step(quantile: float) -> None:
    values = drawn(3, n=1000)
    encoder = learned(values, metric="l2", quantile=quantile)
    low, high = np.quantile(values.astype(np.float32), [quantile, 1 - quantile], axis=0)
    found = encoder.encode(batch(values))
    np.testing.assert_allclose(found.min(axis=0), low, atol=1e-4)
    np.testing.assert_allclose(found.max(axis=0), high, atol=1e-4)
    outside = ((values < low) | (values > high)).mean()
    assert outside == pytest.approx(2 * quantile, abs=0.01)


def test_no_vector_stays_no_vector_where_angles_count() -> None:
    values = drawn(4) + 1
    encoder = learned(values)
    found = encoder.encode(batch(np.vstack([np.zeros(24), values[0]])))
    assert not found[0].any()
    assert found[1].any()


@settings(deadline=None, max_examples=30)
@given(seed=seeds, centre=st.booleans())
def test_one_bit_is_the_side_of_the_mean(seed: int, centre: bool) -> None:  # noqa: FBT001 - drawn
    values = drawn(seed)
    encoder = learned(values, bits=1, centre=centre)
    found = encoder.encode(batch(values))
    rows = unit(values.astype(np.float32).astype(np.float64))
    middle = rows.mean(axis=0) if centre else 0.0
    np.testing.assert_array_equal(found, np.where(rows > middle, 1, -1))
    assert isinstance(encoder, Quantize if centre else Signs)
    assert encoder.metric == "cosine"


@pytest.mark.parametrize("seed", [6])
def test_signs_differ_more_the_wider_the_angle(seed: int) -> None:
    """Charikar 2002, equation 1: the share is expected to be the angle by pi."""
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(60, 4000))
    encoder = learned(rows, bits=1, centre=False)
    first = rows[:1] / np.linalg.norm(rows[0])
    for cosine in (0.9, 0.5, 0.0, -0.5):
        other = rng.normal(size=(1, 4000))
        other -= (other @ first.T) * first
        mixed = cosine * first + np.sqrt(1 - cosine**2) * unit(other)
        one, two = encoder.encode(batch(np.vstack([first, mixed])))
        assert (one != two).mean() == pytest.approx(np.arccos(cosine) / np.pi, abs=0.03)


@pytest.mark.parametrize(("bits", "centre"), [(8, True), (1, True), (1, False)])
def test_codes_say_what_vectors_hold(bits: int, centre: bool) -> None:  # noqa: FBT001 - a parameter
    values = drawn(7)
    encoder = learned(values, bits=bits, centre=centre)
    found = encoder.encode(batch(values))
    assert isinstance(encoder, Coded)
    codes = encoder.codes()
    assert codes.bits == bits
    held = np.rint(found / codes.scale + codes.zero)
    assert np.abs(held).max() == (127 if bits == 8 else 1)
    np.testing.assert_array_equal((codes.scale * (held - codes.zero)).astype(np.float32), found)


def test_a_dimension_that_does_not_vary() -> None:
    values = drawn(8)
    values[:, 3] = 5.0
    found = learned(values, metric="l2").encode(batch(values))
    np.testing.assert_allclose(found[:, 3], 5.0, atol=1e-6)
    same = np.full((4, 24), 2.0)
    np.testing.assert_allclose(learned(same, metric="l2").encode(batch(same)), same, atol=1e-6)


def test_another_state_is_refused() -> None:
    values = drawn(9)
    state = learned(values).state()
    with pytest.raises(EncoderError, match="quantize encoder of 8 bits, and this one has 1"):
        learned(values, bits=1).restore(state)
    with pytest.raises(EncoderError, match="middle: got \\(24,\\), expected \\(5,\\)"):
        learned(values[:, :5]).restore(state)
    with pytest.raises(EncoderError, match="not the state of an encoder of kind quantize"):
        learned(values).restore(State(state.arrays, {"kind": "fuse"}))


def test_parameters_and_samples_that_cannot_be() -> None:
    wrong: Any = 4
    with pytest.raises(ValueError, match="bits must be 8 or 1, got 4"):
        Params(bits=wrong)
    with pytest.raises(ValueError, match=r"quantile must be from 0 to below 0.5, got 0.5"):
        Params(quantile=0.5)
    with pytest.raises(ValueError, match="batch_size must be 1 or more, got 0"):
        Params(batch_size=0)
    with pytest.raises(EncoderUsageError, match="was told of none"):
        build(Params())
    with pytest.raises(
        EncoderUsageError, match="is over one feature, and was told of 2: titles, b"
    ):
        build(Params(parts=(part(), Part("b", 3))))
    with pytest.raises(EncoderError, match="needs 2 records or more to learn from, got 1"):
        learned(drawn(0)[:1])
