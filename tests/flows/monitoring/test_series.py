"""Series of looks: the budget of false alarms holds for all of them together, and drift is found.

P-values are drawn many series at once, and go through the very recursion that runs go through.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import TYPE_CHECKING, Literal

import numpy as np
import pytest

from flows.monitoring import series
from flows.monitoring.series import Look

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from flows.monitors.base import Verdict

    Table = NDArray[np.float64]

LOOKS, SERIES = 500, 2000
BUDGET, ALPHA = 0.05, 0.01
# a rate of at most the budget gives more than this in 2,000 series once in 1,000
MOST = BUDGET + 3.1 * math.sqrt(BUDGET * (1 - BUDGET) / SERIES)


def first_alarms(p: Table, *, independent: bool, alpha: float = ALPHA) -> NDArray[np.int64]:
    """The look, from 1, of the first alarm of each series; 0 for none. ``p`` is (series, looks)."""
    alone = series.single(BUDGET, independent=independent)
    levels = alone * np.array([series.weight(look) for look in range(1, p.shape[1] + 1)])
    alarms = p <= np.minimum(levels, alpha)
    if independent:
        with np.errstate(over="ignore"):  # long after the alarm
            gathered = np.stack(list(series.evidence(p.T)), axis=1)
        alarms |= gathered >= 1 / (BUDGET - alone)
    return np.where(alarms.any(axis=1), alarms.argmax(axis=1) + 1, 0)


def tails(z: Table) -> Table:
    from scipy.stats import norm

    return np.asarray(2 * norm.sf(np.abs(z)), dtype=np.float64)


def batches(reference: Literal["grows", "fixed"], looks: int = LOOKS, rows: int = 20) -> Table:
    """P-values of unchanged Gaussian batches, each held against what came before, or the first.

    The means of the batches say all that a z-test needs, so rows are drawn as their mean.
    """
    rng = np.random.default_rng(1)
    means = rng.standard_normal((SERIES, looks + 1)) / math.sqrt(rows)
    if reference == "fixed":
        return tails((means[:, 1:] - means[:, :1]) / math.sqrt(2 / rows))
    seen = np.arange(1, looks + 1)
    before = np.cumsum(means[:, :-1], axis=1) / seen
    return tails((means[:, 1:] - before) / np.sqrt(1 / rows + 1 / (rows * seen)))


def test_weights_share_out_the_whole_budget_and_begin_as_monitors_do_alone() -> None:
    weights = [series.weight(look) for look in range(1, 10_001)]
    assert sum(weights) + series.left(10_000) == pytest.approx(1)
    assert all(a > b > 0 for a, b in pairwise(weights))
    assert series.single(BUDGET, independent=True) * weights[0] >= ALPHA


@pytest.mark.parametrize("reference", ["grows", "fixed"])
def test_unchanged_batches_raise_no_more_alarms_than_the_budget(
    reference: Literal["grows", "fixed"],
) -> None:
    p = batches(reference)
    assert (first_alarms(p, independent=reference == "grows") > 0).mean() <= MOST
    if reference == "grows":
        assert ((p <= ALPHA).any(axis=1)).mean() > 0.9, "each look by itself is wrong for certain"


def test_looks_at_a_fixed_reference_must_not_be_gathered() -> None:
    p = batches("fixed")
    assert (first_alarms(p, independent=True) > 0).mean() > 3 * BUDGET


def test_ties_and_coarse_p_values_do_not_break_the_budget() -> None:
    rng = np.random.default_rng(2)
    ranks = rng.integers(1, 21, (SERIES, LOOKS))
    p = np.where(rng.random((SERIES, LOOKS)) < 0.5, ranks / 20, np.ceil(ranks / 5) / 4)
    gathered = np.stack(list(series.evidence(p.T)), axis=1)
    assert (gathered.max(axis=1) >= 1 / 0.025).mean() <= MOST / 2
    assert gathered.mean(axis=0).max() <= 1.3, "of fair bets nobody gets richer in the mean"


def permutation_p(pool: Table, first: int, rng: np.random.Generator) -> Table:
    """Exact p-values, ties broken at random, of the mean of all rows from ``first`` on."""
    count = 99
    later = pool.shape[1] - first
    observed = pool[:, first:].sum(axis=1)
    orders = np.argsort(rng.random((count, *pool.shape)), axis=2)[:, :, :later]
    drawn = np.take_along_axis(pool[None], orders, axis=2).sum(axis=2)
    above = (drawn > observed).sum(axis=0)
    return np.asarray((above + rng.random(len(pool))) / (count + 1), dtype=np.float64)


def test_permutation_p_values_against_all_that_came_before_are_independent() -> None:
    """Also for rows far from Gaussian; against the first batch they are not."""
    rng = np.random.default_rng(3)
    rows, looks, times = 4, 4, 3000
    data = np.exp(2 * rng.standard_normal((times, rows * (looks + 1))))
    grows, fixed = [], []
    for look in range(1, looks + 1):
        stop = rows * (look + 1)
        grows.append(permutation_p(data[:, :stop], stop - rows, rng) <= 0.3)
        own = np.concatenate([data[:, :rows], data[:, stop - rows : stop]], axis=1)
        fixed.append(permutation_p(own, rows, rng) <= 0.3)
    noise = 3.5 * math.sqrt(0.3**4 * (1 - 0.3**4) / times)
    assert np.mean(grows, axis=1) == pytest.approx(0.3, abs=0.03)
    assert np.all(grows, axis=0).mean() == pytest.approx(0.3**4, abs=noise)
    assert np.mean(fixed, axis=1) == pytest.approx(0.3, abs=0.03)
    assert np.all(fixed, axis=0).mean() > 0.3**4 + 2 * noise


@pytest.mark.parametrize(("shift", "start", "within"), [(1.0, 0, 25), (1.0, 50, 45), (2.5, 50, 10)])
def test_a_small_lasting_drift_is_found(shift: float, start: int, within: int) -> None:
    from scipy.stats import norm

    rng = np.random.default_rng(4)
    z = rng.standard_normal((500, start + within))
    z[:, start:] += shift
    p = norm.sf(z)
    found = first_alarms(p, independent=True)
    assert (found > 0).mean() > 0.85
    single = first_alarms(p, independent=False)
    assert (found > start).mean() > (single > start).mean()


def test_one_look_of_a_great_change_is_enough_even_late() -> None:
    quiet = [Look(0.5)] * 40
    assert series.verdict("alarm", Look(1e-6), series.stand([*quiet, Look(1e-6)], 0.05,
                          independent=False)) == "alarm"  # fmt: skip


@pytest.mark.parametrize("independent", [True, False])
def test_a_series_is_judged_as_the_simulations_are(*, independent: bool) -> None:
    rng = np.random.default_rng(5)
    p = rng.random((60, 30)) ** rng.choice([1.0, 1.5, 2.5], (60, 1))
    expected = first_alarms(p, independent=independent)
    assert 0 < (expected > 0).sum() < 60
    for values, first in zip(p, expected, strict=True):
        assert first_alarm(values.tolist(), independent=independent) == first


def first_alarm(p_values: Sequence[float], *, independent: bool) -> int:
    looks = [Look(p) for p in p_values]
    for n, look in enumerate(looks, 1):
        standing = series.stand(looks[:n], BUDGET, independent=independent)
        alone: Verdict = "alarm" if look.p_value <= ALPHA else "quiet"
        if series.verdict(alone, look, standing) == "alarm":
            return n
    return 0


def test_an_alarm_that_the_series_does_not_carry_is_watched() -> None:
    looks = [Look(0.6), Look(0.4), Look(0.009)]
    standing = series.stand(looks, 0.05, independent=True)
    assert standing.level < 0.009
    assert series.verdict("alarm", looks[-1], standing) == "watch"
    assert series.verdict("quiet", looks[-1], standing) == "quiet"
    more = series.ahead(looks, 0.05, independent=True)
    assert more is not None
    again = [*looks, *[looks[-1]] * more]
    assert series.stand(again, 0.05, independent=True).lasting
    assert not series.stand(again[:-1], 0.05, independent=True).lasting
    assert series.ahead(looks, 0.05, independent=False) is None
    assert series.ahead([Look(0.9)], 0.05, independent=True) is None


def test_a_look_of_too_few_rows_spends_nothing_but_is_not_forgotten() -> None:
    small = [Look(0.02, decides=False)] * 8
    standing = series.stand(small, 0.05, independent=True)
    assert (standing.level, standing.spent, standing.lasting) == (0.0, 0.0, True)
    assert series.verdict("cannot tell", small[-1], standing) == "alarm"
    after = series.stand([*small[:2], Look(0.5)], 0.05, independent=True)
    assert after.level == series.stand([Look(0.5)], 0.05, independent=True).level


def test_a_single_look_of_too_few_rows_is_no_series() -> None:
    small = Look(1e-6, decides=False)
    alone = series.stand([small], 0.05, independent=True)
    assert alone.e_value is not None
    assert alone.enough is not None
    assert alone.e_value >= alone.enough
    assert series.verdict("cannot tell", small, alone) == "cannot tell"
    again = series.stand([small, small], 0.05, independent=True)
    assert series.verdict("cannot tell", small, again) == "alarm"


def test_what_is_spent_adds_up_to_the_levels() -> None:
    looks = [Look(0.5)] * 7
    levels = [series.stand(looks[:n], 0.2, independent=False).level for n in range(1, 8)]
    assert series.stand(looks, 0.2, independent=False).spent == pytest.approx(sum(levels))
    with pytest.raises(ValueError, match="at least one look, got none"):
        series.stand([], 0.05, independent=True)


@pytest.mark.parametrize("p", [0.0, -0.1, 1.1, math.nan])
def test_what_is_no_p_value_is_refused(p: float) -> None:
    with pytest.raises(ValueError, match="a p-value lies above 0 and is at most 1, got"):
        Look(p)


def test_the_chance_of_one_such_look_is_told() -> None:
    assert series.chance(1, 0.01) == pytest.approx(0.01)
    assert series.chance(500, 0.01) == pytest.approx(0.9934, abs=1e-4)


def test_the_line_tells_the_measured_rate_beside_the_expected() -> None:
    kept: dict[str, float | str] = {
        "since": "20260105T060000-00000abcdef", "looks": 12.0, "budget": 0.05, "spent": 0.021,
        "alpha": 0.01, "low": 1.0, "expected": 0.12,
    }  # fmt: skip
    assert series.line(kept) == (
        "12 looks since 2026-01-05: 2.10% of a false-alarm budget of 5.00% spent; "
        "1 look at p ≤ 0.01, 0.12 expected by chance"
    )
    gathered = series.line(kept | {"e_value": 0.734, "enough": 40.0})
    assert "evidence of a lasting change 0.73 of the 40 that are an alarm" in gathered
    assert series.line({}) == ""
