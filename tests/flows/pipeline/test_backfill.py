"""Backfills: window by window, gone on with after whatever happens, each record once."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from flows.cli import run_command
from flows.output.progress import Silent
from flows.pipeline import backfills
from flows.pipeline.backfills import Asked
from flows.runner import runner
from storage.ids import hash_text
from storage.model import StorageError, UsageError
from tests.flows.interruptions import Interruption, Stopping
from tests.flows.shop import Heard
from tests.processes import python

if TYPE_CHECKING:
    from flows.engines.engine import Engine
    from flows.pipeline.scope import Scope, Target
    from storage.backfills import WindowRow
    from tests.flows.project import Project

HEADER = ("id", "text", "label", "at")
JANUARY = Asked(datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 5, tzinfo=UTC), "day")
ROWS = [(n, f"text {n % 9}", "x", f"2026-01-0{1 + n % 4}T0{n % 7}:00:00Z") for n in range(12)]
AT_ONCE = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from flows.pipeline import backfills
from flows.pipeline.backfills import Asked
from flows.output.progress import Silent
from tests.flows.plugins import installed
from tests.flows.project import Project
from tests.flows.pipeline.test_backfill import JANUARY, fill
with installed():
    project = Project(Path(sys.argv[1]))
    project.source = {"event_time": "at"}
    print("begun", flush=True)
    if sys.argv[2] == "backfill":
        fill(project, JANUARY)
    else:
        project.run()
"""


@pytest.fixture
def timed(project: Project) -> Project:
    """The project with event times, on four days of January."""
    project.source = {"event_time": "at"}
    project.write(ROWS, HEADER)
    return project


def fill(
    project: Project, asked: Asked, engine: Engine | None = None, reporter: Silent | None = None
) -> list[WindowRow]:
    def carry_out(target: Target, scope: Scope) -> dict[str, Any]:
        return project.run(engine, target=target, scope=scope).row()

    return backfills.backfill(project.settings(), "notes", asked, carry_out, reporter or Silent())


def ids(project: Project, view: str = "notes") -> set[int]:
    return {int(record_id) for record_id in project.rows_or_none(view) or {}}


def numbers(*days: int) -> set[int]:
    return {n for n, *_ in ROWS if 1 + n % 4 in days}


def test_windows_take_what_lies_in_them(timed: Project) -> None:
    planned = backfills.plan(timed.settings(), "notes", JANUARY, Silent())
    assert timed.rows_or_none() is None
    assert not (timed.root / "data").exists()
    rows = fill(timed, JANUARY)
    assert [(r.predicted_records, r.predicted_encoded) for r in planned] == [
        (r.records, r.encoded) for r in rows
    ]
    assert [r.status for r in rows] == ["done"] * 4
    assert ids(timed) == numbers(1, 2, 3, 4)
    assert timed.encoded() == sorted({text for _, text, *_ in ROWS})
    kinds = [(run["kind"], run["since"].day) for run in timed.runs()]
    assert kinds == [("backfill", n) for n in range(1, 5)]
    assert not timed.versions()[0].complete
    assert timed.run().counts.unchanged == len(ROWS)
    assert timed.versions()[0].complete


def test_nothing_is_removed_and_what_changed_is_taken(timed: Project) -> None:
    timed.run()
    timed.write([(0, "changed", "x", ROWS[0][3]), (1, "changed too", "x", ROWS[1][3])], HEADER)
    first = Asked(JANUARY.since, datetime(2026, 1, 2, tzinfo=UTC))
    [row] = fill(timed, first)
    assert (row.records, row.encoded) == (1, 1)
    assert ids(timed) == numbers(1, 2, 3, 4)
    assert timed.rows()["0"]["content_hash"] == hash_text("changed")
    assert timed.rows()["1"]["content_hash"] == hash_text("text 1")


def test_what_has_no_time_is_told_of_once(timed: Project) -> None:
    odd = [("a", "no time", "x", ""), ("b", "wheel", "x", "soon"), ("c", "", "x", "2026-01-01")]
    timed.write([*ROWS, *odd], HEADER)
    told = Heard()
    fill(timed, JANUARY, reporter=told)
    assert ids(timed) == numbers(1, 2, 3, 4)
    [note] = [note for note in told.notes if "in no window" in note]
    assert note.startswith("notes: 3 records have no event time or cannot be read")
    assert timed.dead() == {}
    timed.source = {}
    with pytest.raises(UsageError, match=r"no record of the source 'notes' has an event time in"):
        fill(timed, Asked(JANUARY.since, JANUARY.until, "week"))


