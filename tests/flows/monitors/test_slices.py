from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from flows.monitors import _cutting, _multiple, slices
from tests.flows.monitors.samples import keeping, lumpy, sample

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from flows.monitors.base import Finding, Part, Sample

CHEAP: dict[str, Any] = {"permutations": 199, "most_permutations": 1999, "features": 64}


def check(
    reference: Sample,
    current: Sample,
    *,
    seed: int = 0,
    **params: Any,  # noqa: ANN401 - of any kind
) -> Finding:
    given = slices.Params(**CHEAP | params)
    return slices.compare(reference, current, np.random.default_rng(seed), given)


def kept(vectors: NDArray[np.float64], name: str = "r", **columns: Sequence[object]) -> Sample:
    return replace(sample(vectors, name), kept=columns)


def labels(n: int, rng: np.random.Generator) -> list[str]:
    drawn: list[str] = rng.choice(["Business", "Sports", "World"], n).tolist()
    return drawn


def parts(finding: Finding) -> dict[str, Part]:
    return {part.name: part for part in finding.parts}


def test_a_change_within_one_slice_is_found_and_named() -> None:
    rng = np.random.default_rng(0)
    ours, theirs = labels(240, rng), labels(150, rng)
    vectors = rng.standard_normal((150, 4))
    moved = [row for row, label in enumerate(theirs) if label == "Sports"]
    vectors[moved] += 1.5
    finding = check(
        kept(rng.standard_normal((240, 4)), label=ours), kept(vectors, "c", label=theirs)
    )
    assert finding.verdict == "alarm", finding.summary
    assert finding.statistic == 1
    said = "1 of 3 slices changed, most label Sports, whose contents are others (MMD "
    assert finding.summary.startswith(said)
    assert finding.summary.endswith("(adjusted p = 0.0073, 150 against 240 contents)")
    assert set(finding.record_ids) <= {f"c{row}" for row in moved}
    found = parts(finding)
    assert finding.parts[0] is found["label = Sports"]
    assert [part.verdict for part in finding.parts] == ["alarm", "quiet", "quiet"]
    assert found["label = Sports"].figures["mmd"] > found["label = World"].figures["mmd"]
    assert found["label = Sports"].figures["q_inside"] == finding.p_value
    assert found["label = Sports"].record_ids
    assert not found["label = World"].record_ids
    assert finding.effect_size == pytest.approx(len(moved) / 150)


def test_a_slice_that_grows_is_found_though_its_contents_are_as_before() -> None:
    rng = np.random.default_rng(0)
    ours, theirs = labels(200, rng), labels(100, rng)
    theirs[:40] = ["World"] * 40
    finding = check(
        kept(rng.standard_normal((200, 4)), label=ours),
        kept(rng.standard_normal((100, 4)), "c", label=theirs),
    )
    world = parts(finding)["label = World"]
    assert (finding.verdict, world.verdict) == ("alarm", "alarm"), finding.summary
    assert world.figures["q_share"] <= 0.05 < world.figures["q_inside"]
    assert world.figures["share_current"] == pytest.approx(theirs.count("World") / 100)
    assert set(world.record_ids) <= {f"c{r}" for r, label in enumerate(theirs) if label == "World"}


def test_values_that_are_new_and_those_that_vanished_are_named() -> None:
    rng = np.random.default_rng(0)
    finding = check(
        kept(rng.standard_normal((80, 3)), label=["a"] * 60 + ["gone"] * 20),
        kept(rng.standard_normal((60, 3)), "c", label=["a"] * 45 + ["fresh"] * 13 + ["x", "y"]),
    )
    assert "new: label = fresh (13 contents)" in finding.summary
    assert "vanished: label = gone (20 contents)" in finding.summary
    assert (finding.detail["new_values"], finding.detail["vanished_values"]) == (1, 1)
    found = parts(finding)
    assert found["label = fresh"].verdict == "alarm"
    assert found["label = gone"].record_ids == ()
    # x and y stand in one record each, and would name it
    assert found["label is a rare value"].figures["n_current"] == 2
    assert not any(" x" in part.name for part in finding.parts)


