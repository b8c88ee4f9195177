"""Monitors over a feature: what the last run wrote against what stood before."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from flows.monitoring import MonitorError, monitor
from flows.progress import Silent

if TYPE_CHECKING:
    from tests.flows.project import Project

NUMBERS = ("id", "size", "weight")


def measured(first: int, stop: int, shift: float = 0.0) -> list[tuple[object, ...]]:
    rng = np.random.default_rng(first + 1)
    drawn = rng.normal((5 + shift, shift), (1, 2), (stop - first, 2))
    return [(n, *pair) for n, pair in zip(range(first, stop), drawn, strict=True)]


@pytest.fixture
def numbers(project: Project) -> Project:
    project.source = {"content": ["size", "weight"], "keep": []}
    project.encoder = {"kind": "tabular"}
    project.feature = {"monitors": ["drift", "health"]}
    return project


def test_there_must_be_something_to_monitor(project: Project) -> None:
    project.write([])
    with pytest.raises(MonitorError, match="no live version yet; run `vecmill run notes`"):
        monitor(project.settings(), "notes", Silent())
    project.run()
    with pytest.raises(MonitorError, match="notes_v1 has no rows yet"):
        monitor(project.settings(), "notes", Silent())


def test_a_first_run_cannot_be_compared(numbers: Project) -> None:
    numbers.write(measured(0, 100), NUMBERS)
    numbers.run()
    findings = {f.monitor: f for f in monitor(numbers.settings(), "notes", Silent())}
    assert findings["drift"].verdict == "cannot tell"
    assert findings["drift"].reference_run is None
    assert (findings["drift"].n_reference, findings["health"].n_current) == (0, 100)


@pytest.mark.parametrize("shift", [0.0, 3.0])
def test_a_shift_is_found_and_kept(numbers: Project, shift: float) -> None:
    rows = measured(0, 300)
    numbers.write(rows, NUMBERS)
    first = numbers.run()
    rows += measured(300, 500, shift)
    numbers.write(rows, NUMBERS)
    second = numbers.run()
    numbers.run()  # writes nothing, so the run before stays the one to look at
    findings = monitor(numbers.settings(), "notes", Silent())
    assert monitor(numbers.settings(), "notes", Silent()) == findings, "not to be had again"
    drift = next(f for f in findings if f.monitor == "drift")
    assert drift.verdict == ("alarm" if shift else "quiet"), drift.summary
    assert (drift.n_reference, drift.n_current, drift.reference_run) == (300, 200, first.run)
    sql = "SELECT run_id, verdict, p_value, n_current FROM findings WHERE monitor = 'drift'"
    kept = numbers.stores().catalog.query(sql).to_pylist()
    row = {"run_id": second.run, "verdict": drift.verdict, "p_value": drift.p_value}
    assert kept == [row | {"n_current": 200}] * 2


@pytest.mark.parametrize("reference", ["previous", "first"])
def test_the_reference_is_the_one_configured(numbers: Project, reference: str) -> None:
    numbers.feature = {"reference": reference, "monitors": ["health"]}
    runs = []
    for stop in (50, 80, 100):
        numbers.write(measured(0, 50) + measured(50, stop), NUMBERS)
        runs.append(numbers.run().run)
    (finding,) = monitor(numbers.settings(), "notes", Silent())
    expected = {"previous": (runs[1], 80), "first": (runs[0], 50)}[reference]
    assert (finding.reference_run, finding.n_reference) == expected
