"""factors: fits what it should, folds in as the papers say, tells more than popularity does."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import pytest
from implicit.cpu.als import AlternatingLeastSquares
from scipy.sparse import csr_matrix

from encoders import _ridge, base, interactions
from encoders._entities import Entities
from encoders.base import EncoderError, State
from encoders.factors import Factors, Params, build
from tests.conftest import REPOSITORY
from tests.encoders import tastes
from tests.encoders.watching import Told

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tests.encoders.tastes import Tastes

USERS, ITEMS = 500, 400
SIGMA = 0.3


@pytest.fixture(scope="module")
def liked() -> Tastes:
    return tastes.drawn(np.random.default_rng(1), USERS, ITEMS)


@pytest.fixture(scope="module")
def implicit(liked: Tastes) -> Factors:
    """Fitted on all but the last interaction of each user."""
    return fitted(liked.taken(~liked.last()), factors=16)


def fitted(data: Tastes, weight: str | None = None, **params: Any) -> Factors:  # noqa: ANN401 - any of Params
    encoder = build(Params(**params))
    encoder.fit(tastes.records(data.rows(), weight), np.random.default_rng(2))
    return encoder


def placed(encoder: Factors, data: Tastes, weight: str | None = None) -> list[NDArray[np.float32]]:
    """The vectors of all users and of all items by their numbers; zeros where there is none."""
    records = tastes.records(data.rows(), weight)
    vectors, found = encoder.encode(records), []
    for side, n in (("user", USERS), ("item", ITEMS)):
        mine = (records["side"] == side).to_numpy()
        rows = np.zeros((n, encoder.dim), np.float32)
        rows[records["entity"].to_numpy()[mine].astype(int)] = vectors[mine]
        found.append(rows)
    return found


def one(side: interactions.Side, others: list[str], weights: list[float]) -> pl.DataFrame:
    return interactions.batch(side, [others], [weights])


def test_ratings_are_told_as_well_as_their_noise_lets_them() -> None:
    data = tastes.planted(np.random.default_rng(3), 300, 250, 0.7, SIGMA)
    out = np.random.default_rng(4).random(len(data)) < 0.1
    train, held = data.taken(~out), data.taken(out)
    encoder = fitted(train, "rating", feedback="explicit", factors=4, regularization=0.3)
    users, items = placed(encoder, train, "rating")
    told = (users[held.users] * items[held.items]).sum(axis=1)
    error = float(np.sqrt(np.mean((held.ratings - told) ** 2)))
    assert 0.97 * SIGMA < error < 1.06 * SIGMA
    figures: Any = encoder.state().meta["figures"]
    assert figures["held_out_rmse"] == pytest.approx(SIGMA, rel=0.08)
    assert figures["rmse_of_the_mean"] == pytest.approx(data.ratings.std(), rel=0.05)
    assert figures["best_iteration"] <= figures["iterations"] <= 20
    by_biases = fitted(train, "rating", feedback="explicit", factors=4, regularization=1e5)
    spread = placed(by_biases, train, "rating")[0][:, :4]
    assert np.abs(spread).max() < 1e-2, "a large regularisation leaves nothing but the mean"


def test_ratings_are_told_in_their_own_unit() -> None:
    data = tastes.drawn(np.random.default_rng(5), 80, 60)
    per_cent = tastes.Tastes(data.users, data.items, 20 * data.ratings + 7)
    told = []
    for ratings in (data, per_cent):
        encoder = fitted(ratings, "rating", feedback="explicit", factors=4)
        users, items = placed(encoder, ratings, "rating")
        told.append(users[:80] @ items[:60].T)
    np.testing.assert_allclose(told[1], 20 * told[0] + 7, rtol=1e-3)


def test_whom_the_fit_does_not_know_tells_ratings_as_usual() -> None:
    data = tastes.drawn(np.random.default_rng(5), 80, 60)
    encoder = fitted(data, "rating", feedback="explicit", factors=4)
    state = encoder.state()
    scale: Any = state.meta["scale"]
    nobody, nothing = (encoder.encode(one(side, ["?"], [5.0]))[0] for side in ("user", "item"))
    assert nobody.tolist() == [0, 0, 0, 0, 0, 1]
    assert float(nobody @ nothing) == pytest.approx(scale["mean"], rel=1e-6)
    _, items = placed(encoder, data, "rating")
    assert (items[:60] @ nobody).std() > 0.2, "items that get better ratings are told first"


def test_what_was_never_met_is_told_better_than_by_popularity(
    liked: Tastes, implicit: Factors
) -> None:
    last = liked.last()
    seen, wanted = liked.taken(~last), liked.taken(last)
    users, items = placed(implicit, seen)
    ours = tastes.quality(tastes.ranked(users.astype(float) @ items.T, seen), wanted)
    usual = tastes.quality(tastes.ranked(tastes.popularity(seen, USERS, ITEMS), seen), wanted)
    assert ours[0] > 1.7 * usual[0] > 0.1
    assert ours[1] > 1.7 * usual[1] > 0.05


def test_folding_in_is_what_the_package_computes(liked: Tastes, implicit: Factors) -> None:
    seen = liked.taken(~liked.last())
    state, params = implicit.state(), implicit.params
    figures: Any = state.meta["figures"]
    model = AlternatingLeastSquares(
        factors=16, regularization=figures["regularization"], alpha=1.0, num_threads=1
    )
    model.item_factors, model.user_factors = (
        state.arrays["item_factors"], state.arrays["user_factors"]
    )  # fmt: skip
    users, items = placed(implicit, seen)
    at = [
        Entities(state.arrays[f"{side}_hashes"]).find(side, [str(n) for n in range(size)])
        for side, size in (("user", USERS), ("item", ITEMS))
    ]
    sure = np.full(len(seen), 1 + params.alpha)
    met = csr_matrix((sure, (at[0][seen.users], at[1][seen.items])), dtype=np.float32)
    theirs = model.recalculate_user(np.arange(met.shape[0]), met)
    np.testing.assert_allclose(users, theirs[at[0]], atol=2e-4)
    there = at[1] >= 0
    found = model.recalculate_item(np.arange(met.shape[1]), met.T.tocsr())
    np.testing.assert_allclose(items[there], found[at[1][there]], atol=2e-4)
    np.testing.assert_allclose(items[there], model.item_factors[at[1][there]], atol=2e-4)


def test_folding_in_solves_the_equation_of_the_paper(implicit: Factors) -> None:
    state = implicit.state()
    figures: Any = state.meta["figures"]
    has = state.arrays["item_factors"].astype(float)
    rows = Entities(state.arrays["item_hashes"]).find("item", ["3", "7"])
    times = np.array([2.0, 5.0])
    sure, likes = np.ones(len(has)), np.zeros(len(has))
    sure[rows], likes[rows] = 1 + implicit.params.alpha * np.log2(1 + times), 1
    left = (has.T * sure) @ has + figures["regularization"] * np.eye(16)
    expected = np.linalg.solve(left, has.T @ (sure * likes))
    found = implicit.encode(one("user", ["7", "never met", "3"], [5.0, 1.0, 2.0]))[0]
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)


def test_a_stranger_is_as_whom_it_acts_like(liked: Tastes, implicit: Factors) -> None:
    records = tastes.records(liked.taken(~liked.last()).rows())
    known = records.filter(side="user")[17]
    items = known["others"][0].to_list()
    stranger = one("user", items[::-1], [1.0] * len(items))
    np.testing.assert_array_equal(implicit.encode(stranger), implicit.encode(known))
    near = one("user", items[1:], [1.0] * (len(items) - 1))
    _, has = placed(implicit, liked.taken(~liked.last()))
    best = [set(np.argsort(-(has @ implicit.encode(who)[0]))[:20]) for who in (known, near)]
    assert len(best[0] & best[1]) >= 15


def test_nobody_known_is_zeros(implicit: Factors) -> None:
    for side in ("user", "item"):
        for others, weights in (([], []), (["never met"], [3.0]), (["3"], [0.0]), (["3"], [-2.0])):
            assert not implicit.encode(one(side, others, weights)).any()
    assert implicit.known("item", ["3", "never met"]).tolist() == [True, False]
    assert implicit.known("user", ["3", "never met"]).tolist() == [True, False]


def test_who_told_of_an_interaction_is_no_matter() -> None:
    records = tastes.records(tastes.drawn(np.random.default_rng(6), 60, 40).rows())
    order = np.random.default_rng(7).permutation(len(records))
    parts = [records, records[order], records.filter(side="user"), records.filter(side="item")]
    digests = set()
    for part in parts:
        encoder = build(Params(factors=4))
        encoder.fit(part, np.random.default_rng(2))
        digests.add(base.digest(encoder.state()))
    assert len(digests) == 1
    encoder.fit(records, np.random.default_rng(3))
    assert base.digest(encoder.state()) not in digests


def test_a_state_holds_no_id() -> None:
    rows = tastes.drawn(np.random.default_rng(6), 60, 40).rows()
    named = rows.with_columns(pl.format("MARK-{}", "user").alias("user"))
    encoder = build(Params(factors=4))
    encoder.fit(tastes.records(named), np.random.default_rng(2))
    state = encoder.state()
    held = b"".join(array.tobytes() for array in state.arrays.values()) + repr(state.meta).encode()
    assert b"MARK-" not in held
    assert encoder.known("user", ["MARK-7", "7"]).tolist() == [True, False]


def test_a_logarithm_damps_counts() -> None:
    weights = np.array([0.0, 1.0, 99.0, -3.0, 1e15])
    plain = Params(alpha=2.0, counts="linear").confidence.of(weights)
    damped = Params(alpha=2.0).confidence.of(weights)
    assert plain.tolist() == [1, 3, 199, 1, 1e6]
    np.testing.assert_allclose(damped[:4], [1, 3, 1 + 2 * np.log2(100), 1])


def test_a_few_huge_counts_do_not_hide_the_others(liked: Tastes) -> None:
    last = liked.last()
    seen, wanted = liked.taken(~last), liked.taken(last)
    counts = np.ceil(np.random.default_rng(9).lognormal(1, 2, len(seen)))
    encoder = fitted(tastes.Tastes(seen.users, seen.items, counts), "rating", factors=16)
    users, items = placed(encoder, tastes.Tastes(seen.users, seen.items, counts), "rating")
    ours = tastes.quality(tastes.ranked(users.astype(float) @ items.T, seen), wanted)
    usual = tastes.quality(tastes.ranked(tastes.popularity(seen, USERS, ITEMS), seen), wanted)
    assert counts.max() > 1000 * np.median(counts)
    assert ours[0] > 1.6 * usual[0]


def test_a_fit_in_a_fresh_process_is_that_of_one_core() -> None:
    code = """
