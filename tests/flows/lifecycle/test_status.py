"""Where each feature stands."""

from __future__ import annotations

import itertools
import os
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from flows.cli import run_command
from flows.engines.engine import Direct
from flows.lifecycle import overdue, preflight
from flows.lifecycle.overdue import Began
from flows.lifecycle.status import status
from flows.operations.recurrence import Recurrence
from flows.output.standing_lines import code, last_run, told
from flows.pipeline.refusals import RunError
from flows.sources.base import SourceError
from flows.upkeep.unheld import unheld
from storage.ids import new_run_id
from storage.logs import entries
from storage.model import FindingRow

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.flows.project import Project

ROWS = [(f"r{i}", f"text {i}", "x") for i in range(30)]
OTHER = """
[features.other]
source = "notes"
encoder = "mill"
"""


def test_a_feature_that_never_ran_stands_there(project: Project) -> None:
    project.write(ROWS)
    rows = status(project.settings())
    assert [(r["feature"], r["last_status"], r["version"]) for r in rows] == [
        ("notes", "never run", None)
    ]
    assert not (project.root / "data").exists(), "looking must not make a store"


def test_a_first_run_is_under_way_while_its_encoder_is_loaded(project: Project) -> None:
    project.write(ROWS)
    seen: list[tuple[str, int | None]] = []

    class Looking(Direct):
        def step(self, name: str, function: Callable[[], None]) -> None:
            if name == "prepare":
                rows = status(project.settings())
                seen.extend((row["last_status"], row["version"]) for row in rows)
                [log] = project.stores().logs.files("notes")
                told = [entry.get("stage") for entry, _ in entries(log)]
                assert told[-1] == "prepare", "else the log has a gap that nobody can explain"
            super().step(name, function)

    project.run(Looking())
    assert seen == [("running", None)]


def test_rows_have_the_same_keys_before_and_after_a_run(project: Project) -> None:
    project.write(ROWS)
    before = status(project.settings())
    project.run()
    project.more = OTHER
    after = status(project.settings())
    assert {r["feature"]: r["last_status"] for r in after} == {
        "notes": "done",
        "other": "never run",
    }
    assert {tuple(sorted(row)) for row in before + after} == {tuple(sorted(after[0]))}


def test_every_version_has_a_row(project: Project) -> None:
    project.write([*ROWS, ("bad", "FAIL", "x")])
    project.run()
    project.encoder = {"revision": 2}
    project.run()
    project.promote(2)
    rows = status(project.settings())
    assert [(r["version"], r["standing"], r["rows"], r["dead"]) for r in rows] == [
        (1, "retired", 30, 1),
        (2, "live", 30, 1),
    ]


def test_a_failure_is_shown_until_a_run_succeeds(project: Project) -> None:
    project.write(ROWS)
    project.run()
    project.write([(i, "FAIL " + i, "x") for i, _, _ in ROWS])
    project.feature = {"max_dead": 0.1}
    with pytest.raises(RunError, match="cannot be read or encoded"):
        project.run()
    [failed] = status(project.settings())
    assert failed["last_status"] == "failed"
    assert failed["error"].startswith("notes: 30 of 30 records")
    assert (failed["standing"], failed["rows"]) == ("live", 30)
    conf = ["--conf", str(project.settings().conf)]
    assert (run_command(["status", *conf]), run_command(["status", "--exit-code", *conf])) == (0, 1)
    project.write(ROWS)
    project.run()
    [healed] = status(project.settings())
    assert (healed["last_status"], healed["error"]) == ("done", None)


def finding(monitor: str, verdict: str) -> FindingRow:
    return FindingRow(monitor, verdict, "told", None, None, None, None, 30, 30, None)


