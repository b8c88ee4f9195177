"""Energy distance, sliced Wasserstein and the domain classifier, beside what others compute."""

from __future__ import annotations

import importlib
import itertools
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from flows.monitors import _permuted, base, classifier, energy, sliced_wasserstein
from tests.flows.monitors.samples import lumpy, sample

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from flows.monitors.base import Finding

KINDS = ("energy", "sliced_wasserstein", "classifier")
every_kind = pytest.mark.parametrize("kind", KINDS)


def compare(
    kind: str,
    reference: NDArray[np.float64],
    current: NDArray[np.float64],
    seed: int = 1,
    **params: Any,  # noqa: ANN401 - numbers of either kind
) -> Finding:
    given = base.params_type(kind)(**{"alpha": 0.05, "permutations": 199} | params)
    rng = np.random.default_rng(seed)
    return base.compare(kind, sample(reference, "r"), sample(current, "c"), rng, given)


def splits(n: int, m: int, count: int) -> NDArray[np.bool_]:
    rng = np.random.default_rng(3)
    ours = np.tile(np.arange(n + m) < n, (count, 1))
    return rng.permuted(ours, axis=1)


def oracle(name: str) -> Any:  # noqa: ANN401 - a module
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of its imports
        return importlib.import_module(name)


@every_kind
@pytest.mark.parametrize(("n", "m"), [(25, 25), (60, 20)])
def test_the_false_alarm_rate_is_alpha(kind: str, n: int, m: int) -> None:
    from scipy.stats import binom

    alarms = 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        pair = lumpy(n, rng, ties=True), lumpy(m, rng, ties=True)
        finding = compare(kind, *pair, seed=seed, alpha=0.1, permutations=99)
        alarms += finding.verdict == "alarm"
    low, high = binom.interval(0.999, 200, 0.1)
    assert low <= alarms <= high


@every_kind
@pytest.mark.parametrize("change", ["mean", "variance", "mix"])
def test_a_planted_change_is_found(kind: str, change: str) -> None:
    rng = np.random.default_rng(0)
    reference, current = lumpy(300, rng), lumpy(200, rng)
    if change == "mean":
        current += 1.5
    elif change == "variance":
        reference, current = rng.standard_normal((300, 6)), 1.6 * rng.standard_normal((200, 6))
    else:
        kind_of = rng.random(200) < 0.7
        current[kind_of] = 3 + rng.standard_normal((int(kind_of.sum()), 6))
    finding = compare(kind, reference, current)
    assert finding.verdict == "alarm", finding.summary
    assert finding.p_value == 0.005
    assert finding.statistic is not None
    assert finding.threshold is not None
    assert finding.statistic > finding.threshold
    assert len(finding.record_ids) == 20


@every_kind
def test_the_records_that_moved_are_named_first(kind: str) -> None:
    rng = np.random.default_rng(0)
    current = rng.standard_normal((100, 4))
    current[30:70] += 6
    finding = compare(kind, rng.standard_normal((300, 4)), current)
    assert len(finding.record_ids) == 20
    assert set(finding.record_ids) <= {f"c{row}" for row in range(30, 70)}


@every_kind
def test_constant_dimensions_and_one_dimension_change_nothing(kind: str) -> None:
    rng = np.random.default_rng(0)
    ours, theirs = rng.standard_normal((80, 1)), 2 + rng.standard_normal((50, 1))
    assert compare(kind, ours, theirs).verdict == "alarm"
    wide = [np.hstack([np.full((len(side), 2), 0.1), side]) for side in (ours, theirs)]
    assert compare(kind, wide[0], wide[1]).verdict == "alarm"
    assert compare(kind, wide[0][::2], wide[0][1::2]).verdict == "quiet"


@every_kind
def test_one_constant_is_quiet_and_two_are_told_apart(kind: str) -> None:
    same = compare(kind, np.full((50, 3), 0.1), np.full((40, 3), 0.1))
    assert (same.verdict, same.p_value) == ("quiet", 1.0)
    assert same.effect_size == (0.5 if kind == "classifier" else 0.0)
    apart = compare(kind, np.full((50, 3), 0.1), np.full((40, 3), 0.2))
    assert apart.verdict == "alarm"
    assert kind == "sliced_wasserstein" or apart.effect_size == pytest.approx(1.0)


