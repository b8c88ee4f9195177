"""The null rate measured on rows at hand: what splits are, and what is told of the share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from flows.config.settings import Monitor
from flows.monitoring.calibrating import calibrate
from flows.monitoring.calibration import _rate, enough, interval, null_rates
from flows.monitoring.looking import MonitorError
from flows.monitors import drift, health
from flows.monitors.base import Sample
from flows.output.progress import Silent
from tests.flows.shop import Heard

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


@pytest.mark.parametrize(
    ("flagged", "looks", "inside", "told"),
    [
        (
            0,
            50,
            None,
            "too few to tell: a true rate of up to 10.1% goes with this; give at least 200",
        ),
        (2, 200, True, "as promised"),
        (0, 3000, False, "fewer than promised, so it sees less than it might"),
        (9, 50, False, "more than promised"),
        (
            5,
            200,
            None,
            "too few to tell: a true rate of up to 6.9% goes with this; more splits would",
        ),
    ],
)
def test_what_so_many_splits_can_tell(
    flagged: int,
    looks: int,
    inside: bool | None,  # noqa: FBT001 - the answer that is expected
    told: str,
) -> None:
    plugin = Monitor("drift", "drift", drift.Params(alpha=0.01))
    found = _rate(plugin, [0.001] * flagged + [0.5] * (looks - flagged))
    assert found.inside is inside
    assert found.told.startswith(told)
    assert found.row()["flagged"] == flagged


def test_the_splits_that_are_enough_follow_from_the_interval() -> None:
    for alpha in (0.001, 0.01, 0.05, 0.3):
        least = enough(alpha)
        assert interval(round(alpha * least), least)[1] <= 5 * alpha
        assert interval(1, 1 + int(0.5 / alpha))[1] > 5 * alpha or least < 20
    assert enough(0.01) == 200


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
        heard = Heard()
        first, plain = calibrate(project.settings(), "notes", 40, heard)
        assert (first.monitor, first.looks, first.inside) == ("drift", 40, True)
        assert first.told.startswith("as promised; optimistic: the encoder learned from these rows")
        assert plain.told.startswith("gives no p-value")
        assert not [note for note in heard.notes if "too few" in note]
        assert [note for note in heard.notes if "notes: 40 splits; the rest will take " in note]
    again, _ = calibrate(project.settings(), "notes", 40, Silent())
    assert again == first, "seeded by the run"
    assert project.stores().catalog.query("FROM findings").num_rows == 0
    cells += [(n, *pair) for n, pair in enumerate(drawn * 2, 120)]
    project.write(cells, ("id", "size", "weight"))
    project.run()
    drawn = np.random.default_rng(1).random((20, 2)).tolist()
    project.write([*cells, *((n, *pair) for n, pair in enumerate(drawn, 360))],
                  ("id", "size", "weight"))  # fmt: skip
    project.run()
    heard = Heard()
    later, _ = calibrate(project.settings(), "notes", 15, heard)
    assert "optimistic" not in later.told, "the reference is what runs wrote since the fit"
    assert any("15 splits are too few to see a promise kept; at least 20" in n for n in heard.notes)
    with pytest.raises(MonitorError, match="--calibrate takes 1 to 100,000 splits, got 0"):
        calibrate(project.settings(), "notes", 0, Silent())
