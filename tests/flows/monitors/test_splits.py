"""The engine of the permutation tests, held against plain loops over the rows of each split."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np
import pytest

from flows.monitors import (
    _cells,
    _combined,
    _components,
    _frechet,
    _kernel,
    _ks,
    _moments,
    _multiple,
    _rff,
    _splits,
)
from tests.flows.monitors.samples import lumpy

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from flows.monitors._splits import Statistic

    Values = NDArray[np.float64]

SIZES = (23, 37)


def pool(seed: int = 0, sizes: tuple[int, int] = SIZES) -> Values:
    rng = np.random.default_rng(seed)
    rows = lumpy(sum(sizes), rng)
    centred: Values = rows - rows.mean(axis=0)
    return centred


def statistics(rows: Values, sizes: tuple[int, int]) -> dict[str, Statistic]:
    rng = np.random.default_rng(1)
    components = _components.fit(rows, 4, rng)
    return {
        "mmd": _rff.fit(rows, sizes, 32, rng)[0],
        "exact": _kernel.ExactMmd.of(rows, sizes, 4.0),
        "mean": _moments.MeanShift.of(rows, sizes),
        "frechet": _frechet.Frechet.of(components, sizes),
        "cells": _cells.Occupancy.fit(components, 5, rng),
        "ks": _ks.Ks.fit(components, 3, sizes),
    }


def of_true_split(name: str, rows: Values, sizes: tuple[int, int]) -> float:
    true = np.repeat([[1.0, 0.0]], sizes, axis=1)
    return float(statistics(rows, sizes)[name](true)[0])


NAMES = ["mmd", "exact", "mean", "frechet", "cells", "ks"]
every_statistic = pytest.mark.parametrize("name", NAMES)


def by_pairs(rows: Values, a: NDArray[np.intp], b: NDArray[np.intp], bandwidth: float) -> float:
    squared = ((rows[:, None] - rows[None]) ** 2).sum(axis=2)
    kernel = np.exp(-squared / (2 * bandwidth**2))
    within_a = np.mean([kernel[i, j] for i, j in combinations(a.tolist(), 2)])
    within_b = np.mean([kernel[i, j] for i, j in combinations(b.tolist(), 2)])
    return float(within_a + within_b - 2 * kernel[np.ix_(a, b)].mean())


def test_exact_mmd_is_that_of_all_pairs() -> None:
    rows = pool()
    members = _splits.draw(np.repeat([1.0, 0.0], SIZES), 20, np.random.default_rng(2))
    values = _kernel.ExactMmd.of(rows, SIZES, 4.0)(members)
    for value, chosen in zip(values, members, strict=True):
        sides = np.flatnonzero(chosen == 1), np.flatnonzero(chosen == 0)
        assert value == pytest.approx(by_pairs(rows, *sides, 4.0), abs=1e-12)


def test_mmd_is_that_of_all_pairs_of_its_features() -> None:
    rows = pool()
    statistic, _ = _rff.fit(rows, SIZES, 32, np.random.default_rng(1))
    kernel = (statistic.features @ statistic.features.conj().T).real
    members = _splits.draw(np.repeat([1.0, 0.0], SIZES), 20, np.random.default_rng(2))
    exact = _kernel.ExactMmd(kernel, rows, 1.0, SIZES)
    assert statistic(members) == pytest.approx(exact(members), abs=1e-12)


def test_the_mean_shift_and_chi2_and_ks_are_the_textbook_ones() -> None:
    from scipy.stats import chi2_contingency, ks_2samp

    rows = pool()
    n, m = SIZES
    ours, theirs = rows[:n], rows[n:]
    noise = ours.var(axis=0, ddof=1).sum() / n + theirs.var(axis=0, ddof=1).sum() / m
    apart = ((ours.mean(axis=0) - theirs.mean(axis=0)) ** 2).sum() - noise
    assert of_true_split("mean", rows, SIZES) == pytest.approx(apart / (rows**2).sum() * (n + m))
    cells = statistics(rows, SIZES)["cells"]
    assert isinstance(cells, _cells.Occupancy)
    counts = np.stack([cells.counts[:n].sum(axis=0), cells.counts[n:].sum(axis=0)])
    wanted = chi2_contingency(counts, correction=False).statistic
    assert of_true_split("cells", rows, SIZES) == pytest.approx(wanted)
    ks = statistics(rows, SIZES)["ks"]
    assert isinstance(ks, _ks.Ks)
    largest = max(
        ks_2samp(line[:n], line[n:]).statistic for line in ks.components.coordinates.T[:3]
    )
    # between 32 bins no distance is larger, and it is smaller by at most a bin's rows
    found = of_true_split("ks", rows, SIZES) / _ks.scale(SIZES)
    assert largest - 2 / n - 2 / m < found <= largest + 1e-12


def test_the_frechet_distance_is_that_of_a_root_of_matrices() -> None:
    from scipy.linalg import sqrtm

    rows = pool()
    statistic = statistics(rows, SIZES)["frechet"]
    assert isinstance(statistic, _frechet.Frechet)
    ours, theirs = np.split(statistic.components.coordinates, [SIZES[0]])
    a, b = np.cov(ours.T), np.cov(theirs.T)
    means = ((ours.mean(axis=0) - theirs.mean(axis=0)) ** 2).sum()
    wanted = means + np.trace(a + b - 2 * np.real(sqrtm(a @ b)))
    found = of_true_split("frechet", rows, SIZES) * statistic.unit
    assert found == pytest.approx(wanted)


@every_statistic
def test_a_planted_shift_is_a_shift_of_the_second_side(name: str) -> None:
    rows = pool()
    statistic = statistics(rows, SIZES)[name]
    members = np.repeat([[1.0, 0.0]], SIZES, axis=1)
    planted = statistic.planted(members)
    assert planted(np.zeros(6)) == pytest.approx(statistic(members), abs=1e-12)
    small, large = (planted(np.full(6, by))[0] for by in (2.0, 20.0))
    assert statistic(members)[0] < small < large or name in {"cells", "ks"}
    if name == "exact":
        rows[SIZES[0] :] += 2.0
        moved = _kernel.ExactMmd.of(rows, SIZES, 4.0)(members)[0]
        assert small == pytest.approx(moved, abs=1e-12)


@pytest.mark.parametrize("name", ["cells", "ks"])
def test_rows_that_are_moved_are_counted_where_they_then_lie(name: str) -> None:
    rng = np.random.default_rng(4)
    rows = np.round(pool(), 1)  # so that rows come to lie on the borders of bins
    statistic = statistics(rows, SIZES)[name]
    assert isinstance(statistic, _cells.Occupancy | _ks.Ks)
    members = _splits.draw(np.repeat([1.0, 0.0], SIZES), 30, rng)
    planted = statistic.planted(members)
    for size in (0.0, 0.3, 2.0, 9.0):
        shift = size * rng.standard_normal(6)
        at = statistic.components.coordinates
        for found, chosen in zip(planted(shift), members, strict=True):
            places = at + np.outer(1 - chosen, statistic.components.along(shift))
            if isinstance(statistic, _ks.Ks):
                counts = _ks.bins(places[:, :3], statistic.borders)
            else:
                centres = statistic.centres
                counts = _cells.one_hot(_cells.assign(places, centres), len(centres))
            moved = replace(statistic, counts=counts)
            assert found == pytest.approx(moved(chosen[None])[0], abs=1e-12)


@every_statistic
def test_bunches_of_one_row_change_nothing_and_larger_ones_keep_the_true_split(name: str) -> None:
    sizes = (24, 36)
    rows = pool(sizes=sizes)
    statistic = statistics(rows, sizes)[name]
    rng = np.random.default_rng(5)
    for size in (1, 4):
        bunches, counts = _splits.bunch(sizes, size, rng)
        assert sorted(bunches.ravel().tolist()) == list(range(60))
        assert (bunches[: counts[0]] < 24).all()
        moved = statistic.bunched(bunches, sizes)
        true = np.repeat([[1.0, 0.0]], counts, axis=1)
        whole = np.repeat([[1.0, 0.0]], sizes, axis=1)
        assert moved(true) == pytest.approx(statistic(whole), abs=1e-9)


@every_statistic
@pytest.mark.parametrize("sizes", [(40, 40), (70, 25)])
def test_equal_distributions_have_p_values_below_any_level_as_often_as_it_says(
    name: str, sizes: tuple[int, int]
) -> None:
    from scipy.stats import binom

    p_values = []
    for seed in range(150):
        statistic = statistics(pool(seed, sizes), sizes)[name]
        rng = np.random.default_rng(seed)
        p_values.append(_splits.permute([statistic], sizes, (99, 0), rng).p_value)
    for level in (0.05, 0.2, 0.5):
        low, high = binom.interval(0.9999, 150, level)
        ties = name in {"cells", "ks"}
        assert (0 if ties else low) <= np.sum(np.array(p_values) <= level) <= high


def test_the_second_round_alone_lowers_p_values_and_only_those_that_none_reached() -> None:
    reached = 0
    for seed in range(60):
        rows = pool(seed)
        rows[SIZES[0] :] += 0.05 * (seed % 20)
        statistic = statistics(rows, SIZES)["mean"]
        once, twice = (
            _splits.permute([statistic], SIZES, rounds, np.random.default_rng(seed))
            for rounds in ((19, 0), (19, 399))
        )
        if once.p_value > 1 / 20:
            assert twice.p_value == once.p_value
            assert (once.splits, twice.splits) == (19, 19)
            reached += 1
        else:
            assert twice.p_value <= once.p_value
            assert twice.splits == 418
        assert twice.permuted.tolist() == once.permuted.tolist()
    assert 5 < reached < 55


def test_low_p_values_of_two_rounds_come_no_more_often_than_they_say() -> None:
    """With bunches of two rows in the second round: 900 tests, whose level there is 1/100."""
    low = 0
    for seed in range(900):
        rng = np.random.default_rng(seed)
        rows = rng.standard_normal((1000, 1))
        statistic = _moments.MeanShift.of(rows, (500, 500))
        low += _splits.permute([statistic], (500, 500), (19, 299), rng).p_value <= 0.01
    # binomial(900, 0.01) is at most 20 in 9,993 of 10,000; and some there must be
    assert 1 <= low <= 20


def test_the_least_p_value_counts_splits_that_are_each_others_mirror() -> None:
    assert _splits.least_p(3, 3) == pytest.approx(2 / math.comb(6, 3))
    assert _splits.least_p(2, 5) == pytest.approx(1 / math.comb(7, 2))


def test_a_score_of_one_is_what_one_split_of_twenty_exceeds() -> None:
    rng = np.random.default_rng(0)
    each = np.stack([rng.exponential(size=2000), 100 + 7 * rng.standard_normal(2000)], axis=1)
    scores = _combined.Scale.of(each).score(each)
    assert (scores > 1).mean(axis=0) == pytest.approx([0.05, 0.05], abs=0.001)
    assert np.median(scores, axis=0) == pytest.approx([0, 0], abs=0.01)


def test_a_statistic_that_stands_still_but_for_rounding_has_no_say() -> None:
    rng = np.random.default_rng(0)
    each = np.stack([1e-14 * rng.standard_normal(200), rng.random(200)], axis=1)
    alone = _combined.largest(each[:, 1:])
    assert np.maximum(alone, 0).tolist() == _combined.largest(each).tolist()


def test_the_benjamini_hochberg_procedure_is_scipys() -> None:
    from scipy.stats import false_discovery_control

    for seed in range(20):
        p_values = np.random.default_rng(seed).random(12) ** 4
        wanted = false_discovery_control(p_values) <= 0.1
        assert _multiple.benjamini_hochberg(p_values, 0.1).tolist() == wanted.tolist()
    assert _multiple.benjamini_hochberg(np.empty(0), 0.1).tolist() == []


@pytest.mark.parametrize("seed", range(3))
def test_components_are_those_of_a_singular_value_decomposition(seed: int) -> None:
    rng = np.random.default_rng(seed)
    rows = rng.standard_normal((200, 60)) * np.arange(1, 61) ** -1.0
    rows -= rows.mean(axis=0)
    found = _components.fit(rows, 3, rng)
    _, spreads, directions = np.linalg.svd(rows, full_matrices=False)
    assert np.abs((found.directions * directions[:3]).sum(axis=1)) == pytest.approx([1] * 3, 1e-3)
    assert np.linalg.norm(found.coordinates, axis=0) == pytest.approx(spreads[:3], rel=1e-4)
    assert found.share == pytest.approx((spreads[:3] ** 2).sum() / (spreads**2).sum(), rel=1e-4)
    assert _components.fit(np.zeros((9, 4)), 3, rng).share == 1