@every_kind
def test_small_numbers_are_numbers_too(kind: str) -> None:
    rng = np.random.default_rng(0)
    reference, current = lumpy(80, rng), lumpy(60, rng) + 3
    tiny = compare(kind, 1e-9 * reference, 1e-9 * current)
    assert tiny.verdict == "alarm"
    assert tiny.effect_size == pytest.approx(compare(kind, reference, current).effect_size, rel=0.1)


@every_kind
def test_a_second_round_gives_smaller_p_values(kind: str) -> None:
    rng = np.random.default_rng(0)
    reference, current = rng.standard_normal((60, 3)), rng.standard_normal((40, 3))
    once = compare(kind, reference, current + 3, permutations=99)
    assert once.p_value == 0.01
    params = {"permutations": 99, "most_permutations": 1999}
    assert compare(kind, reference, current + 3, **params).p_value == 1 / 2000
    quiet = [compare(kind, reference, current, **p) for p in ({"permutations": 99}, params)]
    assert quiet[0].p_value == quiet[1].p_value


@pytest.mark.slow
def test_the_energy_is_that_of_hyppo() -> None:
    hyppo = oracle("hyppo.ksample")
    rng = np.random.default_rng(0)
    reference, current = (lumpy(n, rng).astype(np.float32).astype(np.float64) for n in (70, 45))
    current += 1
    finding = compare("energy", reference, current)
    between, ours, theirs = (
        finding.detail[name] for name in ("between", "within_reference", "within_current")
    )
    assert finding.statistic == pytest.approx(2 * between - ours - theirs)
    assert finding.effect_size == pytest.approx(1 - (ours + theirs) / (2 * between))
    # hyppo's takes the distance of a row to itself into the means, and is the root of the squared
    # distance covariance, times what makes an energy of the square
    biased = 2 * between - ours * 69 / 70 - theirs * 44 / 45
    scale = 115**4 / (2 * 70**2 * 45**2)
    root = hyppo.Energy(bias=True).statistic(reference, current)
    assert biased == pytest.approx((root / scale) ** 2 * scale, rel=1e-6)


def test_the_energy_of_every_split_is_that_of_its_pairs() -> None:
    from scipy.spatial.distance import cdist

    rng = np.random.default_rng(2)
    pool = lumpy(40, rng, ties=True)
    distances = cdist(pool, pool)
    members = splits(15, 25, 30)
    fast = energy.energies(pool, distances.sum(axis=0), members)
    for value, ours in zip(fast, members, strict=True):
        between = distances[ours][:, ~ours].mean()
        within = [distances[np.ix_(s, s)].sum() / (s.sum() * (s.sum() - 1)) for s in (ours, ~ours)]
        assert value == pytest.approx(2 * between - sum(within), abs=1e-9)


def test_sliced_wasserstein_of_every_split_is_scipys() -> None:
    from scipy.stats import wasserstein_distance

    rng = np.random.default_rng(2)
    projected = rng.standard_normal((5, 40)).round(1)
    members = splits(15, 25, 20)
    fast = sliced_wasserstein.distances(projected, members)
    for value, ours in zip(fast, members, strict=True):
        each = [wasserstein_distance(line[ours], line[~ours]) for line in projected]
        assert value == pytest.approx(np.mean(each), abs=2e-6)


@pytest.mark.slow
def test_sliced_wasserstein_is_that_of_pot() -> None:
    ot = oracle("ot")
    rng = np.random.default_rng(2)
    reference, current = rng.standard_normal((50, 8)), rng.standard_normal((30, 8)) + 0.5
    directions = rng.standard_normal((8, 16))
    directions /= np.linalg.norm(directions, axis=0)
    expected = ot.sliced_wasserstein_distance(reference, current, projections=directions, p=1)
    pool = np.vstack([reference, current])
    ours = sliced_wasserstein.distances((pool @ directions).T, np.arange(80)[None] < 50)
    assert ours[0] == pytest.approx(expected, abs=2e-6)


