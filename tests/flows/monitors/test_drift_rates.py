"""How often drift alarms: by chance no more than it says, and of changes as often as it says."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import pytest

from flows.monitors import drift
from tests.flows.monitors.drifting import CHEAP, binomial_interval, compare, copied
from tests.flows.monitors.samples import lumpy, sample

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from flows.monitors.base import Finding, Sample

    Draw = Callable[[np.random.Generator], tuple[Sample, Sample]]


def flags(runs: int, n: int, m: int, params: drift.Params = CHEAP) -> int:
    return [null_finding(n, m, seed, params).verdict for seed in range(runs)].count("alarm")


def null_pair(n: int, m: int, seed: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Two samples of one distribution."""
    rng = np.random.default_rng(seed)
    return lumpy(n, rng, ties=True), lumpy(m, rng, ties=True)


@pytest.mark.parametrize(("n", "m"), [(50, 50), (90, 30)])
def test_the_false_alarm_rate_is_alpha(n: int, m: int) -> None:
    low, high = binomial_interval(150, 0.05)
    assert low <= flags(150, n, m) <= high


@cache
def null_finding(n: int, m: int, seed: int, params: drift.Params) -> Finding:
    """What is found where nothing has changed: once for all tests that count such findings."""
    return compare(*null_pair(n, m, seed), params, seed)


@pytest.mark.slow
@pytest.mark.parametrize("alpha", [0.01, 0.05, 0.2])
@pytest.mark.parametrize(("n", "m"), [(50, 50), (20, 20), (300, 40)])
def test_the_false_alarm_rate_is_any_alpha(n: int, m: int, alpha: float) -> None:
    low, high = binomial_interval(700, alpha)
    p_values = [null_finding(n, m, seed, CHEAP).p_value for seed in range(700)]
    assert low <= sum(p is not None and p <= alpha for p in p_values) <= high
    assert None not in p_values


@pytest.mark.parametrize("alpha", [0.01, 0.05, 0.2])
def test_an_alarm_is_a_p_value_of_at_most_alpha(alpha: float) -> None:
    params = replace(CHEAP, alpha=alpha)
    verdicts = set()
    for seed in range(40):
        reference, current = null_pair(50, 50, seed)
        current += 0.1 * (seed % 5)
        finding, plain = (compare(reference, current, keys, seed) for keys in (params, CHEAP))
        assert finding.p_value == plain.p_value
        assert finding.p_value is not None
        assert finding.verdict == ("alarm" if finding.p_value <= alpha else "quiet")
        verdicts.add(finding.verdict)
    assert verdicts == {"alarm", "quiet"}


def test_few_permutations_still_give_an_exact_level() -> None:
    params = replace(CHEAP, alpha=0.25, permutations=7, features=16)
    low, high = binomial_interval(400, 0.25)
    assert low <= flags(400, 25, 25, params) <= high


def popular(n: int, rng: np.random.Generator) -> Sample:
    """Rows of a world of 3,000 contents, some far more popular than others, and all in one place.

    The world is the same for every call with a generator of equal seed and any n.
    """
    world = np.random.default_rng(0).standard_normal((3000, 3))
    world[:15] += 4
    weights = np.where(np.arange(3000) < 15, 40.0, 1.0)
    rows = rng.choice(3000, n, p=weights / weights.sum())
    return sample(world[rows], "p", [f"{row}" for row in rows])


def twice_the_far(n: int, rng: np.random.Generator) -> Sample:
    """Contents that come in copies within their batch, more of them where they lie far out."""
    vectors = lumpy(n, rng)
    return copied(vectors, 1 + 4 * (vectors[:, 0] > 2), f"{rng.random()}")


def copied_pair(times: Callable[[np.random.Generator, int], NDArray[np.intp]]) -> Draw:
    def draw(rng: np.random.Generator) -> tuple[Sample, Sample]:
        counts = times(rng, 80), times(rng, 30)
        return copied(lumpy(80, rng), counts[0], "r"), copied(lumpy(30, rng), counts[1], "c")

    return draw


def republished(share: float) -> Draw:
    """Current contents of which a share stood in the reference already, under other ids."""

    def draw(rng: np.random.Generator) -> tuple[Sample, Sample]:
        vectors, again = lumpy(140, rng), round(share * 60)
        names = [f"{row}" for row in range(140)]
        rows = np.concatenate([rng.choice(80, again, replace=False), 80 + np.arange(60 - again)])
        current = sample(vectors[rows], "c", [names[row] for row in rows])
        return sample(vectors[:80], "r", names[:80]), current

    return draw


REPEATS: dict[str, Draw] = {
    "each five times": copied_pair(lambda _, n: np.full(n, 5)),
    "some twice": copied_pair(lambda rng, n: 1 + (rng.random(n) < 0.3)),
    "some by the dozen": copied_pair(lambda rng, n: 1 + 11 * (rng.random(n) < 0.1)),
    "those far out": lambda rng: (twice_the_far(80, rng), twice_the_far(30, rng)),
    "popular ones": lambda rng: (popular(400, rng), popular(60, rng)),
    "half of them again": republished(0.5),
    "all of them again": republished(1.0),
}


@pytest.mark.parametrize("which", REPEATS)
def test_the_false_alarm_rate_is_alpha_with_repeated_contents(which: str) -> None:
    alarms = 0
    for seed in range(100):
        rng = np.random.default_rng(seed)
        alarms += drift.compare(*REPEATS[which](rng), rng, CHEAP).verdict == "alarm"
    low, high = binomial_interval(100, 0.05)
    assert low <= alarms <= high


@pytest.mark.parametrize("seed", range(3))
def test_a_change_is_found_among_repeated_contents(seed: int) -> None:
    rng = np.random.default_rng(seed)
    reference = copied(lumpy(200, rng), [4] * 200, "r")
    current = copied(lumpy(100, rng) + 1.5, 1 + rng.integers(5, size=100))
    assert drift.compare(reference, current, rng, CHEAP).verdict == "alarm"


def planted_power(n: int, m: int, shift: float, runs: int) -> float:
    """The share of alarms with a mean shift of so many total standard deviations, axis by axis."""
    scales = np.arange(1, 21) ** -0.5
    total = math.sqrt((scales**2).sum())
    alarms = 0
    for seed in range(runs):
        rng = np.random.default_rng(10_000 + seed)
        reference, current = (rng.standard_normal((k, 20)) * scales for k in (n, m))
        current[:, seed % 3] += shift * total
        alarms += compare(reference, current, seed=seed).verdict == "alarm"
    return alarms / runs


@pytest.mark.parametrize(("n", "m"), [(20, 20), (50, 50), (200, 40)])
def test_the_smallest_visible_shift_is_right_within_a_factor_of_two(n: int, m: int) -> None:
    scales = np.arange(1, 21) ** -0.5
    claims = []
    for seed in range(15):
        rng = np.random.default_rng(seed)
        reference, current = (rng.standard_normal((k, 20)) * scales for k in (n, m))
        claims.append(compare(reference, current, seed=seed).detail["smallest_visible"])
    claim = float(np.median(claims))
    assert max(claims) < 2 * claim < 4 * min(claims)
    assert planted_power(n, m, claim / 2, 60) < 0.6
    assert planted_power(n, m, claim * 2, 60) > 0.95
    assert 0.6 < planted_power(n, m, claim, 60) < 0.97
