"""Labels that the neighbours contradict."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from flows.monitors import labels
from tests.flows.monitors.samples import sample

if TYPE_CHECKING:
    from flows.monitors.base import Finding, Sample

NAMES = np.array(["Business", "Sports", "World"])


def drawn(n: int, rng: np.random.Generator, name: str, apart: float = 3.0) -> Sample:
    """Three clusters, which overlap at the edges, and their names."""
    which = rng.choice(3, n, p=[0.5, 0.3, 0.2])
    vectors = rng.standard_normal((n, 5))
    vectors[:, :3] += apart * np.eye(3)[which]
    return replace(sample(vectors, name), kept={"label": NAMES[which].tolist()})


def relabelled(one: Sample, rows: list[int]) -> Sample:
    given: list[Any] = list(one.kept["label"])
    for row in rows:
        given[row] = "Sports" if given[row] != "Sports" else "World"
    return replace(one, kept={"label": given})


def compare(reference: Sample, current: Sample, seed: int = 0, **keys: Any) -> Finding:  # noqa: ANN401 - as of Params
    rng = np.random.default_rng(seed)
    return labels.compare(reference, current, rng, labels.Params(**keys))


def test_without_wrong_labels_an_alarm_is_as_rare_as_alpha() -> None:
    from scipy.stats import binom

    alarms = 0
    for seed in range(300):
        rng = np.random.default_rng(seed)
        ours, theirs = drawn(900, rng, "r", 1.5), drawn(20, rng, "c", 1.5)
        alarms += compare(ours, theirs, seed, alpha=0.2).verdict == "alarm"
    assert 0 < alarms <= binom.ppf(0.999, 300, 0.2)


def test_wrong_labels_are_named_with_what_the_neighbours_say() -> None:
    rng = np.random.default_rng(1)
    reference, current = drawn(3000, rng, "r", 7.0), drawn(80, rng, "c", 7.0)
    wrong = [3, 20, 41, 55, 70, 71]
    finding = compare(reference, relabelled(current, wrong))
    assert finding.verdict == "alarm"
    assert {f"c{row}" for row in wrong} <= set(finding.record_ids)
    assert len(finding.record_ids) <= 8
    part = next(p for p in finding.parts if p.record_ids == ("c3",))
    said, truth = relabelled(current, wrong).kept["label"][3], current.kept["label"][3]
    assert f"labelled {said}; of its 10 nearest 10 are not, 10 say {truth}" in part.summary
    assert compare(reference, current).verdict == "quiet"


def test_labels_that_are_new_or_missing_are_not_tested_but_counted() -> None:
    rng = np.random.default_rng(2)
    reference, current = drawn(400, rng, "r"), drawn(60, rng, "c")
    given: list[Any] = list(current.kept["label"])
    given[0], given[1:3] = None, ["Weather", "Weather"]
    finding = compare(reference, replace(current, kept={"label": given}))
    assert finding.n_current == 57
    assert finding.detail["unlabelled_current"] == 1
    assert finding.detail["untested_current"] == 2
    alone = replace(current, kept={"label": ["Weather"] * 60})
    finding = compare(reference, alone)
    assert finding.verdict == "cannot tell"
    assert "none of 60 current contents has a label of which the reference has 20" in (
        finding.summary
    )


def test_labels_may_be_numbers_and_truth_values() -> None:
    rng = np.random.default_rng(3)
    ours, theirs = (
        replace(one, kept={"kind": [value == "World" for value in one.kept["label"]]})
        for one in (drawn(300, rng, "r"), drawn(40, rng, "c"))
    )
    assert compare(ours, theirs, column="kind").n_current == 40


def test_a_column_that_is_not_kept_is_told_of() -> None:
    rng = np.random.default_rng(0)
    finding = compare(drawn(50, rng, "r"), drawn(20, rng, "c"), column="topic")
    assert finding.verdict == "cannot tell"
    assert "no kept column 'topic'; the kept columns are: 'label'" in finding.summary
    finding = compare(sample(np.ones((50, 2))), sample(np.ones((20, 2)), "c"))
    assert "the kept columns are: none" in finding.summary
    first = drawn(20, rng, "c")
    empty = replace(first, vectors=first.vectors[:0], record_ids=[], content_hashes=[],
                    kept={"label": []})  # fmt: skip
    assert compare(empty, first).summary == "nothing to compare with yet: this is the first run"


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"alpha": 0.0}, "alpha must lie between 0 and 1"),
        ({"neighbours": 0}, "neighbours must be at least 1, got 0"),
    ],
)
def test_params_are_checked(keys: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        labels.Params(**keys)
