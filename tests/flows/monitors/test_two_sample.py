"""What each of the two-sample tests promises beyond the contract of all monitors."""

from __future__ import annotations

import dataclasses
import math
import warnings
from typing import TYPE_CHECKING

import numpy as np
import pytest

from flows.monitors import base, mmd, mmd_exact, occupancy, pca_ks
from tests.flows.monitors.samples import lumpy, sample

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from flows.monitors.base import Finding

TESTS = ("drift", "frechet", "mean_shift", "mmd", "mmd_exact", "occupancy", "pca_ks")
every_test = pytest.mark.parametrize("kind", TESTS)


def compare(
    kind: str, reference: NDArray[np.float64], current: NDArray[np.float64], **keys: float
) -> Finding:
    cheap: dict[str, float] = {"alpha": 0.05, "permutations": 199, "most_permutations": 0}
    params = base.params_type(kind)(**(cheap | keys))
    rng = np.random.default_rng(1)
    return base.compare(kind, sample(reference, "r"), sample(current, "c"), rng, params)


@every_test
@pytest.mark.parametrize(("n", "m"), [(300, 100), (100, 300)])
def test_a_moved_mean_is_found_with_its_records_whichever_side_is_larger(
    kind: str, n: int, m: int
) -> None:
    rng = np.random.default_rng(0)
    reference, current = rng.standard_normal((n, 5)), rng.standard_normal((m, 5))
    current[: m // 4, :2] += 5
    finding = compare(kind, reference, current)
    assert finding.verdict == "alarm", finding.summary
    assert finding.effect_size is not None
    assert finding.effect_size > 0.1
    moved = {f"c{row}" for row in range(m // 4)}
    assert len(moved & set(finding.record_ids)) >= 0.8 * len(finding.record_ids) > 0


@pytest.mark.parametrize("kind", [kind for kind in TESTS if kind != "mean_shift"])
@pytest.mark.parametrize("factor", [0.5, 2.0])
def test_a_small_sample_that_shrank_or_grew_is_found(kind: str, factor: float) -> None:
    rng = np.random.default_rng(0)
    finding = compare(kind, rng.standard_normal((1000, 4)), factor * rng.standard_normal((60, 4)))
    assert finding.verdict == "alarm", finding.summary


def test_a_moved_mean_has_the_size_that_was_planted() -> None:
    rng = np.random.default_rng(0)
    reference, current = (3 * rng.standard_normal((1500, 16)) for _ in range(2))
    current[:, 0] += 0.5 * 3 * math.sqrt(16)
    shift = compare("mean_shift", reference, current).effect_size
    assert shift == pytest.approx(0.5, rel=0.1)
    assert compare("frechet", reference, current).effect_size == pytest.approx(0.5, rel=0.1)


@every_test
def test_the_smallest_visible_shift_is_one_that_shows(kind: str) -> None:
    rng = np.random.default_rng(0)
    scales = np.arange(1, 9) ** -0.5
    reference = rng.standard_normal((150, 8)) * scales
    quiet = compare(kind, reference, rng.standard_normal((90, 8)) * scales)
    visible = quiet.detail["smallest_visible"]
    told = f"no change seen; a mean shift of {visible:.2g} standard deviations would show (p = "
    assert quiet.summary.startswith(told)
    assert quiet.summary.endswith(", 90 against 150 contents)")
    step = visible * math.sqrt((scales**2).sum())
    seen = []
    for times in (0.4, 2.0):
        alarms = 0
        for seed in range(20):
            rng = np.random.default_rng(seed)
            reference, current = (rng.standard_normal((n, 8)) * scales for n in (150, 90))
            current[:, seed % 3] += times * step
            alarms += compare(kind, reference, current).verdict == "alarm"
        seen.append(alarms)
    assert seen[0] < 14
    assert seen[1] >= 18


@every_test
def test_the_second_round_makes_p_values_as_low_as_it_says(kind: str) -> None:
    rng = np.random.default_rng(0)
    reference, current = rng.standard_normal((60, 3)), 9 + rng.standard_normal((60, 3))
    finding = compare(kind, reference, current, alpha=0.001, most_permutations=1999)
    assert finding.verdict == "alarm", finding.summary
    assert finding.p_value == 1 / 2000
    assert finding.detail["permutations"] == 2198
    assert finding.summary.endswith("(p < 0.001, 60 against 60 contents)")


@pytest.mark.slow
@pytest.mark.parametrize(("n", "m"), [(60, 60), (70, 40)])
def test_exact_mmd_is_hyppos(n: int, m: int) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from hyppo.ksample import MMD

    rng = np.random.default_rng(n)
    reference, current = lumpy(n, rng), lumpy(m, rng) + 0.5
    finding = compare("mmd_exact", reference, current)
    gamma, total = 1 / (2 * finding.detail["bandwidth"] ** 2), n + m
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = MMD(gamma=gamma, bias=True).statistic(reference, current)
    # theirs is the root of a correlation with the labels, scaled by the sizes
    rows = np.concatenate([reference, current])
    kernel = np.exp(-gamma * ((rows[:, None] - rows) ** 2).sum(axis=2))
    centring = np.eye(total) - 1 / total
    norm = np.linalg.norm(centring @ kernel @ centring)
    biased = (theirs * total**4 / (2 * n**2 * m**2)) ** 2 * norm * total / (n * m)
    # and biased: a row's likeness to itself, which is 1, counts among n * n pairs
    within, others = kernel[:n, :n].mean(), kernel[n:, n:].mean()
    unbiased = biased + (within - 1) / (n - 1) + (others - 1) / (m - 1)
    assert finding.statistic == pytest.approx(unbiased, abs=1e-6)


@pytest.mark.parametrize("seed", range(3))
def test_mmd_tends_to_exact_mmd_as_features_grow(seed: int) -> None:
    rng = np.random.default_rng(seed)
    reference, current = lumpy(80, rng), lumpy(60, rng) + 1
    exact = compare("mmd_exact", reference, current, permutations=19).statistic
    assert exact is not None
    off = []
    for features in (16, 20_000):
        found = compare("mmd", reference, current, permutations=19, features=features).statistic
        assert found is not None
        off.append(abs(found - exact))
    assert off[1] < 0.01
    assert off[1] < off[0] + 0.005


def test_a_cluster_that_grew_is_named_with_its_records() -> None:
    rng = np.random.default_rng(0)
    centres = 8.0 * np.eye(5)
    reference, current = (
        centres[rng.choice(5, n, p=p)] + rng.standard_normal((n, 5))
        for n, p in ((500, [0.2] * 5), (400, [0.5, 0.2, 0.1, 0.1, 0.1]))
    )
    finding = compare("occupancy", reference, current, cells=5)
    first = finding.parts[0]
    assert (finding.verdict, first.verdict, first.kind) == ("alarm", "alarm", "cluster")
    assert first.figures["share_reference"] == pytest.approx(0.2, abs=0.06)
    assert first.figures["share_current"] == pytest.approx(0.5, abs=0.06)
    assert first.figures["residual"] > 6
    rows = [int(name[1:]) for name in first.record_ids]
    assert np.argmax(current[rows], axis=1).tolist() == [0] * 20
    assert finding.detail["psi"] > 0.2
    assert finding.effect_size is not None
    assert 0.2 < finding.effect_size < 0.5
    same = compare("occupancy", reference, reference[::-1] + 1e-3, cells=5)
    assert {part.verdict for part in same.parts} == {"quiet"}
    assert not any(part.record_ids for part in same.parts)


def test_the_components_that_moved_are_named() -> None:
    rng = np.random.default_rng(0)
    scales = np.array([4.0, 3.0, 2.0, 1.0])
    reference, current = (rng.standard_normal((400, 4)) * scales for _ in range(2))
    current[:, 2] = 2 * np.sign(current[:, 2])
    finding = compare("pca_ks", reference, current)
    moved = [part.name for part in finding.parts if part.verdict == "alarm"]
    assert moved == ["component 3"]
    assert finding.parts[0].name == "component 3"


@pytest.mark.parametrize(
    ("kind", "keys", "message"),
    [
        ("mmd", {"features": 3}, "features must be even and at least 2, got 3"),
        ("occupancy", {"cells": 1}, "cells must be at least 2, got 1"),
        ("pca_ks", {"components": 0}, "components must be at least 1, got 0"),
        ("frechet", {"components": 33}, "components must lie between 1 and 32, got 33"),
        ("mean_shift", {"most_permutations": -1}, "most_permutations must be at least 0, got -1"),
    ],
)
def test_parameters_out_of_range_are_refused(kind: str, keys: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        base.params_type(kind)(**keys)


def test_the_params_of_the_tests_are_those_that_all_share_and_their_own() -> None:
    shared = {field.name for field in dataclasses.fields(base.params_type("mean_shift"))}
    for params, own in (
        (mmd.Params, {"features"}),
        (mmd_exact.Params, set[str]()),
        (occupancy.Params, {"cells", "components"}),
        (pca_ks.Params, {"components"}),
    ):
        assert {field.name for field in dataclasses.fields(params)} == shared | own
