from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from flows.monitors import outliers
from flows.monitors._detectors import DETECTORS
from tests.flows.monitors.samples import lumpy, sample

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from flows.monitors._detectors import Detector
    from flows.monitors.base import Finding

FAST = outliers.Params(detectors=("mahalanobis",), alpha=0.1)


def compare(
    reference: ArrayLike,
    current: ArrayLike,
    params: outliers.Params = FAST,
    seed: int = 1,
    **keys: Any,  # noqa: ANN401 - what `sample` takes for the current one
) -> Finding:
    rng = np.random.default_rng(seed)
    return outliers.compare(sample(reference, "r"), sample(current, "c", **keys), rng, params)


def most(runs: int, rate: float) -> int:
    """What is exceeded once in 1,000 times if the rate is that."""
    from scipy.stats import binom

    return int(binom.ppf(0.999, runs, rate))


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize(("n", "m"), [(60, 60), (300, 20), (40, 90)])
def test_without_outliers_an_alarm_is_as_rare_as_alpha(n: int, m: int, ties: bool) -> None:  # noqa: FBT001 - a case
    alarms = 0
    for seed in range(300):
        rng = np.random.default_rng(seed)
        reference, current = (lumpy(k, rng, 3, ties=ties) for k in (n, m))
        finding = compare(reference, current, outliers.Params(alpha=0.2, detectors=("knn",)), seed)
        alarms += finding.verdict == "alarm"
        assert finding.p_value is not None
        assert (finding.verdict == "alarm") == (finding.p_value <= 0.2 + 1e-9)
    assert alarms <= most(300, 0.2)
    if (n, m) == (300, 20) and not ties:
        assert alarms >= 20, "a test that never errs sees nothing"


def test_the_ensemble_errs_no_more_often() -> None:
    alarms = 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        finding = compare(lumpy(80, rng), lumpy(40, rng), outliers.Params(alpha=0.2), seed)
        alarms += finding.verdict == "alarm"
    assert 0 < alarms <= most(200, 0.2)


def test_the_share_named_wrongly_is_at_most_alpha_on_average() -> None:
    shares, found = [], []
    for seed in range(200):
        rng = np.random.default_rng(seed)
        current = rng.standard_normal((100, 4))
        current[:15] += rng.choice([-4, 4], (15, 4))
        finding = compare(rng.standard_normal((600, 4)), current, seed=seed)
        wrong = [name for name in finding.record_ids if int(name[1:]) >= 15]
        count = int(finding.statistic or 0)
        assert len(finding.record_ids) == min(count, 20)
        shares.append(len(wrong) / max(1, len(finding.record_ids)))
        found.append(len(finding.record_ids) - len(wrong))
    spread = np.std(shares) / np.sqrt(len(shares))
    assert np.mean(shares) <= 0.1 + 3 * spread
    assert np.mean(found) > 13


@pytest.mark.parametrize("detectors", [*[(name,) for name in DETECTORS], DETECTORS])
def test_planted_outliers_are_named(detectors: tuple[Detector, ...]) -> None:
    rng = np.random.default_rng(5)
    reference, current = rng.standard_normal((400, 5)), rng.standard_normal((60, 5))
    planted = [3, 20, 41, 55]
    current[planted] = 9 * rng.choice([-1, 1], (4, 5))
    finding = compare(reference, current, outliers.Params(detectors=detectors, alpha=0.1))
    assert finding.verdict == "alarm", finding.summary
    assert set(finding.record_ids[:4]) == {f"c{row}" for row in planted}
    assert finding.effect_size == pytest.approx((finding.statistic or 0) / 60)
    named = f"{len(finding.record_ids)} of 60 records do not belong: '{finding.record_ids[0]}', "
    assert finding.summary.startswith(named)
    for part, name in zip(finding.parts, detectors, strict=True):
        assert (part.kind, part.name, part.verdict) == ("detector", name, "alarm")
        assert {f"c{row}" for row in planted} <= set(part.record_ids)
        assert part.figures["selected"] >= 4