def test_alarms_stay_until_the_monitors_look_again(project: Project) -> None:
    project.write(ROWS)
    counts = []

    def look(run: str, *findings: FindingRow) -> None:
        if findings:
            project.stores().catalog.add_findings("notes", 1, run, findings)
        counts.append([row["alarms"] for row in status(project.settings())])

    first = project.run().run
    look(first)
    look(first, finding("drift", "alarm"), finding("health", "quiet"))
    look(first, finding("drift", "alarm"), finding("health", "alarm"))
    [line] = told(status(project.settings()))
    assert line == "notes v1: 2 monitors raise an alarm; `vecmill monitor notes` says of what"
    look(project.run().run)  # nothing was to be done, so what they saw is still there
    look(first, finding("drift", "cannot tell"))
    look(first, finding("health", "quiet"))
    assert counts == [[0], [1], [2], [2], [1], [0]]


def test_an_alarm_is_told_until_a_look_can_tell_otherwise(project: Project) -> None:
    """In the morning a small run that came after it is what monitors looked at last."""
    project.write(ROWS)
    stores = project.stores()

    def look(**verdicts: str) -> tuple[list[str], list[str]]:
        project.write([*ROWS, *((f"more{n}", f"more {n}", "x") for n in range(next(counter)))])
        found = [finding(monitor, verdict) for monitor, verdict in verdicts.items()]
        stores.catalog.add_findings("notes", 1, project.run().run, found)
        rows = status(project.settings())
        return rows[0]["unsettled"], [line for line in told(rows) if "no look since" in line]

    counter = itertools.count()
    assert look(drift="alarm", outliers="alarm", health="quiet") == ([], [])
    assert look(drift="cannot tell", outliers="alarm", health="quiet")[0] == ["drift"]
    monitors, [line] = look(drift="cannot tell", outliers="cannot tell", health="cannot tell")
    assert monitors == ["drift", "outliers"]
    assert line == (
        "notes v1: an alarm by drift, outliers just now, and no look since had enough records to "
        "tell whether it stands; `vecmill report notes` shows both"
    )
    assert look(drift="quiet", health="quiet") == ([], []), "outliers is configured no more"
    assert look(drift="cannot tell", health="quiet") == ([], [])


def test_how_old_the_vectors_are_is_told_of_a_run_that_failed(project: Project) -> None:
    project.write(ROWS)
    project.run()
    assert list(told(status(project.settings()))) == []
    project.source = {"path": "gone.csv"}
    with pytest.raises(SourceError, match="no file matches"):
        project.run()
    [row] = rows = status(project.settings())
    [_, failed] = project.runs()
    assert row["log"] == str(project.stores().logs.path("notes", failed["run_id"]))
    later = row["finished_at"] + timedelta(hours=3, minutes=20)
    rows[0]["published_at"] -= timedelta(days=2)
    [line] = told(rows, later)
    assert line.startswith("notes: live is v1, published 2 days ago; last run failed 3 h ago: no ")
    assert line.endswith(f"; see `vecmill logs {failed['run_id']}`")


def test_a_failure_of_all_versions_is_told_once(project: Project) -> None:
    project.write(ROWS)
    project.run()
    project.encoder = {"revision": 2}
    project.run()
    catalog, run_id = project.stores().catalog, new_run_id()
    catalog.start_run(run_id, "notes", None)
    catalog.fail_run(run_id, "the weights are not there")
    rows = status(project.settings())
    assert [row["last_status"] for row in rows] == ["failed", "failed"]
    [line] = told(rows)
    assert line.endswith("last run failed just now: the weights are not there")


def test_a_run_that_no_catalog_knows_is_told_by_its_log(project: Project) -> None:
    project.write(ROWS)
    project.run()
    begun = datetime.now(UTC)
    log = project.stores().logs.open("notes", new_run_id(begun))
    log.write("begin", {"feature": "notes"})
    [row] = status(project.settings())
    assert (row["last_status"], row["published_at"] < begun) == ("crashed", True)
    assert row["error"].startswith("the process ended before the run did")
    log.write("failed", {"message": "the disk is full"}, last=True)
    [row] = status(project.settings())
    assert (row["last_status"], row["error"]) == ("failed", "the disk is full")


