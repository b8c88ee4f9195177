from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from flows.monitors import _spread, health
from flows.monitors.base import Finding, Sample
from tests.flows.monitors.samples import lumpy, sample

if TYPE_CHECKING:
    from numpy.typing import NDArray


NOTHING = sample(np.empty((0, 16)))


def check(reference: Sample, current: Sample, params: health.Params | None = None) -> Finding:
    rng = np.random.default_rng(5)
    return health.compare(reference, current, rng, params or health.Params())


def gaussian(n: int, dim: int = 16, seed: int = 0) -> NDArray[np.float64]:
    return np.random.default_rng(seed).standard_normal((n, dim))


def unit(n: int, dim: int = 32, seed: int = 0) -> NDArray[np.float64]:
    rows = gaussian(n, dim, seed)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return rows


@pytest.mark.parametrize("scale", [1e-20, 1.0, 1e30])
def test_gaussians_of_any_scale_are_sound(scale: float) -> None:
    finding = check(sample(gaussian(300) * scale), sample(gaussian(200, seed=1) * scale))
    assert finding.verdict == "quiet", finding.summary
    assert finding.statistic == 0
    assert finding.record_ids == ()


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize(("n", "m"), [(20, 20), (400, 25), (25, 400)])
def test_uneven_sizes_and_heavy_tails_are_sound(n: int, m: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    heavy = check(sample(rng.standard_cauchy((n, 8))), sample(rng.standard_cauchy((m, 8))))
    clusters = check(sample(lumpy(n, rng)), sample(lumpy(m, rng)))
    assert (heavy.verdict, clusters.verdict) == ("quiet", "quiet"), heavy.summary + clusters.summary


@pytest.mark.parametrize("seed", range(8))
def test_one_hot_columns_of_rare_categories_are_sound(seed: int) -> None:
    rng = np.random.default_rng(seed)
    shares = np.array([0.5, 0.3, 0.1, 0.05, 0.02, 0.02, 0.005, 0.005])

    def table(n: int) -> Sample:
        return sample(np.eye(8)[rng.choice(8, n, p=shares)])

    finding = check(table(500), table(30))
    assert finding.verdict == "quiet", finding.summary
    assert finding.detail["identical_share"] > 0.5
    assert "too few are distinct to compare how they are spread" in finding.summary


@pytest.mark.parametrize("n", [1, 2, 3, 500])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_one_value_that_is_not_finite_is_an_alarm_at_any_size(n: int, bad: float) -> None:
    vectors = gaussian(n)
    vectors[n - 1, 3] = bad
    finding = check(sample(gaussian(100, seed=1)), sample(vectors))
    assert finding.verdict == "alarm"
    assert finding.record_ids == (f"r{n - 1}",)
    assert finding.detail["non_finite"] == 1
    assert "NaN" in finding.summary


@pytest.mark.parametrize("n", [1, 2, 3, 500])
def test_one_zero_row_is_an_alarm_at_any_size(n: int) -> None:
    vectors = gaussian(n)
    vectors[0] = 0
    finding = check(sample(gaussian(100, seed=1)), sample(vectors))
    assert finding.verdict == "alarm"
    assert finding.record_ids == ("r0",)
    assert finding.detail["zero_norm_share"] == pytest.approx(1 / n)


def test_zero_rows_can_be_allowed() -> None:
    vectors = gaussian(100)
    vectors[:4] = 0
    assert check(NOTHING, sample(vectors), health.Params(max_zero_share=0.05)).verdict == "quiet"
    assert check(NOTHING, sample(vectors), health.Params(max_zero_share=0.03)).verdict == "alarm"


@pytest.mark.parametrize("n", [1, 2, 3, 19])
def test_few_sound_rows_are_no_pass(n: int) -> None:
    finding = check(sample(gaussian(100)), sample(gaussian(n, seed=1)))
    assert finding.verdict == "cannot tell"
    assert "20 distinct contents" in finding.summary


def test_nothing_is_no_pass() -> None:
    finding = check(sample(gaussian(100)), sample(np.empty((0, 16))))
    assert finding.verdict == "cannot tell"
    assert (finding.statistic, finding.effect_size) == (None, None)


def test_one_vector_for_different_contents_is_an_alarm() -> None:
    vectors = gaussian(300)
    vectors[10:20] = vectors[0]
    finding = check(sample(gaussian(300, seed=1)), sample(vectors))
    assert finding.verdict == "alarm"
    assert finding.record_ids == tuple(f"r{row}" for row in range(10, 20))
    assert finding.detail["identical_share"] == pytest.approx(10 / 300)


def test_one_vector_for_equal_contents_is_right() -> None:
    vectors = gaussian(300)
    vectors[10:200] = vectors[0]
    contents = [f"c{row}" if not 10 <= row < 200 else "c0" for row in range(300)]
    finding = check(sample(gaussian(300, seed=1)), sample(vectors, contents=contents))
    assert finding.verdict == "quiet", finding.summary
    assert finding.detail["identical_share"] == 0


def test_two_contents_folded_into_one_are_no_alarm() -> None:
    vectors = gaussian(30)
    vectors[1:3] = vectors[0]
    assert check(sample(gaussian(300, seed=1)), sample(vectors)).verdict == "quiet"


def test_users_who_met_the_same_may_have_one_vector_but_not_most_of_them() -> None:
    vectors = gaussian(300)
    vectors[10:60:2] = vectors[11:60:2]
    assert check(NOTHING, sample(vectors)).verdict == "alarm"
    alike = replace(sample(vectors), alike=True)
    assert check(NOTHING, alike).verdict == "quiet"
    vectors[100:] = vectors[100]
    one = check(NOTHING, replace(sample(vectors), alike=True))
    assert (one.verdict, one.parts[0].name) == ("alarm", "identical")
    assert check(NOTHING, alike, health.Params(max_identical_share=0.05)).verdict == "alarm"


def test_a_first_run_is_not_said_to_lack_anything() -> None:
    finding = check(NOTHING, sample(gaussian(40)))
    assert (finding.verdict, finding.n_reference, finding.n_current) == ("quiet", 0, 40)
    assert finding.summary.startswith("the vectors of 40 contents are sound by themselves, and")


def test_a_zero_is_a_zero_whatever_its_sign() -> None:
    assert _spread.repeats(np.array([[0.0, 1.0], [-0.0, 1.0]], dtype=np.float32)).tolist() == [1]


def test_collapse_onto_a_line_is_an_alarm() -> None:
    line = gaussian(200, 1) * gaussian(1, seed=3) + 0.01 * gaussian(200, seed=4)
    finding = check(sample(gaussian(500, seed=1)), sample(line))
    assert finding.verdict == "alarm"
    assert "collapsed" in finding.summary
    assert finding.detail["effective_rank"] < 2
    assert finding.detail["effective_rank_reference"] > 10


def test_collapse_onto_a_point_is_an_alarm() -> None:
    point = unit(1, seed=9) + 1e-5 * unit(200)
    finding = check(sample(unit(200, seed=1)), sample(point))
    assert finding.verdict == "alarm"
    assert "nearly all vectors are equal" in finding.summary


def test_collapse_onto_a_point_shows_without_a_reference() -> None:
    point = unit(1, seed=9) + 3e-7 * unit(200)
    assert check(NOTHING, sample(point)).verdict == "alarm"
    assert check(NOTHING, sample(unit(200))).verdict == "quiet"


def test_a_narrow_feature_is_sound_if_its_reference_is_as_narrow() -> None:
    line = gaussian(400, 1) * gaussian(1, seed=3)
    assert check(sample(line[:200]), sample(line[200:])).verdict == "quiet"


def test_an_outlier_hides_no_collapse_and_makes_none() -> None:
    line = gaussian(200, 1) * gaussian(1, seed=3) + 0.01 * gaussian(200, seed=4)
    line[0] = 1e6 * gaussian(1, seed=8)
    healthy = gaussian(200, seed=5)
    healthy[0] *= 1e6
    reference = sample(gaussian(500, seed=1))
    assert check(reference, sample(line)).verdict == "alarm"
    assert check(reference, sample(healthy)).verdict == "quiet"


def test_dimensions_that_died_are_an_alarm() -> None:
    dying = gaussian(200)
    dying[:, :5] = 0.25
    finding = check(sample(gaussian(200, seed=1)), sample(dying))
    assert finding.verdict == "alarm"
    assert "5 of 16 dimensions stand still" in finding.summary
    always = gaussian(200, seed=1)
    always[:, :5] = 0.25
    assert check(sample(always), sample(dying)).verdict == "quiet"


def test_norms_that_doubled_are_an_alarm() -> None:
    finding = check(sample(gaussian(200)), sample(2 * gaussian(200, seed=1)))
    assert finding.verdict == "alarm"
    assert finding.detail["norm_ratio"] == pytest.approx(2, rel=0.1)


def test_lost_normalisation_is_an_alarm_sooner() -> None:
    assert check(sample(unit(200)), sample(1.02 * unit(200, seed=1))).verdict == "alarm"
    assert check(sample(unit(200)), sample(1.004 * unit(200, seed=1))).verdict == "quiet"
    assert check(sample(gaussian(200)), sample(1.02 * gaussian(200, seed=1))).verdict == "quiet"


def test_the_worst_rows_come_first_and_no_more_than_asked_for() -> None:
    vectors = gaussian(300)
    vectors[5] = 0
    vectors[100:130] = vectors[99]
    vectors[200, 0] = np.nan
    finding = check(NOTHING, sample(vectors), health.Params(max_ids=3))
    assert finding.record_ids == ("r200", "r5", "r100")
    assert finding.effect_size == pytest.approx(32 / 300)
    assert finding.statistic == 3


@pytest.mark.parametrize("dim", [1, 2, 5, 40])
def test_effective_rank_of_a_round_cloud_is_its_dimension(dim: int) -> None:
    rank = _spread.effective_rank(gaussian(4000, dim).astype(np.float32))
    assert rank == pytest.approx(dim, rel=0.02)


def test_effective_rank_is_the_same_from_either_gram_matrix() -> None:
    rows = gaussian(60, 24).astype(np.float32)
    wide = np.hstack([rows, np.zeros((60, 100), dtype=np.float32)])
    assert _spread.effective_rank(wide) == pytest.approx(_spread.effective_rank(rows), rel=1e-9)


def test_a_dead_dimension_is_named_by_chance_as_rarely_as_promised() -> None:
    rng = np.random.default_rng(2)
    named = 0
    for _ in range(300):
        pool = (rng.random((80, 50)) < rng.random(50) * 0.2).astype(np.float32)
        named += len(_spread.dead(pool[:50], pool[50:], 0.05)) > 0
    assert named <= 300 * 0.05


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"max_zero_share": 1.2}, "max_zero_share is a share"),
        ({"max_norm_ratio": 0.5}, "max_norm_ratio must be at least 1"),
        ({"min_rows": 1}, "min_rows must be at least 3"),
    ],
)
def test_parameters_out_of_range_are_refused(keys: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        health.Params(**keys)  # type: ignore[arg-type]  # int and float keys mixed in one table


def test_samples_of_two_widths_are_refused() -> None:
    with pytest.raises(ValueError, match="16 wide and current ones 4"):
        check(sample(gaussian(30)), sample(gaussian(30, 4)))
    with pytest.raises(ValueError, match=r"must be 2-D.*got shape \(4,\)"):
        check(sample(gaussian(30)), Sample(np.ones(4, dtype=np.float32), "abcd", "abcd"))


def test_every_check_is_told_with_its_figures() -> None:
    sound = check(sample(gaussian(300)), sample(gaussian(200, seed=1)))
    assert [p.name for p in sound.parts] == list(health.CHECKS)
    assert {p.verdict for p in sound.parts} == {"quiet"}
    assert {name for p in sound.parts for name in p.figures} == set(sound.detail)
    few = check(NOTHING, sample(gaussian(5)))
    assert {p.name for p in few.parts if p.verdict == "cannot tell"} == {
        "collapse",
        "dead",
        "norms",
    }
    rows = gaussian(200, seed=1)
    rows[7] = np.nan
    rows[:, :8] = 1.0
    ill = check(sample(gaussian(300)), sample(rows, "c"))
    alarms = {p.name: p for p in ill.parts if p.verdict == "alarm"}
    assert list(alarms) == ["finite", "dead"]
    assert alarms["finite"].record_ids == ("c7",)
    assert alarms["dead"].figures == {"dead_share": 0.5}
    assert ill.statistic == len(alarms)