@pytest.mark.parametrize("nth", [1, 3])
@pytest.mark.parametrize("point", ["encode", "commit", "publish"])
def test_one_that_stops_is_gone_on_with(timed: Project, nth: int, point: str) -> None:
    done = 0

    def carry_out(target: Target, scope: Scope) -> dict[str, Any]:
        nonlocal done
        done += 1
        engine = Stopping(point=point) if done == nth else None
        return timed.run(engine, target=target, scope=scope).row()

    settings = timed.settings()
    with pytest.raises(Interruption, match="stopped here"):
        backfills.backfill(settings, "notes", JANUARY, carry_out, Silent())
    days = range(1, nth + 1 if point == "publish" else nth)
    assert ids(timed) == numbers(*days)
    told = Heard()
    rows = fill(timed, JANUARY, reporter=told)
    assert "going on with the backfill" in told.notes[0]
    assert [row.status for row in rows] == ["done"] * 4
    assert ids(timed) == numbers(1, 2, 3, 4)
    assert timed.encoded() == sorted({text for _, text, *_ in ROWS}), "lost, or encoded twice"
    statement = "SELECT count(*) AS n, any_value(status) AS status FROM backfills"
    assert timed.stores().catalog.query(statement).to_pylist() == [{"n": 1, "status": "done"}]


def test_a_limit_is_kept_over_all_windows_and_calls(timed: Project) -> None:
    limited = Asked(JANUARY.since, JANUARY.until, "day", limit=4)
    seen: list[str] = []
    for _ in range(20):
        rows = fill(timed, limited)
        wrote = timed.encoded()
        assert len(wrote) <= 4
        seen += wrote
        if {row.status for row in rows} == {"done"}:
            break
    assert sorted(seen) == sorted({text for _, text, *_ in ROWS})
    assert ids(timed) == numbers(1, 2, 3, 4)
    assert timed.run().counts.unchanged == len(ROWS)


def test_a_window_that_fails_keeps_no_other_from_being_filled(timed: Project) -> None:
    timed.feature = {"max_dead": 0.1}
    timed.write([(n, "FAIL" if n in numbers(2) else t, x, a) for n, t, x, a in ROWS], HEADER)
    rows = fill(timed, JANUARY)
    assert [row.status for row in rows] == ["done", "failed", "done", "done"]
    assert rows[1].error is not None
    assert "3 of 6 records cannot be read or encoded" in rows[1].error
    assert ids(timed) == numbers(1, 3, 4)
    timed.write(ROWS, HEADER)
    again = fill(timed, JANUARY)
    assert [row.status for row in again] == ["done"] * 4
    assert [row.run_id == old.run_id for row, old in zip(again, rows, strict=True)] == [
        True, False, True, True,
    ]  # fmt: skip
    assert ids(timed) == numbers(1, 2, 3, 4)