def test_findings_that_come_after_the_end_do_not_make_a_run_a_crashed_one(
    project: Project,
) -> None:
    project.write(ROWS)
    project.run()
    log = project.stores().logs.open("notes", new_run_id(datetime.now(UTC)))
    log.write("begin", {"feature": "notes"})
    log.write("done", {}, last=True)
    log.write("finding", {"monitor": "drift"})
    [row] = status(project.settings())
    assert row["last_status"] == "done"


def test_an_erasure_is_no_run_and_makes_no_vectors_young(project: Project) -> None:
    project.write(ROWS)
    project.run()
    [before] = status(project.settings())
    conf = str(project.settings().conf)
    assert run_command(["erase", "notes", "--yes", "--id", str(ROWS[0][0]), "--conf", conf]) == 0
    [after] = status(project.settings())
    assert after["rows"] == before["rows"] - 1
    assert after["published_at"] == before["published_at"]


def test_dead_letters_are_told_of_after_an_erasure_too(project: Project) -> None:
    project.write([*ROWS, ("empty", "", "x")])
    project.run()
    conf = str(project.settings().conf)
    assert run_command(["erase", "notes", "--yes", "--id", str(ROWS[0][0]), "--conf", conf]) == 0
    [row] = status(project.settings())
    assert (row["dead"], row["unpublished_dead"]) == (1, 0)
    [line] = told([row])
    assert "`vecmill dead notes`" in line


def test_what_keeps_a_run_from_beginning_is_its_failure(project: Project) -> None:
    project.write(ROWS)
    project.run()
    project.encoder = {"kind": "sentence", "model": "./nothere"}
    run = ["run", "--direct", "--conf", str(project.settings().conf)]
    assert run_command(run) == 2
    [row] = status(project.settings())
    assert row["last_status"] == "failed"
    assert "nothere' is neither a folder here nor a name on the hub" in row["error"]
    assert row["log"] is not None
    assert [one["status"] for one in project.runs()] == ["done", "failed"]


def test_so_is_a_catalog_that_cannot_be_read(project: Project) -> None:
    project.write(ROWS)
    project.run()
    conf, catalog = project.settings().conf, project.stores().catalog.path
    whole = catalog.read_bytes()
    catalog.write_text("rubbish " * 1000)
    assert run_command(["run", "--direct", "--conf", str(conf)]) == 1
    catalog.write_bytes(whole)
    [row] = status(project.settings())
    assert (row["last_status"], row["published_at"] is None) == ("failed", False)
    assert "it is no DuckDB file" in row["error"]


def test_a_failure_that_the_catalog_could_not_take_is_told_by_the_log(project: Project) -> None:
    project.write(ROWS)
    project.run()
    stores, run_id = project.stores(), new_run_id()
    stores.catalog.start_run(run_id, "notes", 1)
    log = stores.logs.open("notes", run_id)
    log.write("failed", {"message": "the disk is full"}, last=True)
    [row] = status(project.settings())
    assert (row["last_status"], row["error"]) == ("failed", "the disk is full")


def test_a_table_that_is_not_where_the_store_says_is_told_once(project: Project) -> None:
    project.write(ROWS)
    project.run()
    assert unheld(project.stores()) is None
    root = project.root / "data"
    project.more = f'[store]\nvectors = "{root}/vectorz"\ncatalog = "{root}/catalog.duckdb"\n'
    line = (
        f"1 published table (notes_v1) is not in {root}/vectorz, which is no folder; "
        f"{root}/vectors holds it: is that what [store] vectors is to name?"
    )
    assert [one for one in told(status(project.settings())) if "vectorz" in one] == [line]
    fault = next(iter(preflight.look(project.settings())))
    assert (fault.where, fault.found, fault.fault) == ("store", line, True)
    (root / "vectors").rename(project.root / "away")
    found = unheld(project.stores())
    assert found is not None
    assert found.told().startswith(
        f"1 published table (notes_v1) is not in {root}/vectorz, which is no folder; where [store]"
    )


