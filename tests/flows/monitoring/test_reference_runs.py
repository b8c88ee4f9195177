"""References end to end: runs published on given days, looked at, cleaned up, looked at again."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import numpy as np
import pytest

from flows.config.settings import Gc
from flows.monitoring.looking import MonitorError, monitor
from flows.output.progress import Silent
from flows.upkeep.checkup import look
from flows.upkeep.gc import Collector

if TYPE_CHECKING:
    from storage.model import FindingRow
    from tests.flows.project import Project

MONDAY = datetime(2026, 1, 5, 6, tzinfo=UTC)
NOTHING_STAYS = Gc(keep_runs=1, keep_days=0, drop_retired_after_days=0, grace_hours=0)
# a Monday, then a Tuesday and a Monday, some weeks of nothing, a Sunday, a Monday
DAYS = {0: 30, 1: 25, 7: 26, 41: 27, 42: 28}


class Noting(Silent):
    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, message: str) -> None:
        self.notes.append(message)


def write(project: Project, rows: int) -> None:
    rng = np.random.default_rng(1)
    project.write([(n, *pair) for n, pair in enumerate(rng.random((rows, 2)).tolist())],
                  ("id", "size", "weight"))  # fmt: skip


def published(project: Project, days: dict[int, int]) -> list[str]:
    """Runs on these days after a Monday that each bring so many rows; their ids."""
    runs, rows = [], 0
    for day, new in days.items():
        rows += new
        write(project, rows)
        runs.append(project.run().run)
        with project.stores().catalog.transaction() as con:
            con.execute(
                "UPDATE manifests SET published_at = ? WHERE run_id = ?",
                [MONDAY + timedelta(days=day), runs[-1]],
            )
    return runs


@pytest.fixture
def measured(project: Project) -> Project:
    project.source = {"content": ["size", "weight"], "keep": []}
    project.encoder = {"kind": "tabular"}
    project.feature = {"monitors": ["health"]}
    return project


def seen(project: Project, reference: str, number: int | None = None) -> FindingRow:
    project.feature |= {"reference": reference}
    (finding,) = monitor(project.settings(), "notes", Silent(), number)
    return finding


def test_each_reference_is_of_the_rows_that_it_says(measured: Project) -> None:
    runs = published(measured, DAYS)
    expected = {
        "previous": (runs[3], 108, "the state before the run"),
        "first": (runs[0], 30, "the state that the first run left"),
        runs[1]: (runs[1], 55, f"the state that {runs[1]} left"),
        "2 runs": (runs[3], 53, "what the 2 runs before wrote"),
        "1 day": (runs[3], 27, "what runs wrote within 1 days"),
        "36 days": (runs[3], 53, "what runs wrote within 36 days"),
        "weekday": (runs[3], 56, "what runs wrote on a Monday within 8 weeks"),
    }
    for reference, (run, rows, told) in expected.items():
        finding = seen(measured, reference)
        found = (finding.reference_run, finding.n_reference, finding.reference)
        assert found == (run, rows, told), reference
        assert finding.n_current == 28


@pytest.mark.parametrize("named", [0, 1])
def test_gc_keeps_the_state_that_monitors_compare_with(measured: Project, named: int) -> None:
    runs = published(measured, dict(list(DAYS.items())[:4]))
    measured.feature |= {"reference": "first" if named == 0 else runs[named]}
    items = Collector(measured.settings(), NOTHING_STAYS).collect([], Silent())
    reference = measured.feature["reference"]
    why = [i.why for i in items if not i.goes and i.kind == "state"]
    assert f'monitors compare with it (reference = "{reference}")' in why
    write(measured, 150)
    measured.run()
    finding = seen(measured, reference)
    assert (finding.reference_run, finding.n_reference) == (runs[named], (30, 55)[named])


def test_gc_keeps_the_first_state_with_rows_where_one_without_came_first(project: Project) -> None:
    project.feature = {"monitors": ["health"], "reference": "first"}
    runs = []
    for rows in (0, 30, 60, 90):
        project.write([(n, f"a note {n}", "x") for n in range(rows)])
        runs.append(project.run().run)
    Collector(project.settings(), NOTHING_STAYS).collect([], Silent())
    finding = seen(project, "first")
    assert (finding.reference_run, finding.n_reference) == (runs[1], 30)


def test_windows_need_no_earlier_state(measured: Project) -> None:
    published(measured, dict(list(DAYS.items())[:4]))
    measured.feature |= {"reference": "3 runs"}
    Collector(measured.settings(), NOTHING_STAYS).collect([], Silent())
    write(measured, 150)
    measured.run()
    assert seen(measured, "3 runs").n_reference == 25 + 26 + 27


def test_a_run_whose_state_is_gone_is_an_error_that_doctor_tells_of_too(measured: Project) -> None:
    first, *_ = published(measured, dict(list(DAYS.items())[:3]))
    Collector(measured.settings(), NOTHING_STAYS).collect([], Silent())
    with pytest.raises(MonitorError, match=rf"^\[features.notes\] reference names the run {first}"):
        seen(measured, first)
    (check,) = [c for c in look(measured.settings()) if c.check == "reference of notes"]
    assert check.state == "broken"
    assert check.found.endswith("whose state `vecmill gc` has cleaned away; name a later one")
    assert check.advice == "mend reference in [features.notes]; until then its monitors fail"
    measured.feature |= {"reference": "first"}
    assert not [c for c in look(measured.settings()) if c.check.startswith("reference")]


def test_live_comes_to_the_own_last_state_for_a_candidate(measured: Project) -> None:
    measured.feature |= {"reference": "live"}
    published(measured, {0: 30, 1: 30})
    assert seen(measured, "live").reference == "the state before the run"
    measured.encoder |= {"dim": 1}
    candidate = measured.run()
    assert candidate.standing == "candidate"
    write(measured, 90)
    measured.run()
    finding = seen(measured, "live", 2)
    assert (finding.reference_run, finding.n_reference) == (candidate.run, 60)
    told = "its own state before the run; the live version is none to compare it with"
    assert (finding.reference or "").startswith(told)
    noting = Noting()
    monitor(measured.settings(), "notes", noting, 2)
    assert [note for note in noting.notes if note.startswith(f"notes: v2 is held against {told}")]
