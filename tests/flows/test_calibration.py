"""The null rate measured on rows at hand: what splits are, and what is told of the share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from flows.calibrating import calibrate
from flows.calibration import interval, null_rates
from flows.monitoring import MonitorError
from flows.monitors import drift, health
from flows.monitors.base import Sample
from flows.progress import Silent
from flows.settings import Monitor

if TYPE_CHECKING:
    from tests.flows.project import Project

QUICK = Monitor("quick", "drift", drift.Params(alpha=0.1, permutations=99, features=16))
HEALTH = Monitor("health", "health", health.Params())


def rows(n: int, copies: int = 1, seed: int = 0) -> Sample:
    """Rows of which so many lie at one point, near enough, though each is a content of its own."""
    rng = np.random.default_rng(seed)
    points = np.repeat(rng.standard_normal((n // copies, 4)), copies, axis=0)
    vectors = (points + 0.05 * rng.standard_normal(points.shape)).astype(np.float32)
    ids = [f"r{row // copies}#{row % copies}" for row in range(n)]
    return Sample(vectors, ids, ids, {"size": list(range(n))})


def test_splits_of_one_sample_raise_alarms_as_promised() -> None:
    done: list[int] = []
    drawn = np.random.default_rng(0)
    quick, plain = null_rates([QUICK, HEALTH], rows(90), 30, 120, drawn, done=done.append)
    assert sum(done) == quick.looks == 120
    assert quick.share == quick.flagged / 120
    assert (quick.inside, quick.told, quick.alpha) == (True, "as promised", 0.1)
    assert quick.low is not None
    assert quick.high is not None
    assert quick.low < 0.1 < quick.high
    assert (plain.looks, plain.share, plain.inside) == (0, None, None)
    assert plain.told.startswith("gives no p-value")


def test_rows_that_come_together_are_told_by_the_rate() -> None:
    sample = rows(160, copies=8)
    records = [record_id.split("#")[0] for record_id in sample.record_ids]
    (together,) = null_rates([QUICK], sample, 80, 60, np.random.default_rng(0), records=records)
    assert (together.inside, together.told) == (False, "more than promised")
    (apart,) = null_rates([QUICK], sample, 80, 60, np.random.default_rng(0))
    assert apart.told != "more than promised"


def test_the_interval_is_that_of_clopper_and_pearson() -> None:
    assert interval(0, 200) == pytest.approx((0.0, 1 - 0.005 ** (1 / 200)))
    low, high = interval(5, 50)
    assert low < 0.1 < high


def test_a_feature_is_calibrated_on_its_reference(project: Project) -> None:
    project.source = {"content": ["size", "weight"], "keep": []}
    project.encoder = {"kind": "tabular"}
    project.feature = {"monitors": ["drift", "health"]}
    project.more = "[monitors.drift]\npermutations = 99\nfeatures = 16\nalpha = 0.1\n"
    drawn = np.random.default_rng(0).random((120, 2)).tolist()
    for stop in (80, 120):
        cells = [(n, *pair) for n, pair in enumerate(drawn[:stop])]
        project.write(cells, ("id", "size", "weight"))
        project.run()
        first, _ = calibrate(project.settings(), "notes", 40, Silent())
        assert (first.monitor, first.looks, first.inside) == ("drift", 40, True)
    again, _ = calibrate(project.settings(), "notes", 40, Silent())
    assert again == first, "seeded by the run"
    assert project.stores().catalog.query("FROM findings").num_rows == 0
    with pytest.raises(MonitorError, match="--calibrate takes 1 to 100,000 splits, got 0"):
        calibrate(project.settings(), "notes", 0, Silent())