@pytest.mark.skipif(os.geteuid() == 0, reason="root looks into every folder")
def test_a_folder_beside_it_that_nobody_may_look_into_is_passed_by(project: Project) -> None:
    project.write(ROWS)
    project.run()
    root = project.root / "data"
    closed = root / "lost+found"
    closed.mkdir(mode=0)
    project.more = f'[store]\nvectors = "{root}/vectorz"\ncatalog = "{root}/catalog.duckdb"\n'
    found = unheld(project.stores())
    closed.chmod(0o700)
    assert found is not None
    assert found.beside == root / "vectors"


HOURLY, DAILY = Recurrence.every(timedelta(hours=1)), Recurrence("cron", "30 3 * * *")


@pytest.mark.parametrize(
    ("when", "last", "now", "due"),
    [
        (HOURLY, "10:00", "10:59", None),
        (HOURLY, "10:00", "11:10", None),  # it may be about to begin
        (HOURLY, "10:00", "11:15", "11:00"),
        (HOURLY, "10:05", "14:00", "11:00"),
        (Recurrence.every(timedelta(minutes=5)), "10:00", "10:09", None),
        (Recurrence.every(timedelta(minutes=5)), "10:00", "10:10", "10:05"),
        (DAILY, "03:31", "23:00", None),
        (DAILY, "03:29", "09:00", "03:30"),
        (Recurrence("rrule", "FREQ=DAILY;COUNT=1"), "10:00", "23:00", None),
    ],
)
def test_a_start_is_overdue_once_it_is_late(
    when: Recurrence, last: str, now: str, due: str | None
) -> None:
    found = overdue.overdue(when, _at(last), _at(now))
    assert found == (None if due is None else _at(due))


def _at(clock: str) -> datetime:
    return datetime.fromisoformat(f"2026-03-04T{clock}:00+00:00")


@pytest.mark.parametrize(
    "nightly",
    [
        Recurrence("cron", "30 2 * * *", "Europe/Berlin"),
        Recurrence("rrule", "FREQ=DAILY;BYHOUR=2;BYMINUTE=30", "Europe/Berlin"),
    ],
    ids=["cron", "rrule"],
)
def test_what_prefect_started_before_the_hour_that_the_clocks_skip_is_not_overdue(
    nightly: Recurrence,
) -> None:
    began = datetime(2026, 3, 29, 0, 30, 5, tzinfo=UTC)  # half past one
    assert overdue.overdue(nightly, began, began + timedelta(hours=12)) is None
    missed = datetime(2026, 3, 30, 0, 30, tzinfo=UTC)
    assert overdue.overdue(nightly, began, began + timedelta(hours=36)) == missed
    evening = began - timedelta(hours=6)  # by hand: nothing was started in the night
    assert overdue.overdue(nightly, evening, began + timedelta(hours=12)) is not None


def test_a_schedule_that_nothing_serves_is_told(project: Project) -> None:
    project.write(ROWS)
    opposite = (datetime.now(UTC).hour + 12) % 24  # due at no hour that this test comes to
    project.more = OTHER + (
        '[schedules.hourly]\nevery = "1 hour"\n'
        f'[schedules.daily]\nfeatures = ["notes"]\ncron = "0 {opposite} * * *"\n'
        '[schedules.idle]\nfeatures = ["notes"]\nevery = "1 minute"\nactive = false\n'
        '[schedules.tidy]\ndoes = "maintain"\nevery = "1 minute"\n'
    )
    project.run()
    settings, stores = project.settings(), project.stores()
    rows = status(settings)
    assert [row["overdue_since"] for row in rows] == [None, None]
    began = rows[0]["started_at"]
    later = began + timedelta(hours=3)
    overdue.tell(settings, stores, rows, later)
    due = HOURLY.after(began)
    assert due is not None
    assert [(row["overdue_schedule"], row["overdue_since"]) for row in rows] == [
        ("hourly", due),
        (None, None),  # nothing says since when it should have run
    ]
    [line] = [line for line in told(rows, due + timedelta(hours=2)) if "hourly" in line]
    assert line.startswith("notes: overdue: [schedules.hourly] had a run due 2 h ago, and none has")
    rows[1]["last_status"] = "running"  # the schedule is under way, and comes to notes after it
    overdue.tell(settings, stores, rows, later)
    assert [row["overdue_since"] for row in rows] == [None, None]


