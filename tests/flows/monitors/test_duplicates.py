"""Near-duplicates: pairs that come nearer than the reference's records do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from flows.monitors import duplicates
from tests.flows.monitors.samples import lumpy, sample

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from flows.monitors.base import Finding


def compare(
    reference: ArrayLike,
    current: ArrayLike,
    seed: int = 0,
    **keys: Any,  # noqa: ANN401 - as of Params
) -> Finding:
    rng = np.random.default_rng(seed)
    params = duplicates.Params(**keys)
    return duplicates.compare(sample(reference, "r"), sample(current, "c"), rng, params)


def most(runs: int, rate: float) -> int:
    """What is exceeded once in 1,000 times if the rate is that."""
    from scipy.stats import binom

    return int(binom.ppf(0.999, runs, rate))


@pytest.mark.parametrize(("n", "m"), [(600, 60), (300, 30), (450, 150)])
def test_without_near_duplicates_an_alarm_is_as_rare_as_alpha(n: int, m: int) -> None:
    alarms = 0
    for seed in range(300):
        rng = np.random.default_rng(seed)
        finding = compare(lumpy(n, rng, 3), lumpy(m, rng, 3), seed, alpha=0.2)
        alarms += finding.verdict == "alarm"
    assert alarms <= most(300, 0.2)


def test_twins_are_named_within_the_run_and_with_the_reference() -> None:
    rng = np.random.default_rng(3)
    reference, current = rng.standard_normal((3000, 8)), rng.standard_normal((50, 8))
    current[4] = current[30] + 1e-4
    found = [compare(reference, current, seed) for seed in range(6)]
    assert all(f.verdict == "alarm" and set(f.record_ids[:2]) == {"c4", "c30"} for f in found)
    part, *others = found[0].parts
    assert not any({"c4", "c30"} & set(other.record_ids) for other in others)
    assert part.name in {"'c4' and 'c30'", "'c30' and 'c4'"}, "a pair is named once"
    assert part.figures["distance"] == pytest.approx(1e-4 * np.sqrt(8), rel=1e-3)
    assert part.figures["usual"] > 0.5
    assert "of the same run" in part.summary
    current = rng.standard_normal((50, 8))
    current[:10] = reference[2000:2010] + 1e-4
    found = [compare(reference, current, seed) for seed in range(6)]
    # A third of the reference is held back to rank among, and no twin is looked for there.
    assert all(f.verdict == "alarm" for f in found)
    named = {one for f in found for one in f.record_ids}
    assert named >= {f"c{row}" for row in range(10)}
    assert len(named) <= 14
    assert "of the reference" in found[0].parts[0].summary


def test_far_from_the_origin_small_distances_are_still_told_apart() -> None:
    rng = np.random.default_rng(1)
    reference, current = (1e4 + rng.standard_normal((n, 6)) for n in (2000, 40))
    finding = compare(reference, current)
    assert finding.verdict == "quiet", finding.summary
    current[1] = current[0] + 0.01
    assert set(compare(reference, current).record_ids) == {"c0", "c1"}


def test_copies_of_one_content_are_no_near_duplicates() -> None:
    rng = np.random.default_rng(0)
    current = rng.standard_normal((40, 4))
    current[:5] = current[0]
    contents = ["one"] * 5 + [f"{row}" for row in range(35)]
    ours, theirs = sample(rng.standard_normal((3000, 4))), sample(current, "c", contents)
    finding = duplicates.compare(ours, theirs, rng, duplicates.Params())
    assert finding.verdict == "quiet"
    assert finding.detail["repeats_current"] == 4
    other = duplicates.compare(ours, sample(current, "c"), rng, duplicates.Params())
    assert set(other.record_ids) == {f"c{row}" for row in range(5)}, "other contents, one vector"


def test_too_few_are_told_of() -> None:
    rng = np.random.default_rng(0)
    finding = compare(rng.standard_normal((39, 4)), rng.standard_normal((10, 4)))
    assert "40 of the reference are needed" in finding.summary
    finding = compare(rng.standard_normal((60, 4)), rng.standard_normal((10, 4)), alpha=0.01)
    assert finding.verdict == "cannot tell"
    assert "48 would have to come together" in finding.summary or "raise alpha" in finding.summary


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"alpha": 1.0}, "alpha must lie between 0 and 1"),
        ({"min_rows": 1}, "min_rows must be at least 2"),
        ({"max_rows": 39}, "max_rows must be at least 40, twice min_rows, got 39"),
    ],
)
def test_params_are_checked(keys: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        duplicates.Params(**keys)