def test_a_slice_with_too_few_contents_says_so() -> None:
    rng = np.random.default_rng(0)
    finding = check(
        kept(rng.standard_normal((100, 3)), label=["a"] * 90 + ["b"] * 10),
        kept(rng.standard_normal((50, 3)), "c", label=["a"] * 45 + ["b"] * 5),
    )
    found = parts(finding)["label = b"]
    assert (finding.verdict, found.verdict) == ("quiet", "cannot tell")
    assert "10 contents a side are needed to look into it" in found.summary
    assert finding.detail["slices"] - finding.detail["slices_looked_into"] == 1
    assert "mmd" not in found.figures
    small = check(
        kept(rng.standard_normal((30, 3)), label=list("abcd") * 7 + ["a", "b"]),
        kept(rng.standard_normal((30, 3)), "c", label=list("abcd") * 7 + ["a", "b"]),
    )
    assert small.verdict == "cannot tell"
    assert "no slice has 10 contents a side" in small.summary


def test_without_columns_nothing_can_be_told() -> None:
    rng = np.random.default_rng(0)
    bare = sample(rng.standard_normal((50, 3))), sample(rng.standard_normal((50, 3)), "c")
    assert check(*bare).verdict == "cannot tell"
    assert "no kept columns to slice by; name some as keep" in check(*bare).summary
    first = check(sample(np.empty((0, 3))), bare[1])
    assert first.summary == "nothing to compare with yet: this is the first run"
    lumps = [sample(lumpy(50, rng, 3), name) for name in "rc"]
    asked = check(*(keeping(side, rng) for side in lumps), columns=("labl", "label"))
    assert "labl" in parts(asked)
    assert "'label', 'size', 'title'" in parts(asked)["labl"].summary
    texts = check(*(keeping(side, rng) for side in bare), columns=("title",))
    assert texts.verdict == "cannot tell"
    assert "title: it has 84 different values and is not of numbers" in texts.summary


def test_too_few_permutations_are_no_pass() -> None:
    rng = np.random.default_rng(0)
    pair = [keeping(sample(lumpy(100, rng), name), rng) for name in "rc"]
    finding = check(*pair, permutations=99, most_permutations=0)
    assert finding.verdict == "cannot tell"
    assert "raise most_permutations or name fewer columns" in finding.summary


def test_the_largest_slices_are_taken_and_the_others_counted() -> None:
    rng = np.random.default_rng(0)
    column = ["a"] * 50 + ["b"] * 30 + ["c"] * 20
    pair = [kept(lumpy(100, rng), name, label=column) for name in "rc"]
    finding = check(*pair, max_slices=2)
    assert set(parts(finding)) == {"label = a", "label = b"}
    assert finding.detail["slices_left_out"] == 1


@pytest.mark.parametrize("uneven", [False, True])
def test_without_a_change_alarms_are_as_rare_as_promised(uneven: bool) -> None:  # noqa: FBT001
    from scipy.stats import binom

    alarms = 0
    for seed in range(120):
        rng = np.random.default_rng(seed)
        sizes = (90, 40) if uneven else (60, 60)
        pair = [keeping(sample(lumpy(n, rng, ties=True), f"{n}"), rng) for n in sizes]
        finding = check(*pair, seed=seed, alpha=0.2)
        alarms += finding.verdict == "alarm"
        assert finding.p_value is not None
        assert (finding.verdict == "alarm") == (finding.p_value <= 0.2)
    assert alarms <= binom.ppf(0.999, 120, 0.2)


def test_false_discoveries_beside_true_ones_are_as_rare_as_promised() -> None:
    false = []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        columns = [rng.choice(list("abcdef"), 240).tolist() for _ in range(2)]
        pair = []
        for name, column in zip("rc", columns, strict=True):
            vectors = rng.standard_normal((240, 3))
            vectors[[name == "c" and value == "a" for value in column]] += 2
            pair.append(kept(vectors, name, label=column))
        finding = check(*pair, seed=seed, alpha=0.2)
        changed = {part.name for part in finding.parts if part.verdict == "alarm"}
        assert "label = a" in changed
        false.append(len(changed - {"label = a"}) / len(changed))
    assert np.mean(false) <= 0.2


