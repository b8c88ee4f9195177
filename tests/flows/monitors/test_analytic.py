"""P-values by formula: against draws, against permutations, and against their own promise."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from scipy.stats import chi2

from flows.monitors import _analytic, _rff, _splits, _tails, base
from flows.monitors._basis import Basis
from flows.monitors._sketch import Sketch
from tests.bench.drift_data import null_interval
from tests.flows.monitors.samples import lumpy, sample

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from flows.monitors.base import Sample

    Rows = NDArray[np.float32]

DIM = 20
TESTS: dict[str, Callable[[Sketch, Sketch], float]] = {
    "mmd": lambda r, c: _analytic.mmd(r, c).p_value,
    "mean_shift": lambda r, c: _analytic.mean_shift(r, c).p_value,
    "occupancy": lambda r, c: _analytic.counts(r.cells, c.cells).p_value,
    "ks": lambda r, c: float(min(1, 20 * _analytic.kolmogorov_smirnov(r, c)[1].min())),
}
# the rows here have tails too heavy for the Fréchet distance: see test_gaussians
SKETCHED = tuple(
    kind for kind in base.kinds() if "sketch" in base.reads(kind) and kind != "frechet"
)

every_sketched = pytest.mark.parametrize("kind", SKETCHED)


def drawn(n: int, rng: np.random.Generator) -> Rows:
    return lumpy(n, rng, DIM).astype(np.float32)


def sketches(rows: Rows, n: int, m: int, rng: np.random.Generator) -> tuple[Sketch, Sketch]:
    """Of the first n and the next m; the basis is of what is left."""
    basis = Basis.learn(rows[n + m :], rng)
    return Sketch.of(basis, [rows[:n]]), Sketch.of(basis, [rows[n : n + m]])


def whole(n: int, m: int, seed: int, shift: float = 0.0) -> tuple[Sample, Sample]:
    """Samples of 400 rows a side that carry sketches of all."""
    rng = np.random.default_rng(seed)
    rows = drawn(n + m + 500, rng)
    rows[n : n + m, 0] += np.float32(shift)
    pair = sketches(rows, n, m, rng)
    parts = sample(rows[:400], "r"), sample(rows[n : n + min(m, 400)], "c")
    return replace(parts[0], sketch=pair[0]), replace(parts[1], sketch=pair[1])


def judge(kind: str, samples: tuple[Sample, Sample], **keys: float) -> base.Finding:
    params = base.params_type(kind)(max_rows=400, **keys)
    return base.compare(kind, *samples, np.random.default_rng(0), params)


@pytest.mark.parametrize("p_value", [0.9, 0.5, 0.1, 0.01, 1e-4, 1e-9])
@pytest.mark.parametrize("k", [1, 2, 5, 100])
def test_a_plain_sum_has_the_tail_of_chi_squared(k: int, p_value: float) -> None:
    seen = _tails.weighted_chi2(3 * float(chi2.isf(p_value, k)), np.full(k, 3.0))
    assert seen == pytest.approx(p_value, rel=0.12 if k == 1 else 0.05)


@pytest.mark.parametrize("weights", [
    np.array([1.0, 0.5, 0.1]), 1 / np.arange(1, 80) ** 1.5, np.array([5.0, 1e-3, 1e-14, 0.0]),
])  # fmt: skip
def test_a_weighted_sum_has_the_tail_of_its_draws(weights: NDArray[np.float64]) -> None:
    draws = np.random.default_rng(0).standard_normal((60_000, len(weights))) ** 2 @ weights
    for p_value in (0.9, 0.5, 0.3, 0.1, 0.01):
        value = float(np.quantile(draws, 1 - p_value))
        assert _tails.weighted_chi2(value, weights) == pytest.approx(p_value, rel=0.1)
        near = pytest.approx(value, rel=0.05, abs=0.02 * float(weights.sum()))
        assert _tails.quantile(p_value, weights) == near


def test_the_tail_has_no_step_at_the_mean_and_no_end() -> None:
    weights = 1 / np.arange(1, 30)
    mean = float(weights.sum())
    near = [_tails.weighted_chi2(mean * (1 + d), weights) for d in (-1e-3, -1e-7, 0, 1e-7, 1e-3)]
    assert near == sorted(near, reverse=True)
    assert near[0] - near[-1] < 2e-3
    assert _tails.weighted_chi2(1e9, weights) == _tails.LEAST_P
    assert _tails.weighted_chi2(-1.0, weights) == 1.0
    assert _tails.weighted_chi2(1.0, np.zeros(3)) == _tails.LEAST_P
    assert _tails.quantile(0.01, np.zeros(3)) == 0.0


@pytest.mark.parametrize("n", [500, pytest.param(5000, marks=pytest.mark.slow)])
@pytest.mark.parametrize("shift", [0.0, 0.25])
def test_the_formula_says_what_permutations_say(n: int, shift: float) -> None:
    apart = []
    for seed in range(8):
        rng = np.random.default_rng(seed)
        rows = drawn(n + 200 + 500, rng)
        rows[n : n + 200, 0] += np.float32(shift * seed / 4)
        reference, current = sketches(rows, n, 200, rng)
        basis = reference.basis
        features = _rff.transform(rows[: n + 200] - basis.centre, basis.frequencies)
        statistic = _rff.Mmd(features, basis.frequencies, (n, 200))
        outcome = _splits.permute([statistic], (n, 200), (999, 0), rng)
        found = _analytic.mmd(reference, current)
        assert found.statistic == pytest.approx(outcome.observed, rel=1e-6, abs=1e-9)
        assert found.threshold(0.05) == pytest.approx(outcome.threshold(0.05), rel=0.25)
        noise = 4 * np.sqrt(outcome.p_value * (1 - outcome.p_value) / 999) + 0.003
        apart.append(abs(found.p_value - outcome.p_value) < noise + 0.1 * outcome.p_value)
    assert all(apart)


@pytest.mark.parametrize(("n", "m", "runs"), [(500, 500, 200), (800, 200, 200)])
def test_equal_distributions_are_flagged_at_the_rate_that_is_promised(
    n: int, m: int, runs: int
) -> None:
    flags = dict.fromkeys(TESTS, 0)
    for seed in range(runs):
        rng = np.random.default_rng([seed, n])
        pair = sketches(drawn(n + m + 300, rng), n, m, rng)
        for name, test in TESTS.items():
            flags[name] += test(*pair) <= 0.05
    for name, count in flags.items():
        low, high = null_interval(runs, 0.05)
        # that of bins is lower by right
        assert (0 if name == "ks" else low) <= count / runs <= high, name


@pytest.mark.slow
@pytest.mark.realdata
@pytest.mark.parametrize("n", [500])
def test_news_are_flagged_at_the_rate_that_is_promised(news: NDArray[np.float32], n: int) -> None:
    news = np.unique(news[:200], axis=0)
    flags = dict.fromkeys(TESTS, 0)
    basis = Basis.learn(news, np.random.default_rng(0))
    for seed in range(100):
        rng = np.random.default_rng(seed)
        sides = (news[rng.integers(len(news), size=n)] for _ in range(2))
        pair = [Sketch.of(basis, [side]) for side in sides]
        for name, test in TESTS.items():
            flags[name] += test(*pair) <= 0.05
    assert max(flags.values()) / 100 <= null_interval(100, 0.05)[1]


def test_a_basis_would_mislead_about_its_own_rows() -> None:
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((1200, 200)).astype(np.float32)
    basis = Basis.learn(rows[:400], rng)
    own, others, more = (Sketch.of(basis, [part]) for part in np.split(rows, 3))
    assert _analytic.kolmogorov_smirnov(own, others)[1].min() < 1e-4
    assert _analytic.kolmogorov_smirnov(more, others)[1].min() > 1e-4


@pytest.mark.parametrize("test", [_analytic.mmd, _analytic.mean_shift])
def test_the_shift_that_is_called_visible_is_seen_in_four_of_five_runs(
    test: Callable[[Sketch, Sketch], _analytic.Distance],
) -> None:
    n, m, runs = 600, 300, 120
    rng = np.random.default_rng(0)
    rows = drawn(500 + n, rng)
    basis = Basis.learn(rows[:500], rng)
    reference = Sketch.of(basis, [rows[500:]])
    claim = test(reference, Sketch.of(basis, [drawn(m, rng)]))
    visible = claim.smallest_visible(0.05)
    assert visible is not None
    seen = 0
    for seed in range(runs):
        rng = np.random.default_rng([seed, 1])
        ours, theirs = drawn(n, rng), drawn(m, rng)
        theirs += (visible * claim.spread * claim.directions[seed % 3]).astype(np.float32)
        seen += test(Sketch.of(basis, [ours]), Sketch.of(basis, [theirs])).p_value <= 0.05
    assert 0.65 < seen / runs < 0.93


def test_who_reads_sketches_is_tested_here() -> None:
    assert {"mmd", "mean_shift", "occupancy", "pca_ks", "drift"} <= {*SKETCHED}


def test_rare_kinds_are_put_together() -> None:
    ours, theirs = np.array([500, 400, 5, 3, 3, 0]), np.array([480, 420, 4, 1, 5, 0])
    assert _analytic.counts(ours, theirs).kinds == 3
    assert _analytic.counts(ours, theirs).p_value > 0.1
    assert _analytic.counts(ours, ours[::-1]).p_value < 1e-9
    assert _analytic.counts(np.array([10]), np.array([4])).p_value == 1.0


@every_sketched
@pytest.mark.parametrize("shift", [0.0, 1.5])
def test_monitors_judge_by_sketches_where_rows_are_too_many(kind: str, shift: float) -> None:
    finding = judge(kind, whole(3000, 600, 1, shift))
    assert finding.verdict == ("alarm" if shift else "quiet"), finding.summary
    assert finding.detail["permutations"] == 0
    assert (finding.n_reference, finding.n_current) == (3000, 600)
    assert finding.statistic is not None
    assert finding.threshold is not None
    assert (finding.statistic > finding.threshold) == bool(shift)
    assert bool(finding.record_ids) == bool(shift)


@every_sketched
@pytest.mark.parametrize(("n", "m"), [(300, 350), (3000, 150)])
def test_monitors_look_at_rows_where_a_draw_loses_nothing(kind: str, n: int, m: int) -> None:
    finding = judge(kind, whole(n, m, 2))
    assert finding.detail["permutations"] > 0
    assert finding.n_current == m


@every_sketched
def test_sketches_see_what_a_draw_cannot(kind: str) -> None:
    samples = whole(40_000, 20_000, 3, 0.25 if kind != "occupancy" else 0.4)
    assert judge(kind, samples).verdict == "alarm"
    blind = [replace(side, sketch=None) for side in samples]
    assert judge(kind, (blind[0], blind[1])).verdict == "quiet"


@every_sketched
def test_an_effect_too_small_is_no_alarm_however_sure(kind: str) -> None:
    samples = whole(40_000, 20_000, 3, 0.4)
    assert judge(kind, samples, min_effect=0.9).verdict == "quiet"


@pytest.mark.parametrize("spread", [0, 1])
def test_spread_that_the_basis_has_not_seen_is_no_shift(spread: int) -> None:
    p_values = []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        rows = np.zeros((1100, DIM), np.float32)
        rows[:1000, spread:] = rng.normal(size=(1000, DIM - spread))
        rows[1000:, :spread] = rng.normal(size=(100, spread))
        p_values.append(_analytic.mean_shift(*sketches(rows, 500, 500, rng)).p_value)
    assert np.mean([p <= 0.05 for p in p_values]) <= null_interval(60, 0.05)[1]


@pytest.mark.parametrize("kind", [*SKETCHED, "frechet"])
def test_rows_are_looked_at_where_the_basis_was_learned_without_spread(kind: str) -> None:
    rng = np.random.default_rng(0)
    rows = np.vstack([rng.normal(size=(900, DIM)), np.ones((100, DIM))]).astype(np.float32)
    rows[450:900] *= 2
    pair = sketches(rows, 450, 450, rng)
    sides = (sample(rows[:400], "r"), sample(rows[450:850], "c"))
    finding = judge(kind, (replace(sides[0], sketch=pair[0]), replace(sides[1], sketch=pair[1])))
    assert finding.detail["permutations"] > 0
    assert finding.verdict == ("quiet" if kind == "mean_shift" else "alarm")


@every_sketched
@pytest.mark.parametrize("value", [0.0, 7.0])
def test_sketches_without_spread_are_answered(kind: str, value: float) -> None:
    rows = np.full((1600, 5), value, np.float32)
    pair = sketches(rows, 1000, 500, np.random.default_rng(0))
    sides = (sample(rows[:400], "r"), sample(rows[:400], "c"))
    finding = judge(kind, (replace(sides[0], sketch=pair[0]), replace(sides[1], sketch=pair[1])))
    assert finding.verdict == "quiet", finding.summary
    assert finding.p_value is not None
    assert finding.p_value > 0.5