def test_the_catalog_keeps_no_secret_of_a_window_that_fails(
    timed: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOTES_TOKEN", "a-token-nobody-may-see")
    timed.encoder = {"kind": "keyed", "token": "${NOTES_TOKEN}"}

    def unreachable(target: Target, scope: Scope) -> dict[str, Any]:
        raise StorageError(f"{target}, {scope.kind}: a-token-nobody-may-see is refused")

    settings = timed.settings()
    timed.run()  # which fills the token in
    timed.write([(n, f"{t} anew", x, a) for n, t, x, a in ROWS], HEADER)
    rows = backfills.backfill(settings, "notes", JANUARY, unreachable, Silent())
    assert {row.error for row in rows} == {"1, backfill: ${NOTES_TOKEN} is refused"}


def test_a_candidate_is_filled_and_then_completed(timed: Project) -> None:
    timed.run()
    timed.encoder = {"revision": 2}
    fill(timed, JANUARY)
    live, candidate = timed.versions()
    assert (live.standing, candidate.standing, candidate.complete) == ("live", "candidate", False)
    timed.write([row for row in ROWS if row[0] != 3], HEADER)
    assert ids(timed, "notes_v2") == numbers(1, 2, 3, 4)
    counts = timed.run().counts
    assert (counts.unchanged, counts.deleted, counts.encoded) == (11, 1, 0)
    assert timed.versions()[1].complete
    assert ids(timed, "notes_v1") == numbers(1, 2, 3, 4), "the other version stays as it is"


def test_a_history_is_filled_backwards(timed: Project) -> None:
    timed.feature = {"history": True}
    log = [
        ("a", "C", "x", "2026-01-03"),
        ("a", "A", "x", "2026-01-01"),
        ("b", "B", "x", "2026-01-02"),
    ]
    timed.write(log, HEADER)
    fill(timed, Asked(datetime(2026, 1, 3, tzinfo=UTC), JANUARY.until))
    fill(timed, Asked(JANUARY.since, datetime(2026, 1, 3, tzinfo=UTC), "day"))
    assert timed.rows()["a"]["content_hash"] == hash_text("C")
    with timed.connect() as con:
        assert con.sql("SELECT count(*) FROM notes_history").fetchall() == [(3,)]


def test_what_it_costs_is_told_before_and_after(timed: Project) -> None:
    timed.encoder = {"kind": "priced", "log": str(timed.root / "encoded.jsonl")}
    planned = backfills.plan(timed.settings(), "notes", JANUARY, Silent())
    assert sum(row.predicted_cost or 0 for row in planned) == pytest.approx(9 * 6 / 4)
    assert {row.currency for row in planned} == {"EUR"}
    rows = fill(timed, JANUARY)
    costs = [(row.predicted_cost or 0, row.cost or 0) for row in rows]
    assert sum(predicted for predicted, _ in costs) == pytest.approx(9 * 6 / 4)
    assert sum(cost for _, cost in costs) == pytest.approx(9 * 6 / 4)


@pytest.mark.slow
def test_a_backfill_and_a_run_at_once_both_end_right(timed: Project) -> None:
    timed.settings()
    children = [python(AT_ONCE, timed.root, what) for what in ("backfill", "run")]
    for child in children:
        with child:
            _, complaints = child.communicate()
        assert child.returncode == 0, complaints
    assert ids(timed) == numbers(1, 2, 3, 4)
    assert timed.encoded() == sorted({text for _, text, *_ in ROWS}), "lost, or encoded twice"
    assert timed.versions()[0].complete


@pytest.mark.slow
def test_through_prefect_each_window_is_a_run_of_its_own(timed: Project) -> None:
    from prefect.client.orchestration import get_client

    timed.engine = {"workers": 2}
    with get_client(sync_client=True) as client:
        client.hello()
        with runner(timed.settings(), Silent(), direct=False) as flows_:
            rows = flows_.backfill("notes", JANUARY, 2)
        assert [row["status"] for row in rows] == ["done"] * 4
        assert ids(timed) == numbers(1, 2, 3, 4)
        latest = sorted(client.read_flow_runs(), key=lambda run: run.created or 0)[-5:]
        assert sorted(run.name for run in latest) == ["backfill notes", *["embed notes"] * 4]
        [outer] = [run for run in latest if run.name == "backfill notes"]
        assert outer.state_type == "COMPLETED"
        assert sum(run.parent_task_run_id is not None for run in latest) == 4


# --- the command ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--since", "soon"], "--since takes a day or a moment such as 2026-01-31"),
        (["--since", "2026-01-01", "--until", ""], "--until takes a day or a moment"),
        (["--since", "2026-01-02", "--until", "2026-01-01"], "a backfill ends after it begins"),
        (["--since", "2999-01-02"], "a backfill ends after it begins"),
        (["--since", "2026-01-01", "--limit", "0"], "--limit must be at least 1, got 0"),
        (["--since", "2026-01-01", "--workers", "0"], "--workers must be at least 1, got 0"),
        (["--since", "2026-01-01", "--version", "newest"], "--version takes configured, live"),
        (["--since", "2026-01-01", "--version", "7"], "notes has no version v7; there are: none"),
        (["--since", "2026-01-01", "--every", "hour"], "day"),
        ([], "since"),
    ],
)
def test_wrong_values_are_told_of_with_exit_code_2(
    timed: Project, capfd: pytest.CaptureFixture[str], options: list[str], told: str
) -> None:
    conf = ["--conf", str(timed.settings().conf), "--direct"]
    assert run_command(["backfill", "notes", *options, *conf]) == 2
    got = capfd.readouterr()
    assert told in got.err.replace("\n", " ")
    assert "Traceback" not in got.err
    assert not timed.versions()


def test_the_command_prints_windows(timed: Project, capfd: pytest.CaptureFixture[str]) -> None:
    options = ["--since", "2026-01-01", "--until", "2026-01-05", "--every", "day", "--direct"]
    arguments = ["backfill", "notes", *options, "--conf", str(timed.settings().conf), "--json"]
    assert run_command([*arguments, "--dry-run"]) == 0
    planned = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    assert run_command(arguments) == 0
    done = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    assert {row["status"] for row in planned} == {"waiting"}
    assert {row["status"] for row in done} == {"done"}
    assert [row["predicted_records"] for row in planned] == [row["records"] for row in done]
