"""Drift: what is found and named, what is quiet, and what no look can tell."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from flows.monitors import drift
from tests.flows.monitors.drifting import CHEAP, binomial_interval, compare, copied
from tests.flows.monitors.samples import lumpy, sample

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flows.monitors.base import Sample


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("change", ["mean", "variance", "mix"])
def test_a_planted_change_is_found(change: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    reference, current = lumpy(300, rng), lumpy(200, rng)
    if change == "mean":
        current += 1.5
    elif change == "variance":
        reference, current = rng.standard_normal((300, 6)), 1.5 * rng.standard_normal((200, 6))
    else:
        kind = rng.random(200) < 0.7
        current[kind] = 3 + rng.standard_normal((int(kind.sum()), 6))
    finding = compare(reference, current, drift.Params())
    assert finding.verdict == "alarm", finding.summary
    assert finding.p_value is not None
    assert finding.p_value < 0.001
    assert finding.statistic is not None
    assert finding.threshold is not None
    assert finding.statistic > finding.threshold
    assert finding.effect_size == pytest.approx(math.sqrt(finding.detail["mmd2"]))


def test_a_sample_that_shrank_is_found_though_it_is_the_smaller_one() -> None:
    rng = np.random.default_rng(0)
    finding = compare(rng.standard_normal((1000, 8)), 0.6 * rng.standard_normal((60, 8)))
    assert finding.verdict == "alarm", finding.summary


def test_equal_samples_are_quiet() -> None:
    rows = lumpy(60, np.random.default_rng(0))
    finding = compare(rows, rows)
    assert finding.verdict == "quiet"
    assert finding.p_value == 1
    assert finding.effect_size == 0
    assert finding.record_ids == ()


def test_one_constant_on_both_sides_is_quiet() -> None:
    finding = compare(np.full((50, 3), 0.1), np.full((40, 3), 0.1))
    assert finding.verdict == "quiet"
    assert finding.p_value == 1
    assert "mean_shift" not in finding.detail


def test_two_constants_are_told_apart() -> None:
    finding = compare(np.full((50, 3), 0.1), np.full((40, 3), 0.2))
    assert finding.verdict == "alarm"
    assert finding.detail["bandwidth"] == pytest.approx(0.1 * math.sqrt(3), rel=1e-5)


def test_contents_by_the_hundred_with_one_vector_keep_the_level() -> None:
    alarms = 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        coins = (rng.random((80, 1)) < 0.1).astype(float)
        alarms += compare(coins[:50], coins[50:], seed=seed).verdict == "alarm"
    assert alarms <= binomial_interval(200, 0.05)[1]


def test_one_dimension_is_enough() -> None:
    rng = np.random.default_rng(0)
    reference = rng.exponential(size=(100, 1))
    assert compare(reference, rng.exponential(size=(100, 1))).verdict == "quiet"
    assert compare(reference, 1 + rng.exponential(size=(100, 1))).verdict == "alarm"


def test_the_seed_decides() -> None:
    rng = np.random.default_rng(0)
    reference, current = lumpy(100, rng), lumpy(100, rng)
    assert compare(reference, current) == compare(reference, current)
    assert compare(reference, current) != compare(reference, current, seed=2)


def test_rows_that_are_not_finite_are_left_out_and_counted() -> None:
    rng = np.random.default_rng(0)
    reference, current = lumpy(60, rng), lumpy(50, rng)
    reference[:3] = np.nan
    current[4, 0] = np.inf
    finding = compare(reference, current)
    assert (finding.n_reference, finding.n_current) == (57, 49)
    assert finding.detail["left_out_reference"] == 3
    assert finding.detail["left_out_current"] == 1


def test_the_repeats_of_a_content_are_left_out_and_counted() -> None:
    rng = np.random.default_rng(0)
    ours, theirs = lumpy(40, rng), lumpy(30, rng)
    reference, current = copied(ours, [3] * 40, "r"), copied(theirs, [2] * 30)
    finding = drift.compare(reference, current, rng, CHEAP)
    assert (finding.n_reference, finding.n_current) == (40, 30)
    assert finding.detail["repeats_reference"] == 80
    assert finding.detail["repeats_current"] == 30
    assert finding.summary.endswith("30 against 40 contents)")


def test_a_content_on_both_sides_is_tested_on_either() -> None:
    rng = np.random.default_rng(0)
    rows = lumpy(100, rng)
    finding = drift.compare(sample(rows), sample(rows), rng, CHEAP)
    assert finding.n_reference + finding.n_current == 100
    # binomial(100, 1/2) is in there 9,999 times of 10,000
    assert 30 <= finding.n_reference <= 70
    assert finding.detail["repeats_reference"] == finding.n_current
    assert finding.verdict == "quiet", finding.summary


def test_a_repeat_that_is_not_finite_does_not_stand_for_its_content() -> None:
    rng = np.random.default_rng(0)
    reference = copied(lumpy(40, rng), [2] * 40, "r")
    reference.vectors[::2] = np.nan
    finding = drift.compare(reference, sample(lumpy(40, rng), "c"), rng, CHEAP)
    assert finding.n_reference == 40
    assert (finding.detail["left_out_reference"], finding.detail["repeats_reference"]) == (40, 0)


def test_nothing_before_is_told_as_such() -> None:
    rows = lumpy(40, np.random.default_rng(0))
    finding = compare(rows[:0], rows)
    assert finding.verdict == "cannot tell"
    assert finding.summary == "nothing to compare with yet: this is the first run"


def test_a_batch_of_one_kind_of_known_contents_is_found() -> None:
    rng = np.random.default_rng(0)
    rows = lumpy(400, rng)
    names = [f"{row}" for row in range(400)]
    upper = np.flatnonzero(rows[:, 0] > 2)
    current = sample(rows[upper], "c", [names[row] for row in upper])
    finding = drift.compare(sample(rows, "r", names), current, rng, CHEAP)
    assert finding.verdict == "alarm", finding.summary


def test_large_samples_are_drawn_down() -> None:
    rng = np.random.default_rng(0)
    params = replace(CHEAP, max_rows=80)
    finding = compare(lumpy(500, rng), lumpy(70, rng), params)
    assert (finding.n_reference, finding.n_current) == (80, 70)


@pytest.mark.parametrize(("n", "m"), [(200, 19), (19, 200), (12, 12)])
def test_few_rows_are_no_pass_and_the_summary_says_what_would_show(n: int, m: int) -> None:
    rng = np.random.default_rng(0)
    finding = compare(rng.standard_normal((n, 6)), rng.standard_normal((m, 6)))
    assert finding.verdict == "cannot tell"
    visible = finding.detail["smallest_visible"]
    assert finding.summary == (
        f"{m} against {n} contents, and 20 a side are needed; a mean shift of {visible:.2g} "
        "standard deviations would show"
    )


def test_so_few_rows_that_nothing_can_be_sure() -> None:
    rng = np.random.default_rng(0)
    params = drift.Params(min_rows=2, alpha=0.05)
    finding = compare(rng.standard_normal((3, 2)), 1e3 + rng.standard_normal((3, 2)), params)
    assert finding.verdict == "cannot tell"
    assert finding.detail["least_p"] == pytest.approx(2 / math.comb(6, 3))
    assert "3 against 3 contents give no p-value below 0.1, and alpha is 0.05" in finding.summary
    assert "smallest_visible" not in finding.detail


def test_too_few_permutations_are_no_pass() -> None:
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((200, 2))
    finding = compare(
        rows[:100], 9 + rows[100:], drift.Params(permutations=98, most_permutations=98)
    )
    assert finding.verdict == "cannot tell"
    assert "raise permutations" in finding.summary
    assert compare(rows[:100], 9 + rows[100:], drift.Params(permutations=99)).verdict == "alarm"


def test_a_change_too_small_to_matter_is_quiet() -> None:
    rng = np.random.default_rng(0)
    reference, current = rng.standard_normal((900, 3)), 0.5 + rng.standard_normal((900, 3))
    found = compare(reference, current)
    assert found.verdict == "alarm"
    assert found.effect_size is not None
    params = replace(CHEAP, min_effect=2 * found.effect_size)
    assert compare(reference, current, params).verdict == "quiet"


def test_the_strangest_records_are_named_first() -> None:
    rng = np.random.default_rng(0)
    current = rng.standard_normal((100, 4))
    current[40:60] += 6
    finding = compare(rng.standard_normal((300, 4)), current)
    assert len(finding.record_ids) == 20
    assert set(finding.record_ids) == {f"c{row}" for row in range(40, 60)}


def test_what_each_test_saw_is_told_and_which_clusters_moved() -> None:
    rng = np.random.default_rng(0)
    centres = [5 * rng.integers(4, size=(n, 1)) for n in (300, 200)]
    centres[1][:60] = 15
    reference, current = (
        np.repeat(rows, 3, axis=1) + rng.standard_normal((len(rows), 3)) for rows in centres
    )
    finding = compare(reference, current)
    assert finding.verdict == "alarm"
    assert max(finding.detail[f"p_{name}"] for name in drift.TESTS) <= 0.05
    moved = [part for part in finding.parts if part.kind == "cluster"]
    grown = [part for part in moved if part.figures["residual"] > 0]
    assert grown
    for part in grown:
        rows = [int(name[1:]) for name in part.record_ids]
        assert current[rows].mean() == pytest.approx(15, abs=1)
    assert {part.verdict for part in moved} == {"alarm"}
    first = moved[0]
    shares = [100 * first.figures[f"share_{side}"] for side in ("reference", "current")]
    assert finding.summary == (
        f"the distribution moved: {first.name} {shares[0]:.2g} % → {shares[1]:.2g} % "
        "(p = 0.005, 200 against 300 contents)"
    )


def test_an_alarm_says_first_which_cluster_value_and_word_moved_most() -> None:
    rng = np.random.default_rng(0)
    topics = [("football league", "Sports"), ("bank shares", "Business"), ("moon rocket", "World")]

    def drawn(n: int, shares: Sequence[float], name: str) -> Sample:
        which = rng.choice(3, n, p=shares).tolist()
        vectors = 9 * np.eye(3)[which] + rng.standard_normal((n, 3))
        title = [f"today the {topics[at][0]} told us of {rng.integers(9)} things" for at in which]
        label = [topics[at][1] for at in which]
        return replace(sample(vectors, name), kept={"title": title, "label": label})

    pair = drawn(300, [0.2, 0.4, 0.4], "r"), drawn(200, [0.6, 0.2, 0.2], "c")
    finding = drift.compare(*pair, rng, replace(CHEAP, cells=3))
    before, now = (f"{100 * side.kept['label'].count('Sports') / len(side):.0f} %" for side in pair)
    cluster = next(part for part in finding.parts if part.kind == "cluster")
    assert cluster.name.endswith(" 'football, league'")
    assert finding.summary == (
        f"the distribution moved: {cluster.name} {before} → {now}, label Sports {before} → {now}, "
        f"the word football {before} → {now} (p = 0.005, 200 against 300 contents)"
    )


def test_words_that_others_have_as_often_or_two_records_alone_name_no_cluster() -> None:
    rng = np.random.default_rng(0)
    far = np.array([9.0] * 60 + [0.0] * 40)
    vectors = far[:, None] + rng.standard_normal((100, 2))
    title = [f"the same {word} of all of us" for word in rng.choice(["plums", "pears"], 100)]
    title[:2] = ["a secret told to us", "a secret kept from us"]
    current = replace(sample(vectors, "c"), kept={"title": title})
    reference = sample(rng.standard_normal((150, 2)), "r")
    reference = replace(reference, kept={"title": ["the same pears and plums of us"] * 150})
    finding = drift.compare(reference, current, rng, replace(CHEAP, cells=2))
    assert finding.verdict == "alarm"
    named = {part.name for part in finding.parts if part.kind == "cluster"}
    assert named == {"cluster 1", "cluster 2"}


def test_a_change_that_one_test_alone_sees_is_an_alarm() -> None:
    rng = np.random.default_rng(3)
    # a mean and a spread as before, and another shape along one direction of ten
    reference, current = (rng.standard_normal((600, 10)) for _ in range(2))
    reference[:, 0] *= 2
    current[:, 0] = 2 * np.sign(current[:, 0])
    finding = compare(reference, current, drift.Params())
    assert finding.verdict == "alarm"
    assert finding.detail["p_pca_ks"] <= 0.01


def test_the_mean_shift_is_that_planted() -> None:
    rng = np.random.default_rng(0)
    reference, current = 3 * rng.standard_normal((2000, 16)), 3 * rng.standard_normal((2000, 16))
    current[:, 0] += 0.5 * 3 * math.sqrt(16)
    finding = compare(reference, current)
    assert finding.detail["mean_shift"] == pytest.approx(0.5, rel=0.1)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"alpha": 0}, "alpha must lie between 0 and 1, got 0"),
        ({"features": 33}, "features must be even and at least 2, got 33"),
        ({"permutations": 0}, "permutations must be at least 1, got 0"),
        ({"min_rows": 1}, "min_rows must be at least 2, got 1"),
        ({"max_rows": 10}, r"max_rows \(10\) must not be below min_rows \(20\)"),
    ],
)
def test_parameters_out_of_range_are_refused(keys: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        drift.Params(**keys)


def test_samples_of_two_widths_are_refused() -> None:
    with pytest.raises(ValueError, match="3 wide and current ones 4"):
        compare(np.zeros((30, 3)), np.zeros((30, 4)))