def test_later_times_are_no_news_unless_asked_for() -> None:
    rng = np.random.default_rng(0)
    start = datetime(2026, 1, 1, tzinfo=UTC)
    days = [start + timedelta(hours=hour) for hour in range(200)]
    pair = [
        kept(rng.standard_normal((100, 3)), name, at=days[first : first + 100])
        for name, first in (("r", 0), ("c", 100))
    ]
    assert check(*pair).verdict == "cannot tell"
    asked = check(*pair, columns=("at",))
    assert asked.verdict == "alarm"
    assert parts(asked)["at >= 2026-01-07 06:00:00+00:00"].figures["share_current"] == 0.5


def test_repeats_of_a_content_count_once() -> None:
    rng = np.random.default_rng(0)
    vectors = np.repeat(rng.standard_normal((30, 3)), 4, axis=0)
    names = [f"{row // 4}" for row in range(120)]
    current = replace(sample(vectors, "c", names), kept={"label": ["a", "b"] * 60})
    finding = check(kept(rng.standard_normal((60, 3)), label=["a", "b"] * 30), current)
    assert finding.n_current == 30
    assert finding.detail["repeats_current"] == 90
    current.vectors[:4] = np.nan
    finding = check(kept(rng.standard_normal((60, 3)), label=["a", "b"] * 30), current)
    assert (finding.n_current, finding.detail["left_out_current"]) == (29, 4)


@pytest.mark.parametrize(
    ("values", "names"),
    [
        (["a", "b", None] * 4, ["v = a", "v = b", "v is missing"]),
        ([1, 2, float("nan")] * 4, ["v = 1", "v = 2", "v is missing"]),
        ([True, False] * 4, ["v = False", "v = True"]),
        (list(range(100)), ["v < 25", "25 <= v < 50", "50 <= v < 75", "v >= 75"]),
        ([x / 8 for x in range(8)] * 3 + [None],
         ["v < 0.25", "0.25 <= v < 0.5", "0.5 <= v < 0.75", "v >= 0.75", "v is missing"]),
        ([Decimal(x) for x in range(20)], ["v < 5", "5 <= v < 10", "10 <= v < 15", "v >= 15"]),
        ([0] * 90 + list(range(1, 11)), ["v < 1", "v >= 1"]),
        ([date(2026, 1, 1) + timedelta(days) for days in range(12)],
         ["v < 2026-01-04", "2026-01-04 <= v < 2026-01-07", "2026-01-07 <= v < 2026-01-10",
          "v >= 2026-01-10"]),
        (["a" * 80, "b\n c"] * 3, [f"v = {'a' * 59}…", "v = b c"]),
        (["", "x"] * 3, ["v = (empty)", "v = x"]),
    ],
)  # fmt: skip
def test_columns_are_cut(values: list[object], names: list[str]) -> None:
    column = _cutting.cut("v", values, 5)
    found = {one.name: one.rows for one in column.slices}
    assert sorted(found) == sorted(names)
    together = np.concatenate([one.rows for one in column.slices])
    assert sorted(together.tolist()) == list(range(len(values)))


@pytest.mark.parametrize(
    ("values", "why"),
    [
        (["a"] * 9, "all its values are alike"),
        ([None] * 9, "all its values are alike"),
        (list("abcdefg"), "7 different values and is not of numbers"),
        ([1, "b", 3, 4, 5, 6, 7], "7 different values and is not of numbers"),
    ],
)
def test_columns_that_cannot_be_cut_say_why(values: list[object], why: str) -> None:
    column = _cutting.cut("v", values, 5)
    assert (column.slices, why in column.why) == ((), True)


def test_adjusted_p_values_are_scipys() -> None:
    from scipy.stats import false_discovery_control

    p_values = np.random.default_rng(0).random(40) ** 3
    expected = false_discovery_control(p_values, method="by")
    assert _multiple.benjamini_yekutieli(p_values) == pytest.approx(expected)
    assert len(_multiple.benjamini_yekutieli(np.empty(0))) == 0


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"features": 3}, "features must be even"),
        ({"max_slices": 0}, "max_slices must be at least 1"),
        ({"alpha": 0.0}, "alpha must lie between 0 and 1"),
    ],
)
def test_parameters_out_of_range_are_refused(keys: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        slices.Params(**keys)  # type: ignore[arg-type]  # int and float keys mixed in one table