import sys
import numpy as np
from encoders import base, factors
from tests.encoders import tastes
encoder = factors.build(factors.Params(factors=4, iterations=3))
encoder.fit(tastes.records(tastes.drawn(np.random.default_rng(6), 60, 40).rows()),
            np.random.default_rng(2))
print(base.digest(encoder.state()))
"""
    found = set()
    for threads in ("1", "2"):
        environment = {**os.environ, "OPENBLAS_NUM_THREADS": threads, "OMP_NUM_THREADS": threads}
        command = [sys.executable, "-W", "error::RuntimeWarning", "-c", code]
        ran = subprocess.run(  # noqa: S603 - our own code
            command, env=environment, cwd=REPOSITORY, capture_output=True, text=True, check=False
        )
        assert ran.returncode == 0, ran.stderr
        found.add(ran.stdout)
    assert len(found) == 1


def test_what_cannot_be_learned_from_is_told() -> None:
    few = pl.DataFrame({"user": ["a", "b"], "item": ["x", "y"], "rating": [1.0, 2.0]})
    nothing = tastes.records(few).clear()
    encoder = build(Params(factors=2))
    with pytest.raises(EncoderError, match="needs interactions to learn from"):
        encoder.fit(nothing, np.random.default_rng(0))
    with pytest.raises(EncoderError, match="needs interactions to learn from"):
        encoder.fit(
            tastes.records(few.with_columns(rating=0.0), "rating"), np.random.default_rng(0)
        )
    explicit = build(Params(feedback="explicit", factors=2))
    with pytest.raises(EncoderError, match="10 ratings or more to learn from, got 2"):
        explicit.fit(tastes.records(few, "rating"), np.random.default_rng(0))
    same = tastes.drawn(np.random.default_rng(6), 30, 20).rows()
    with pytest.raises(EncoderError, match=r"are 1, which tells nothing.*feedback = 'implicit'"):
        explicit.fit(tastes.records(same), np.random.default_rng(0))
    told = Told()
    mixed = same.with_columns(rating=pl.when(pl.col("item") == "3").then(-1.0).otherwise(1.0))
    encoder.fit(tastes.records(mixed, "rating"), np.random.default_rng(0), told)
    assert "have a weight of 0 or less" in told.notes[0]
    assert encoder.known("item", ["3", "4"]).tolist() == [False, True]


def test_a_state_of_another_feedback_or_size_is_refused(implicit: Factors) -> None:
    state = implicit.state()
    with pytest.raises(EncoderError, match=r"item_factors: got .400, 16., expected"):
        build(Params(factors=8)).restore(state)
    wider = Params(feedback="explicit", factors=15)
    with pytest.raises(EncoderError, match=r"learned from implicit feedback.*'explicit'"):
        build(wider).restore(state)
    arrays = {name: array for name, array in state.arrays.items() if name != "item_hashes"}
    with pytest.raises(EncoderError, match="item_hashes: got none"):
        build(implicit.params).restore(State(arrays, state.meta))


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        (pl.col("side").replace("user", "seller"), "'user' or 'item', got 'seller'"),
        (pl.col("weights").list.head(1), "has 2 others and 1 weights"),
        (pl.lit(None, pl.List(pl.Float64)).alias("weights"), "has 2 others and 0 weights"),
    ],
)
def test_what_is_no_batch_is_refused(implicit: Factors, changed: pl.Expr, told: str) -> None:
    batch = one("user", ["3", "4"], [1.0, 2.0])
    with pytest.raises(EncoderError, match=told):
        implicit.encode(batch.with_columns(changed))
    with pytest.raises(EncoderError, match="lacks 'weights'"):
        implicit.encode(batch.drop("weights"))


@pytest.mark.parametrize(
    ("params", "told"),
    [
        ({"factors": 0}, "factors must be 1 or more, got 0"),
        ({"regularization": 0.0}, "regularization must be above 0 and finite, got 0.0"),
        ({"alpha": float("inf")}, "alpha must be above 0 and finite, got inf"),
        ({"held_out": 0.6}, "held_out must be above 0 and at most 0.5, got 0.6"),
    ],
)
def test_parameters_out_of_range_are_refused(params: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        Params(**params)


def test_what_does_not_count_is_no_part_of_the_recipe() -> None:
    recipe: dict[str, Any] = build(Params(alpha=3.0)).recipe()
    assert recipe["params"]["alpha"] == 3.0
    assert "patience" not in recipe["params"]
    assert (
        build(Params(feedback="explicit", alpha=3.0)).recipe()
        == build(Params(feedback="explicit")).recipe()
    )


@pytest.mark.parametrize("at_once", [1, 5, 2**16])
def test_many_regressions_are_each_its_own(monkeypatch: pytest.MonkeyPatch, at_once: int) -> None:
    monkeypatch.setattr(_ridge, "_ENTRIES", at_once)
    rng = np.random.default_rng(8)
    factors, counts = rng.normal(size=(30, 3)), np.array([0, 4, 1, 4, 12, 0, 1])
    starts = np.concatenate([[0], np.cumsum(counts)])
    others, (weights, targets) = rng.integers(0, 30, 22), rng.random((2, 22))
    prior = np.diag([0.5, 1.0, 2.0])
    found = _ridge.solved(factors, _ridge.Evidence(starts, others, weights, targets), prior)
    for row, count in enumerate(counts):
        mine = slice(starts[row], starts[row] + count)
        design = factors[others[mine]]
        left = (design.T * weights[mine]) @ design + prior
        np.testing.assert_allclose(found[row], np.linalg.solve(left, design.T @ targets[mine]))
