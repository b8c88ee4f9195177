"""Monitors over a feature: what the last run wrote against what stood before."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import numpy as np
import pytest

from flows.config.settings import SettingsError
from flows.monitoring.looking import MonitorError, monitor
from flows.output.progress import Silent, ToLogger
from flows.pipeline.refusals import RunError
from flows.reports import files

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
    assert findings["drift"].summary == ("nothing to compare with yet: this is the first run")
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
    assert drift.verdict == ("watch" if shift else "quiet"), drift.summary
    assert (drift.n_reference, drift.n_current, drift.reference_run) == (300, 200, first.run)
    sql = "SELECT run_id, verdict, p_value, n_current FROM findings WHERE monitor = 'drift'"
    kept = numbers.stores().catalog.query(sql).to_pylist()
    row = {"run_id": second.run, "verdict": drift.verdict, "p_value": drift.p_value}
    assert kept == [row | {"n_current": 200}], "a second look must replace the first"


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


def test_the_reference_is_what_runs_that_wrote_nothing_new_left(numbers: Project) -> None:
    numbers.write(measured(0, 100), NUMBERS)
    numbers.run()
    numbers.write(measured(0, 100)[:60], NUMBERS)
    thinned = numbers.run()
    assert (thinned.counts.deleted, thinned.counts.new) == (40, 0)
    idle = numbers.run()
    numbers.write(measured(0, 100)[:60] + measured(100, 150), NUMBERS)
    numbers.run()
    numbers.run()  # after it, so it cannot be what stood before
    drift, _ = monitor(numbers.settings(), "notes", Silent())
    assert (drift.reference_run, drift.n_reference, drift.n_current) == (idle.run, 60, 50)


@pytest.mark.parametrize("reference", ["previous", "first"])
def test_a_state_without_rows_is_nothing_to_compare_with(project: Project, reference: str) -> None:
    project.feature = {"reference": reference, "monitors": ["drift"]}
    notes = [(n, f"a note {n}", "x") for n in range(60)]
    project.write([])
    project.run()
    project.write(notes[:30])
    full = project.run()
    (finding,) = monitor(project.settings(), "notes", Silent())
    assert finding.summary == "nothing to compare with yet: this is the first run"
    project.write([])
    assert project.run().rows == 0
    project.write(notes[30:])
    project.run()
    (finding,) = monitor(project.settings(), "notes", Silent())
    assert (finding.reference_run, finding.n_reference) == (full.run, 30)


def test_any_version_can_be_looked_at(numbers: Project) -> None:
    numbers.write(measured(0, 100), NUMBERS)
    numbers.run()
    numbers.encoder = {"kind": "tabular", "dim": 1}
    candidate = numbers.run()
    assert (candidate.version, candidate.standing) == (2, "candidate")
    numbers.write(measured(0, 100) + measured(100, 140), NUMBERS)
    second = numbers.run()
    monitor(numbers.settings(), "notes", Silent())
    drift, _ = monitor(numbers.settings(), "notes", Silent(), 2)
    assert (drift.reference_run, drift.n_reference, drift.n_current) == (candidate.run, 100, 40)
    sql = "SELECT version, run_id = $1 AS second FROM findings ORDER BY ALL"
    kept = numbers.stores().catalog.query(sql, second.run).to_pylist()
    assert [tuple(row.values()) for row in kept] == [(1, False)] * 2 + [(2, True)] * 2
    with pytest.raises(MonitorError, match="notes has no version v3; there are: v1, v2"):
        monitor(numbers.settings(), "notes", Silent(), 3)


def test_a_window_is_what_its_runs_wrote(numbers: Project) -> None:
    numbers.feature = {"reference": "2 runs", "monitors": ["health"]}
    for stop in (50, 80, 100, 110):
        numbers.write(measured(0, 50) + measured(50, stop), NUMBERS)
        numbers.run()
    (finding,) = monitor(numbers.settings(), "notes", Silent())
    assert (finding.n_reference, finding.n_current) == (30 + 20, 10)
    assert finding.reference == "what the 2 runs before wrote"


def test_against_what_the_encoder_learned_from_a_change_is_watched_and_blocks_nothing(
    numbers: Project,
) -> None:
    numbers.more = '[monitors.drift]\nblocks = "publishing"\n'
    numbers.feature = {"monitors": ["drift", "records"]}
    rows = measured(0, 300)
    for start in (300, 400, 500):
        numbers.write(rows, NUMBERS)
        numbers.run()
        rows += measured(start, start + 100, 3.0 if start != 400 else 0.0)
        if start == 400:
            (drift, records) = monitor(numbers.settings(), "notes", Silent())
            assert (drift.verdict, drift.series) == ("watch", {}), "it counts in no series"
            assert drift.p_value is not None
            assert drift.p_value < 0.01
            assert "; no alarm: the encoder learned from the reference" in drift.summary
            assert (drift.reference or "").endswith(
                "before the run, which the encoder learned from"
            )
            assert records.reference == "the state before the run", "it looks at no vectors"
    numbers.write(rows, NUMBERS)
    with pytest.raises(RunError, match="drift: the distribution moved"):
        numbers.run()
    sql = "SELECT verdict, series->>'looks' AS looks, reference FROM findings ORDER BY run_id"
    last = numbers.stores().catalog.query(f"{sql} DESC LIMIT 1").to_pylist()
    told = "what runs wrote since the encoder learned"
    assert last == [{"verdict": "alarm", "looks": "1.0", "reference": told}]


def test_a_first_reference_that_the_encoder_learned_from_is_told_as_that(numbers: Project) -> None:
    numbers.feature = {"monitors": ["drift"], "reference": "first"}
    rows = measured(0, 100)
    for start in (100, 400):
        numbers.write(rows, NUMBERS)
        numbers.run()
        rows += measured(start, start + 300, 3.0)
    numbers.write(rows, NUMBERS)
    numbers.run()
    (drift,) = monitor(numbers.settings(), "notes", Silent())
    assert drift.verdict == "watch"
    numbers.feature |= {"reference": "9 days"}
    (drift,) = monitor(numbers.settings(), "notes", Silent())
    told = "what runs wrote within 9 days, but what the encoder learned from"
    assert (drift.reference, drift.n_reference) == (told, 300)


def test_an_alarm_of_a_monitor_that_blocks_nothing_does_not_hold_up_a_promotion(
    numbers: Project,
) -> None:
    numbers.more = '[monitors.drift]\nblocks = "nothing"\n'
    numbers.feature = {"monitors": ["drift"]}
    numbers.write(measured(0, 300), NUMBERS)
    numbers.run()
    usual = measured(0, 300) + measured(300, 500)
    for rows in (usual, usual + measured(500, 700, 3.0)):
        numbers.write(rows, NUMBERS)
        numbers.run()
    (finding,) = monitor(numbers.settings(), "notes", Silent())
    assert (finding.verdict, finding.blocks) == ("alarm", "nothing")
    kept = numbers.stores().catalog.query("SELECT blocks, alone FROM findings").to_pylist()
    assert kept == [{"blocks": "nothing", "alone": "alarm"}]


def test_what_an_alarm_blocks_is_one_of_three_things(numbers: Project) -> None:
    numbers.more = '[monitors.drift]\nblocks = "promotions"\n'
    with pytest.raises(SettingsError, match=r"nothing, promotion, publishing.*did you mean 'promo"):
        numbers.settings()


def test_pages_and_metrics_are_written_after_each_look(
    numbers: Project, caplog: pytest.LogCaptureFixture
) -> None:
    numbers.more = '[reports]\npage = true\nprometheus = "metrics/vecmill.prom"\n'
    numbers.write(measured(0, 100), NUMBERS)
    numbers.run()
    settings = numbers.settings()
    monitor(settings, "notes", Silent())
    page = files.kept_page(settings, "notes", None)
    assert "notes" in page.read_text(encoding="utf-8")
    metrics = settings.root / "metrics" / "vecmill.prom"
    assert 'vecmill_rows{feature="notes"' in metrics.read_text(encoding="utf-8")
    metrics.unlink()
    metrics.mkdir()
    noted = Noting()
    with caplog.at_level("INFO"):
        monitor(settings, "notes", ToLogger(logging.getLogger("served")))
    assert "notes: monitor" in caplog.messages, "with no number, which would be one of records"
    findings = monitor(settings, "notes", noted)
    assert findings, "what cannot be written is no reason to lose what was found"
    assert "what [reports] asks for is not written: cannot write metrics" in noted.notes[-1]


class Noting(Silent):
    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, message: str) -> None:
        self.notes.append(message)
