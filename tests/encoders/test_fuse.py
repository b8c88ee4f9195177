"""The algebra of fusing: distances add up by their weights, and rankings of a part survive."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from encoders.base import EncoderError, EncoderUsageError, State
from encoders.fuse import FittedFuse, Fuse, Params, build, recipe
from encoders.vectors import Part, column, matrix

if TYPE_CHECKING:
    from numpy.typing import NDArray

TITLES = Part("titles", 6, "cosine", "of texts")
BODIES = Part("bodies", 6, "cosine", "of texts")
PRICES = Part("prices", 3, "l2", "of rows")
LIKED = Part("liked", 4, "dot", "of users")


def drawn(seed: int, n: int = 30) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    parts = (TITLES, BODIES, PRICES, LIKED)
    scales = rng.uniform(0.1, 50, len(parts))
    values = [
        (rng.normal(0.4, scale, (n, part.dim))).astype(np.float32)
        for part, scale in zip(parts, scales, strict=True)
    ]
    everything = np.ones(n, dtype=bool)
    return pl.DataFrame(
        {part.feature: column(v, everything) for part, v in zip(parts, values, strict=True)}
    )


def fused(batch: pl.DataFrame, params: Params) -> tuple[Fuse, NDArray[np.float64]]:
    encoder: Any = build(params)
    if isinstance(encoder, FittedFuse):
        encoder.fit(batch, np.random.default_rng(0))
    return encoder, encoder.encode(batch).astype(np.float64)


def squared(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """All squared distances, ``(n, n)``."""
    found: NDArray[np.float64] = ((rows[:, None] - rows[None]) ** 2).sum(axis=2)
    return found


def unit(batch: pl.DataFrame, part: Part) -> NDArray[np.float64]:
    values, _ = matrix(batch, part)
    found: NDArray[np.float64] = values / np.linalg.norm(values, axis=1, keepdims=True)
    return found


weighed = st.floats(0, 100, allow_subnormal=False)


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 2**32), weighed, weighed, st.floats(0.01, 10))
def test_squared_distances_add_up_by_their_weights(
    seed: int, one: float, two: float, three: float
) -> None:
    batch = drawn(seed)
    weights = {"titles": one, "bodies": two, "prices": three}
    _, found = fused(batch, Params(weights=weights, parts=(TITLES, BODIES, PRICES)))
    prices, _ = matrix(batch, PRICES)
    scaled = squared(prices) / ((prices - prices.mean(axis=0)) ** 2).sum(axis=1).mean()
    expected = (
        one * squared(unit(batch, TITLES)) + two * squared(unit(batch, BODIES)) + three * scaled
    )
    np.testing.assert_allclose(squared(found), expected, rtol=1e-4, atol=1e-4 * expected.max())


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 2**32), st.sampled_from([TITLES, PRICES]))
def test_with_all_weight_on_one_part_its_ranking_is_that_of_the_whole(
    seed: int, part: Part
) -> None:
    batch = drawn(seed)
    parts = (TITLES, PRICES)
    weights = {other.feature: float(other == part) for other in parts}
    _, found = fused(batch, Params(weights=weights, parts=parts))
    alone = unit(batch, part) if part.metric == "cosine" else matrix(batch, part)[0]
    expected, got = squared(alone), squared(found)
    factor = got.max() / expected.max()
    # A factor apart, distances are equal, and so are all rankings that float32 can tell.
    np.testing.assert_allclose(got, factor * expected, rtol=1e-4, atol=1e-4 * got.max())


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 2**32), st.permutations([TITLES, BODIES, PRICES]))
def test_the_order_of_parts_moves_their_dimensions_and_no_distance(
    seed: int, parts: list[Part]
) -> None:
    batch = drawn(seed)
    plain, found = fused(batch, Params(parts=(TITLES, BODIES, PRICES)))
    other, moved = fused(batch, Params(parts=tuple(parts)))
    for part in parts:
        here, there = plain.place(part.feature), other.place(part.feature)
        np.testing.assert_array_equal(found[:, here], moved[:, there])
    np.testing.assert_allclose(squared(found), squared(moved), rtol=1e-5, atol=1e-5)


def test_parts_stand_in_their_order_and_lack_as_zeros() -> None:
    there = np.array([True, False, True])
    batch = drawn(3, 3).with_columns(prices=column(np.ones((3, 3), np.float32), there))
    encoder, found = fused(batch, Params(scale="norm", parts=(PRICES, TITLES)))
    assert (encoder.dim, encoder.metric) == (9, "l2")
    assert (encoder.place("prices"), encoder.place("titles")) == (slice(0, 3), slice(3, 9))
    np.testing.assert_allclose(found[:, :3], there[:, None] * np.full(3, 3**-0.5), atol=1e-6)
    np.testing.assert_allclose(found[:, 3:], unit(batch, TITLES), atol=1e-6)
    assert squared(found)[0, 1] - squared(found[:, 3:])[0, 1] == pytest.approx(1.0, abs=1e-6)


def test_standardised_parts_are_centred_by_one_factor() -> None:
    batch = drawn(4)
    _, found = fused(batch, Params(scale="standard", parts=(TITLES, PRICES)))
    for place in (slice(0, 6), slice(6, 9)):
        block = found[:, place]
        np.testing.assert_allclose(block.mean(axis=0), 0, atol=1e-6)
        assert (block**2).sum(axis=1).mean() == pytest.approx(1.0, rel=1e-6)
        # The mean squared distance of two records is then 2, whatever the part.
        n = len(block)
        assert squared(block).sum() / (n * n) == pytest.approx(2.0, rel=1e-6)


def test_parts_that_lack_are_no_part_of_what_is_learned() -> None:
    batch = drawn(5)
    there = np.arange(30) % 3 > 0
    values = matrix(batch, PRICES)[0].astype(np.float32)
    values[~there] = 1e6
    some = batch.with_columns(prices=column(values, there))
    known, _ = fused(batch.filter(pl.Series(there)), Params(parts=(PRICES,)))
    other, found = fused(some, Params(parts=(PRICES,)))
    assert known.recipe() == other.recipe()
    assert not found[~there].any()


def test_equal_vectors_of_a_part_are_no_division_by_zero() -> None:
    same = drawn(6).with_columns(prices=column(np.full((30, 3), 7, np.float32), np.ones(30, bool)))
    _, found = fused(same, Params(parts=(PRICES, TITLES)))
    assert not found[:, :3].any()


def test_an_average_counts_what_is_there() -> None:
    batch = drawn(7, 4)
    there = np.array([True, False, True, False])
    bodies = matrix(batch, BODIES)[0].astype(np.float32)
    lacking = batch.with_columns(bodies=column(bodies, there))
    weights = {"titles": 3.0}
    encoder, found = fused(lacking, Params(method="mean", weights=weights, parts=(TITLES, BODIES)))
    assert (encoder.dim, encoder.metric, encoder.place("titles")) == (6, "cosine", None)
    one, two = unit(batch, TITLES), unit(batch, BODIES)
    expected = np.where(there[:, None], (3 * one + two) / 4, one)
    np.testing.assert_allclose(found, expected, atol=1e-6)


# --- what cannot be, and what decides the fingerprint ---------------------------------------------


@pytest.mark.parametrize(
    ("params", "said"),
    [
        (Params(), "was told of none: name them in its feature, over"),
        (Params(parts=(TITLES, TITLES)), "is over 'titles' more than once"),
        (Params(weights={"title": 2.0}, parts=(TITLES,)), "weights names 'title', which"),
        (Params(weights={"titles": 0.0}, parts=(TITLES,)), "at least one must count"),
        (Params(parts=(TITLES, LIKED)), "'liked' are compared by their dot product"),
        (Params(method="mean", parts=(TITLES, PRICES)), "'titles' .* and 'prices' .* do not share"),
        (
            Params(method="mean", parts=(TITLES, replace(BODIES, space="another"))),
            "needs parts of one space",
        ),
    ],
)
def test_parameters_that_clash_with_the_parts(params: Params, said: str) -> None:
    makes: tuple[Any, ...] = (build, recipe)
    for make in makes:
        with pytest.raises(EncoderUsageError, match=said):
            make(params)


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"weights": {"a": -1.0}}, "weights.a must be 0 or more, and finite, got -1"),
        ({"weights": {"a": float("nan")}}, "weights.a must be 0 or more, and finite, got nan"),
        ({"batch_size": 0}, "batch_size must be 1 or more"),
        ({"method": "mean", "scale": "standard"}, "takes each part out of the space"),
    ],
)
def test_values_that_cannot_be(keys: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Params(**keys)
    with pytest.raises(ValueError, match="dim of the part 'a' must be 1 or more"):
        Part("a", 0)


def test_a_space_that_is_named_holds_encoders_of_other_fingerprints_together() -> None:
    pair = (replace(TITLES, space="clip"), replace(BODIES, fingerprint="of images", space="clip"))
    assert build(Params(method="mean", parts=pair)).dim == 6


def test_directions_of_dot_products_may_be_asked_for() -> None:
    _, found = fused(drawn(8), Params(scale="norm", parts=(LIKED,)))
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-6)


def test_the_fingerprints_of_its_parts_are_in_its_recipe() -> None:
    plain = Params(scale="norm", parts=(TITLES, PRICES))
    found: Any = recipe(plain)
    assert [part["fingerprint"] for part in found["parts"]] == ["of texts", "of rows"]
    others = (
        replace(plain, parts=(replace(TITLES, fingerprint="another"), PRICES)),
        replace(plain, parts=(PRICES, TITLES)),
        replace(plain, weights={"titles": 2.0}),
        replace(plain, scale="none"),
    )
    assert all(recipe(other) != found for other in others)
    assert recipe(replace(plain, weights={"titles": 1.0}, batch_size=7)) == found
    assert recipe(Params(parts=(TITLES, PRICES))) is None, "it has a scale to learn first"


def test_what_a_batch_must_hold() -> None:
    encoder = build(Params(scale="norm", parts=(TITLES, PRICES)))
    with pytest.raises(EncoderError, match="no vectors of 'prices'; it has 'titles'"):
        encoder.encode(drawn(9).select("titles"))
    wide = drawn(9).with_columns(prices=pl.col("titles"))
    with pytest.raises(EncoderError, match=r"'prices' must be Array\(Float32, shape=\(3,\)\), got"):
        encoder.encode(wide)


def test_a_state_of_other_parts_is_refused() -> None:
    batch = drawn(10)
    state = FittedFuse(Params(parts=(TITLES, PRICES)))
    state.fit(batch, np.random.default_rng(0))
    with pytest.raises(EncoderError, match="not the state of a fuse encoder over these parts"):
        FittedFuse(Params(scale="standard", parts=(TITLES, PRICES))).restore(state.state())
    with pytest.raises(EncoderError, match="got None with"):
        FittedFuse(Params(parts=(PRICES,))).restore(State({}, {}))
    with pytest.raises(EncoderError, match="2 records with a vector of 'prices'"):
        FittedFuse(Params(parts=(PRICES,))).fit(batch[:1], np.random.default_rng(0))


def test_its_state_is_its_own() -> None:
    encoder = FittedFuse(Params(parts=(PRICES,)))
    batch = drawn(11)
    encoder.fit(batch, np.random.default_rng(0))
    before = encoder.encode(batch)
    encoder.state().arrays["mean/prices"][:] = 99
    np.testing.assert_array_equal(encoder.encode(batch), before)
