"""P-values by rank: what holds for them is checked over every split, so that chance has no part."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from flows.monitors import _conformal

SETS = [
    [0.3, 1.2, 2.5, 3.1, 4.0, 7.5, 9.0],
    [1.0, 1.0, 1.0, 2.0, 2.0, 5.0, 5.0],
    [0.0] * 7,
    [-3.0, -3.0, 0.0, 0.1, 0.1, 8.0, 8.0],
]


def test_the_p_value_is_the_share_that_reaches_the_score() -> None:
    calibration = np.array([1.0, 2.0, 2.0, 4.0])
    found = _conformal.p_values(calibration, np.array([0.0, 2.0, 3.0, 4.0, 4.5]))
    assert found.tolist() == [1.0, 0.8, 0.4, 0.4, 0.2]


def test_without_calibration_rows_nothing_is_known() -> None:
    assert _conformal.p_values(np.empty(0), np.array([5.0])).tolist() == [1.0]


@pytest.mark.parametrize("scores", SETS)
def test_p_values_are_never_too_small(scores: list[float]) -> None:
    rows = np.array(scores)
    p = np.array(
        [_conformal.p_values(np.delete(rows, i), rows[i : i + 1])[0] for i in range(len(rows))]
    )
    for level in np.linspace(0.01, 1, 100):
        assert np.mean(p <= level) <= level


def test_scores_that_differ_by_rounding_are_ties() -> None:
    third = 0.1 + 0.2
    assert third > 0.3
    assert _conformal.p_values(np.array([0.3]), np.array([third])).tolist() == [1.0]


@pytest.mark.parametrize("alpha", [0.1, 0.25, 0.5])
@pytest.mark.parametrize("scores", SETS)
@pytest.mark.parametrize("strange", [[], [10.0], [2.0, 10.0]])
def test_the_share_picked_wrongly_is_bounded_over_all_splits(
    scores: list[float], strange: list[float], alpha: float
) -> None:
    """Two of seven that belong are tested beside the strange ones; each choice is as likely."""
    rows, shares = np.array(scores), []
    for tested in itertools.combinations(range(len(rows)), 2):
        calibration = np.delete(rows, tested)
        p = _conformal.p_values(calibration, np.array([*rows[list(tested)], *strange]))
        picked = _conformal.select(p, alpha)
        shares.append(np.sum(picked < 2) / max(1, len(picked)))
    assert np.mean(shares) <= alpha * 2 / (2 + len(strange)) + 1e-12


@pytest.mark.parametrize("seed", range(5))
def test_what_is_picked_is_what_scipy_adjusts_to_alpha(seed: int) -> None:
    from scipy.stats import false_discovery_control

    p = np.round(np.random.default_rng(seed).beta(0.3, 1.0, 60), 2).clip(0.01, 1)
    for alpha in (0.01, 0.05, 0.3):
        wanted = np.flatnonzero(false_discovery_control(p) <= alpha + 1e-12)
        assert sorted(_conformal.select(p, alpha).tolist()) == wanted.tolist()


@pytest.mark.parametrize("seed", range(5))
def test_simes_is_the_least_alpha_that_picks_any(seed: int) -> None:
    p = np.random.default_rng(seed).beta(0.5, 1.0, 40)
    together = _conformal.simes(p)
    assert len(_conformal.select(p, together))
    assert not len(_conformal.select(p, together * 0.999))


@pytest.mark.parametrize("alpha", [0.01, 0.05, 0.1])
@pytest.mark.parametrize("n", [19, 99, 500])
@pytest.mark.parametrize("m", [1, 5, 60, 2000])
def test_the_fewest_that_can_be_picked_are_the_fewest(m: int, n: int, alpha: float) -> None:
    least = 1 / (1 + n)

    def picks(outliers: int) -> int:
        return len(_conformal.select(np.where(np.arange(m) < outliers, least, 1.0), alpha))

    fewest = _conformal.fewest(m, least, alpha)
    if fewest > m:
        assert alpha < least
        assert picks(m) == 0
    else:
        assert picks(fewest) == fewest
        assert picks(fewest - 1) == 0


def test_nothing_tested_is_nothing_picked() -> None:
    assert _conformal.select(np.empty(0), 0.1).tolist() == []
    assert math.isclose(_conformal.simes(np.ones(3)), 1.0)