def test_a_schedule_that_the_last_run_did_not_know_counts_from_the_configuration(
    project: Project,
) -> None:
    project.write(ROWS)
    project.more = '[schedules.yearly]\nrrule = "FREQ=YEARLY"\n'
    project.run()
    project.more += '[schedules.hourly]\nevery = "1 hour"\n'
    settings, stores = project.settings(), project.stores()
    rows = status(settings)
    due = HOURLY.after(rows[0]["started_at"])
    assert due is not None
    written = (due + timedelta(minutes=10)).timestamp()
    os.utime(settings.conf, (written, written))
    overdue.tell(settings, stores, rows, due + timedelta(minutes=30))
    assert rows[0]["overdue_since"] is None, "there was no such schedule then"
    overdue.tell(settings, stores, rows, due + timedelta(minutes=90))
    assert rows[0]["overdue_since"] == due + timedelta(hours=1)
    project.run()
    [row] = rows = status(settings)
    os.utime(settings.conf, (written + 86400, written + 86400))
    due = HOURLY.after(row["started_at"])
    assert due is not None
    overdue.tell(settings, stores, rows, due + timedelta(minutes=30))
    assert row["overdue_since"] == due, "whatever else was written into the configuration since"


@pytest.mark.parametrize(
    ("ended", "now", "late"),
    [("09:10", "10:20", True), ("10:10", "10:20", False), ("10:10", "10:25", True)],
    ids=["before it was due", "its monitors look", "nothing came after it"],
)
def test_a_feature_whose_turn_is_to_come_is_not_overdue(
    project: Project, ended: str, now: str, *, late: bool
) -> None:
    project.more = f'{OTHER}\n[schedules.hourly]\nevery = "1 hour"\n'
    last = {"notes": Began(_at("10:00")), "other": Began(_at("09:30"))}
    found = overdue.of_schedules(project.settings(), last, {"notes": _at(ended)}, (), _at(now))
    assert ("other" in found) is late


FINE = {
    "standing": "live", "last_status": "done", "overdue_since": None, "table_gone": None,
    "alarms": 0,
}  # fmt: skip


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ([], 0),
        ([{"last_status": "never run", "alarms": None, "standing": None}], 0),
        ([{"standing": "retired", "last_status": "failed", "alarms": 2}], 0),
        ([{"alarms": 1}], 3),
        ([{"alarms": 1}, {"standing": "candidate", "last_status": "crashed"}], 1),
        ([{"overdue_since": _at("10:00")}], 1),
        ([{"table_gone": "it is not there"}], 1),
    ],
)
def test_the_worst_of_what_status_shows_is_its_exit_code(
    more: list[dict[str, object]], expected: int
) -> None:
    assert code([FINE, *(FINE | one for one in more)]) == expected


def test_how_the_last_run_went_and_when_stands_in_one_cell() -> None:
    row = {"last_status": "done", "started_at": _at("10:00"), "finished_at": _at("10:20")}
    assert last_run(row, _at("13:30")) == "done 3 h ago"
    going = row | {"last_status": "running", "finished_at": None}
    assert last_run(going, _at("10:30")) == "running, begun 30 min ago"
    assert last_run({**going, "started_at": None, "last_status": "never run"}, _at("10:30")) == (
        "never run"
    )