def test_the_effect_of_a_shift_along_every_direction_is_its_size() -> None:
    rng = np.random.default_rng(0)
    reference, current = rng.standard_normal((800, 1)), rng.standard_normal((800, 1)) + 0.5
    finding = compare("sliced_wasserstein", reference, current)
    sd = np.sqrt(1 + 0.25**2)
    assert finding.effect_size == pytest.approx(0.5 / sd, abs=0.12)


def test_the_classifier_of_every_split_is_trained_anew() -> None:
    from sklearn.linear_model import Ridge
    from sklearn.metrics import roc_auc_score

    rng = np.random.default_rng(0)
    inputs = rng.standard_normal((60, 5))
    theirs = ~splits(35, 25, 10)
    folds = np.array_split(rng.permutation(60), 4)
    scores, aucs = classifier.out_of_fold(inputs, theirs, folds, ridge=0.3)
    for split, (auc, labels) in enumerate(zip(aucs, theirs, strict=True)):
        won, pairs = 0.0, 0.0
        for fold in folds:
            rest = np.setdiff1d(np.arange(60), fold)
            ridge = Ridge(alpha=0.3 * len(rest)).fit(inputs[rest], labels[rest])
            found = ridge.predict(inputs[fold])
            weight = labels[fold].sum() * (~labels[fold]).sum()
            won += weight * roc_auc_score(labels[fold], found)
            pairs += weight
            if split == 0:
                # less the intercept, which differs from fold to fold
                level = inputs[rest].mean(axis=0) @ ridge.coef_ + ridge.intercept_
                assert scores[fold] == pytest.approx(found - level)
        assert auc == pytest.approx(won / pairs)


def test_ties_are_half_won() -> None:
    scores = np.array([[0.0], [0.5], [0.5], [0.5 + 1e-13], [2.0]])
    for labels in itertools.product([0.0, 1.0], repeat=5):
        column = np.array(labels)[:, None]
        won, pairs = classifier.in_order(scores, column)
        ours, theirs = scores[column == 0].round(6), scores[column == 1].round(6)
        wins = sum(float(b > a) + 0.5 * float(b == a) for a in ours for b in theirs)
        assert (won[0], pairs[0]) == (wins, len(ours) * len(theirs))


def test_the_auc_of_equal_distributions_is_a_half_on_average() -> None:
    rng = np.random.default_rng(0)
    aucs = [
        compare("classifier", rng.standard_normal((40, 8)), rng.standard_normal((25, 8)),
                permutations=19).effect_size or 0.0
        for _ in range(150)
    ]  # fmt: skip
    # the pooled AUC of cross-validation is about 0.45 here (Airola et al. 2011)
    assert np.mean(aucs) == pytest.approx(0.5, abs=4 * np.std(aucs) / np.sqrt(150))


@pytest.mark.parametrize(
    ("kind", "keys", "message"),
    [
        ("classifier", {"features": 3}, "features must be even and not below 0, got 3"),
        ("classifier", {"ridge": 0.0}, "ridge must be above 0"),
        ("classifier", {"folds": 1}, "folds must be at least 2"),
        ("sliced_wasserstein", {"directions": 0}, "directions must be at least 1"),
        ("energy", {"alpha": 1.0}, "alpha must lie between 0 and 1"),
        ("energy", {"most_permutations": -1}, "most_permutations must be at least 0"),
    ],
)
def test_parameters_out_of_range_are_refused(
    kind: str, keys: dict[str, float], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        base.params_type(kind)(**keys)


def test_a_split_is_never_finer_than_the_sizes_allow() -> None:
    finding = compare("energy", np.zeros((3, 2)), np.ones((3, 2)), min_rows=2, alpha=0.05)
    assert issubclass(energy.Params, _permuted.Params)
    assert finding.detail["least_p"] == pytest.approx(0.1)
    assert finding.verdict == "cannot tell"
