"""The Fréchet distance of sketches: against rows, against permutations, against small changes."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from flows.monitors import _analytic, _components, _frechet, _gaussians, _splits, frechet
from flows.monitors._basis import Basis
from flows.monitors._sketch import LEADING, Sketch, pairs
from tests.bench.drift_data import null_interval
from tests.flows.monitors.samples import lumpy, sample

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from flows.monitors.base import Finding

    Rows = NDArray[np.float32]
    Draw = Callable[[int, np.random.Generator], Rows]

SCALES = np.arange(1, 31) ** -0.5


def tailed(n: int, rng: np.random.Generator) -> Rows:
    """Rows with heavy tails, whose components depend on each other without being correlated."""
    return (rng.standard_normal((n, 30)) * SCALES * rng.gamma(6, 1 / 6, (n, 1))).astype(np.float32)


def test_what_a_content_adds_to_mean_and_covariance_is_that_of_its_row() -> None:
    rng = np.random.default_rng(0)
    rows = lumpy(400, rng, 20).astype(np.float32)
    basis = Basis.learn(rows[:200] + 3, rng)  # so that the mean lies far from the centre
    for most in (LEADING, 5):
        moments = _gaussians.Moments.of(Sketch.of(basis, [rows]), most)
        places = (rows - basis.centre) @ basis.components[:, :most]
        away = places - places.mean(axis=0)
        first, second = pairs(most)
        added = np.hstack([away, away[:, first] * away[:, second]])
        added -= added.mean(axis=0)
        np.testing.assert_allclose(moments.scatter, added.T @ added, rtol=1e-6, atol=1e-3)
        np.testing.assert_allclose(moments.within, away.T @ away, rtol=1e-9, atol=1e-6)


def test_the_weights_add_up_to_the_mean_distance_of_samples_of_one_distribution() -> None:
    found, expected = [], []
    basis = Basis.learn(tailed(1000, np.random.default_rng(0)), np.random.default_rng(0))
    for seed in range(60):
        rng = np.random.default_rng([1, seed])
        ours, theirs = (
            _gaussians.Moments.of(Sketch.of(basis, [tailed(n, rng)]), 8) for n in (900, 400)
        )
        found.append(_gaussians.distance2(ours, theirs))
        expected.append(float(_gaussians.weights(ours, theirs).sum()))
    assert np.mean(found) == pytest.approx(np.mean(expected), rel=0.12)


@pytest.mark.parametrize("change", ["none", "mean", "spread", "correlation"])
def test_the_formula_sees_what_permutations_see(change: str) -> None:
    alarms = np.zeros(2, int)
    apart = []
    for seed in range(12):
        rng = np.random.default_rng(seed)
        reference, current = tailed(700, rng), tailed(300, rng)
        if change == "mean":
            current[:, 1] += np.float32(0.35)
        elif change == "spread":
            current[:, 0] *= np.float32(1.35)
        elif change == "correlation":
            current[:, 0] += np.float32(0.9) * current[:, 2]
        basis = Basis.learn(tailed(400, rng), rng)
        pair = Sketch.of(basis, [reference]), Sketch.of(basis, [current])
        by_formula = _analytic.frechet(*pair, 8).p_value
        places = (np.concatenate([reference, current]) - basis.centre) @ basis.components[:, :8]
        components = _components.Components(np.eye(8), places - places.mean(axis=0), 1.0)
        statistic = _frechet.Frechet.of(components, (700, 300))
        outcome = _splits.permute([statistic], (700, 300), (399, 0), rng)
        claim = _analytic.frechet(*pair, 8)
        chance = float(claim.weights.sum())
        assert claim.statistic + chance == pytest.approx(outcome.observed, rel=1e-5)
        alarms += [by_formula <= 0.05, outcome.p_value <= 0.05]
        apart.append(abs(by_formula - outcome.p_value))
    assert np.mean(apart) < 0.04
    assert alarms[0] >= alarms[1] - 1
    assert (alarms[0] >= 6) == (change != "none"), alarms


@pytest.mark.parametrize("k", [1, 3, 16])
def test_a_component_that_stands_still_has_no_weight(k: int) -> None:
    rng = np.random.default_rng(0)
    basis = Basis.learn(tailed(400, rng), rng)
    still = np.zeros((300, 30), np.float32)
    pair = Sketch.of(basis, [still]), Sketch.of(basis, [still])
    found = _analytic.frechet(*pair, k)
    assert found.p_value == 1.0
    assert np.isfinite(found.weights).all()


@pytest.mark.parametrize(("n", "m"), [(500, 500), (1500, 200)])
def test_equal_distributions_are_flagged_at_the_rate_that_is_promised(n: int, m: int) -> None:
    p_values = []
    for seed in range(150):
        rng = np.random.default_rng([seed, n])
        basis = Basis.learn(tailed(300, rng), rng)
        reference, current = (Sketch.of(basis, [tailed(size, rng)]) for size in (n, m))
        p_values.append(_analytic.frechet(reference, current, 16).p_value)
    for alpha in (0.05, 0.2):
        low, high = null_interval(150, alpha)
        assert low <= np.mean(np.array(p_values) <= alpha) <= high


@pytest.mark.slow
@pytest.mark.realdata
@pytest.mark.parametrize("m", [250, 500])
def test_news_are_flagged_at_the_rate_that_is_promised(news: Rows, m: int) -> None:
    news = np.unique(news, axis=0)
    basis = Basis.learn(news, np.random.default_rng(0))
    flags = 0
    for seed in range(150):
        rng = np.random.default_rng(seed)
        reference, current = (
            Sketch.of(basis, [news[rng.integers(len(news), size=n)]]) for n in (500, m)
        )
        assert _analytic.nearly_normal((reference, current), 16)
        flags += _analytic.frechet(reference, current, 16).p_value <= 0.05
    low, high = null_interval(150, 0.05)
    assert low <= flags / 150 <= high


def judged(drawn: Draw, n: int, m: int, shift: float, most: int = 16) -> Finding:
    """With sketches of all rows, of which 400 a side are drawn."""
    rng = np.random.default_rng(3)
    basis = Basis.learn(drawn(500, rng), rng)
    rows = drawn(n, rng), drawn(m, rng)
    rows[1][:, 0] += np.float32(shift)
    sides = [
        replace(sample(side[:400], name), sketch=Sketch.of(basis, [side]))
        for side, name in zip(rows, "rc", strict=True)
    ]
    params = frechet.Params(max_rows=400, permutations=199, components=most)
    return frechet.compare(sides[0], sides[1], np.random.default_rng(0), params)


@pytest.mark.parametrize("most", [4, 16, 32])
@pytest.mark.parametrize("shift", [0.0, 0.5])
def test_all_contents_are_judged_where_there_are_more_than_are_drawn(
    shift: float, most: int
) -> None:
    finding = judged(tailed, 3000, 900, shift, most)
    assert finding.verdict == ("alarm" if shift else "quiet"), finding.summary
    assert (finding.detail["permutations"], finding.n_reference, finding.n_current) == (
        0,
        3000,
        900,
    )
    assert finding.statistic is not None
    assert finding.threshold is not None
    assert (finding.statistic > finding.threshold) == bool(shift)
    assert bool(finding.record_ids) == bool(shift)


def test_sketches_see_what_a_draw_cannot() -> None:
    finding = judged(tailed, 20_000, 10_000, 0.1)
    assert finding.verdict == "alarm", finding.summary
    visible = finding.detail["smallest_visible"] * np.sqrt((SCALES**2).sum())
    assert visible < 0.1
    sides = [
        sample(tailed(400, np.random.default_rng(seed)), name) for seed, name in enumerate("rc")
    ]
    sides[1].vectors[:, 0] += np.float32(0.1)
    rng = np.random.default_rng(0)
    assert frechet.compare(sides[0], sides[1], rng, frechet.Params()).verdict == "quiet"


def test_rows_are_drawn_where_tails_are_too_heavy_for_the_formula() -> None:
    def heavy(n: int, rng: np.random.Generator) -> Rows:
        return lumpy(n, rng, 20).astype(np.float32)

    finding = judged(heavy, 3000, 900, 0.0)
    assert finding.detail["permutations"] > 0
    assert (finding.n_reference, finding.n_current) == (400, 400)