def test_a_single_outlier_is_named_where_the_reference_is_large_enough() -> None:
    rng = np.random.default_rng(0)
    current = rng.standard_normal((20, 4))
    current[7] = 15
    finding = compare(rng.standard_normal((900, 4)), current)
    assert finding.record_ids == ("c7",)
    assert finding.p_value == pytest.approx(20 / 451)
    assert finding.detail["fewest_named"] == 1
    few = compare(rng.standard_normal((900, 4)), current[[7]])
    assert (few.verdict, few.record_ids) == ("alarm", ("c0",))
    assert "the data" not in few.summary, "one record of one says nothing of all"
    many = compare(rng.standard_normal((900, 4)), current + 9)
    assert "it is the data that has changed: see drift" in many.summary
    small = compare(rng.standard_normal((90, 4)), current)
    assert small.verdict == "quiet"
    assert small.detail["fewest_named"] == 5
    assert "fewer than 5 at once would not show" in small.summary


def test_a_sample_too_small_for_alpha_is_no_pass() -> None:
    rng = np.random.default_rng(0)
    params = outliers.Params(alpha=0.01)
    finding = compare(rng.standard_normal((60, 4)), 50 + rng.standard_normal((30, 4)), params)
    assert finding.verdict == "cannot tell"
    assert "no p-value below 0.032, and alpha is 0.01" in finding.summary


@pytest.mark.parametrize(("n", "m"), [(0, 5), (39, 30), (60, 0)])
def test_what_cannot_be_tested_says_what_is_needed(n: int, m: int) -> None:
    rng = np.random.default_rng(0)
    finding = compare(rng.standard_normal((n, 4)), rng.standard_normal((m, 4)))
    assert finding.verdict == "cannot tell"
    assert finding.p_value is None
    assert ("40 of the reference are needed" in finding.summary) == (n > 0)


def test_one_record_can_be_an_outlier_but_not_a_pass() -> None:
    rng = np.random.default_rng(0)
    reference = rng.standard_normal((200, 4))
    assert compare(reference, np.zeros((1, 4))).verdict == "cannot tell"
    assert compare(reference, np.full((1, 4), 30.0)).record_ids == ("c0",)


def test_a_batch_that_drifts_as_a_whole_is_told_from_outliers() -> None:
    rng = np.random.default_rng(0)
    reference = rng.standard_normal((400, 4))
    whole = compare(reference, 20 + rng.standard_normal((50, 4)))
    assert "it is the data that has changed" in whole.summary
    few = rng.standard_normal((50, 4))
    few[:6] = 20
    assert "it is the data" not in compare(reference, few).summary


def test_copies_count_once_and_rows_that_are_not_finite_are_left_out() -> None:
    rng = np.random.default_rng(0)
    current = rng.standard_normal((40, 4))
    current[:5] = 30
    current[39, 2] = np.nan
    contents = ["far"] * 5 + [f"{row}" for row in range(35)]
    finding = compare(rng.standard_normal((800, 4)), current, contents=contents)
    assert finding.n_current == 35
    assert finding.detail["repeats_current"] == 4
    assert finding.detail["left_out_current"] == 1
    assert finding.statistic == 1


def test_units_do_not_matter_to_what_several_detectors_say() -> None:
    rng = np.random.default_rng(2)
    reference, current = lumpy(200, rng), lumpy(50, rng) * 1.4
    ours, theirs = (compare(k * reference, k * current, outliers.Params()) for k in (1, 64))
    assert ours.p_value == theirs.p_value
    assert ours.record_ids == theirs.record_ids


def test_the_reference_is_drawn_and_split_as_the_parameters_say() -> None:
    rng = np.random.default_rng(2)
    reference, current = lumpy(500, rng), lumpy(50, rng)
    params = outliers.Params(max_rows=300, max_training=100)
    finding = compare(reference, current, params)
    assert finding.n_reference == 300
    assert (finding.detail["training"], finding.detail["calibration"]) == (100, 200)
    assert finding.detail["least_p"] == 1 / 201


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"detectors": ()}, "detectors is empty; name at least one of knn, lof"),
        ({"detectors": ("knn", "svm")}, "detectors names 'svm'; there are: knn, lof"),
        ({"detectors": ("knn", "knn")}, "names one twice"),
        ({"alpha": 0.0}, "alpha must lie between 0 and 1, got 0.0"),
        ({"neighbours": 0}, "neighbours must be at least 1, got 0"),
        ({"max_rows": 30}, "max_rows must be at least 40, 2 times min_rows, got 30"),
        ({"max_training": 10}, "max_training must be at least 20"),
    ],
)
def test_params_are_checked(keys: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        outliers.Params(**keys)
