"""Monitors whose alarm keeps a run from being published, or a version from being promoted."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from flows.cli import run_command
from flows.lifecycle.status import status
from flows.monitoring import looking as monitoring
from flows.monitoring.looking import MonitorError, monitor
from flows.output.progress import Silent
from flows.pipeline.refusals import RunError
from flows.pipeline.scope import Scope
from tests.flows.interruptions import Interruption, Stopping

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.flows.project import Project

    Call = Callable[..., tuple[int, str]]

GOOD = [(n, f"a note of number {n}", "x") for n in range(40)]
# of half of the new ones the label is missing
BAD = [*GOOD, *((n, f"a note of number {n}", "" if n % 2 else "x") for n in range(40, 80))]
MENDED = [*GOOD, *((n, f"a note of number {n}", "x") for n in range(40, 80))]
BLOCKING = '[monitors.records]\nblocks = "publishing"\nmax_null_share = 0.2\n'


@pytest.fixture
def guarded(project: Project) -> Project:
    project.more = BLOCKING
    project.feature = {"monitors": ["records", "health"]}
    project.write(GOOD)
    project.run()
    project.encoded()
    return project


@pytest.fixture
def vecmill(guarded: Project, capfd: pytest.CaptureFixture[str]) -> Call:
    def call(*arguments: str) -> tuple[int, str]:
        capfd.readouterr()
        code = run_command([*arguments, "--conf", str(guarded.settings().conf)])
        said = capfd.readouterr()
        return code, f"{said.out}{said.err}"

    return call


def kept(project: Project) -> list[tuple[str, str, str]]:
    sql = "SELECT run_id, monitor, verdict FROM findings ORDER BY run_id, monitor"
    return [tuple(row.values()) for row in project.stores().catalog.query(sql).to_pylist()]


def profiled(project: Project) -> list[str]:
    sql = "SELECT run_id FROM profiles ORDER BY noted_at"
    return list(project.stores().catalog.query(sql).column("run_id").to_pylist())


def test_an_alarm_keeps_a_run_from_being_published(guarded: Project) -> None:
    seen = guarded.rows()
    guarded.write(BAD)
    words = (
        r"notes: records: label has no value in 0 % → 50 % of contents.* An alarm of "
        r"\[monitors.records\] blocks publishing, so nothing is published; "
        r".*Look at the records '\d\d', '\d\d'.* `vecmill run notes --allow-alarms`"
    )
    with pytest.raises(RunError, match=words):
        guarded.run()
    assert guarded.rows() == seen
    failed = guarded.runs()[-1]
    assert failed["status"] == "failed"
    assert (failed["run_id"], "records", "alarm") in kept(guarded)
    assert profiled(guarded) == [guarded.runs()[0]["run_id"]], "of what is published alone"
    assert len(guarded.encoded()) == 40


def test_limits_hold_in_every_run_though_no_check_sees_a_change(guarded: Project) -> None:
    guarded.more += "min_records = 1000\n"
    guarded.write(MENDED)
    with pytest.raises(RunError, match=r"40 records were written, and min_records is 1,000"):
        guarded.run()


def test_what_was_encoded_is_used_once_the_source_is_mended(guarded: Project) -> None:
    guarded.write(BAD)
    with pytest.raises(RunError, match="blocks publishing"):
        guarded.run()
    guarded.encoded()
    guarded.write(MENDED)
    outcome = guarded.run()
    assert (outcome.counts.encoded, outcome.counts.resumed) == (0, 40)
    assert guarded.encoded() == []
    assert {row["label"] for row in guarded.rows().values()} == {"x"}
    assert (outcome.run, "records", "quiet") in kept(guarded)


def test_alarms_can_be_allowed_and_are_kept(guarded: Project) -> None:
    guarded.write(BAD)
    outcome = guarded.run(scope=Scope(allow_alarms=True))
    assert len(guarded.rows()) == 80
    assert (outcome.run, "records", "alarm") in kept(guarded)


def test_a_first_run_is_held_to_limits_and_to_nothing_else(project: Project) -> None:
    project.more = BLOCKING + '[monitors.drift]\nblocks = "publishing"\n'
    project.feature = {"monitors": ["records", "drift"]}
    project.write([(n, f"a note of number {n}", "") for n in range(40)])
    with pytest.raises(RunError, match=r"max_null_share is 20 %.*An alarm of \[monitors.records\]"):
        project.run()
    assert project.rows_or_none() is None
    project.write(GOOD)
    first = project.run()
    assert (first.run, "drift", "cannot tell") in kept(project)


def test_default_monitors_block_too(guarded: Project) -> None:
    guarded.feature = {"monitors": []}
    guarded.write(BAD)
    with pytest.raises(RunError, match="blocks publishing"):
        guarded.run()


def test_an_alarm_that_blocked_is_none_of_the_published_version(guarded: Project) -> None:
    monitor(guarded.settings(), "notes", Silent())
    guarded.write(BAD)
    with pytest.raises(RunError, match="blocks publishing"):
        guarded.run()
    (row,) = status(guarded.settings())
    assert (row["alarms"], row["last_status"]) == (0, "failed")


@pytest.mark.parametrize("point", ["plan", "encode", "commit", "check"])
def test_a_run_that_is_broken_off_ends_with_the_same_profile(guarded: Project, point: str) -> None:
    guarded.write([*MENDED, (90, "FAIL", "x"), (91, " ", "x")])
    with pytest.raises(Interruption, match="stopped here"):
        guarded.run(Stopping(point=point))
    assert len(guarded.rows()) == 40
    outcome = guarded.run()
    profile = guarded.stores().catalog.query(
        "SELECT profile::VARCHAR AS profile FROM profiles WHERE run_id = $1", outcome.run
    )
    (told,) = profile.column("profile").to_pylist()
    assert '"contents": 41' in told, "the one that cannot be encoded is a record too"
    assert '"empty": 1' in told
    assert '"label": [0, 41]' in told
    assert '"rows": 40' in told
    assert "note" not in told


def test_windows_of_a_backfill_are_checked_too(guarded: Project, vecmill: Call) -> None:
    guarded.source = {"event_time": "at"}
    rows = [(*row, f"2026-01-0{1 + row[0] // 40}") for row in BAD]
    guarded.write(rows, ("id", "text", "label", "at"))
    backfill = ("backfill", "notes", "--since", "2026-01-01", "--until", "2026-01-03",
                "--every", "day", "--direct")  # fmt: skip
    code, err = vecmill(*backfill)
    assert code == 1
    assert "`vecmill backfill notes --allow-alarms`" in err.replace("\n", " ")
    assert len(guarded.rows()) == 40
    code, err = vecmill(*backfill, "--allow-alarms")
    assert code == 0, err
    assert len(guarded.rows()) == 80


def test_the_command_line_says_so_and_looks_once(
    guarded: Project, vecmill: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[list[str]] = []
    look = monitoring.look

    def counted(*args: object, **keys: object) -> object:
        looks.append([plugin.name for plugin in args[5]])  # type: ignore[attr-defined]
        return look(*args, **keys)  # type: ignore[arg-type]

    monitor(guarded.settings(), "notes", Silent())
    monkeypatch.setattr(monitoring, "look", counted)
    guarded.write(BAD)
    code, err = vecmill("run", "notes", "--direct")
    assert code == 1
    assert "vecmill run notes --allow-alarms" in err.replace("\n", " ")
    assert looks == [["records"]]
    code, err = vecmill("run", "notes", "--direct", "--allow-alarms")
    assert code == 3, err
    assert "records: alarm: label has no value" in err.replace("\n", " ")
    assert looks[1:] == [["records"], ["health"]]
    assert [row[1:] for row in kept(guarded) if row[0] == guarded.runs()[-1]["run_id"]] == [
        ("health", "quiet"), ("records", "alarm"),
    ]  # fmt: skip
    code, _ = vecmill("replay", "notes", "--direct", "--allow-alarms")
    assert code == 0


def test_looks_that_were_missed_are_made_up_for(guarded: Project, vecmill: Call) -> None:
    guarded.write(MENDED)
    outcome = guarded.run()  # and ends before the monitors that block nothing have looked
    assert [row[1:] for row in kept(guarded) if row[0] == outcome.run] == [("records", "quiet")]
    code, err = vecmill("run", "notes", "--direct")
    assert code == 0
    assert "the monitors have yet to look" in err.replace("\n", " ")
    found = [row[1] for row in kept(guarded) if row[0] == outcome.run]
    assert found == ["health", "records"]
    assert "have yet to look" not in vecmill("run", "notes", "--direct")[1]


def test_a_finding_of_an_earlier_release_is_read(guarded: Project) -> None:
    monitor(guarded.settings(), "notes", Silent())
    with guarded.stores().catalog.transaction() as con:  # as the migration leaves them
        con.execute("UPDATE findings SET series = NULL, alone = NULL, reference = NULL")
    records, _ = monitor(guarded.settings(), "notes", Silent(), again=False)
    assert (records.monitor, records.verdict, records.series) == ("records", "quiet", {})


def test_what_has_been_found_needs_no_reference_any_more(guarded: Project) -> None:
    guarded.feature = {"monitors": ["records"], "reference": "20260101T000000-0123456789a"}
    (known,) = monitor(guarded.settings(), "notes", Silent(), again=False)
    assert known.verdict == "quiet"
    with pytest.raises(MonitorError, match="reference names the run"):
        monitor(guarded.settings(), "notes", Silent())


@pytest.mark.parametrize(("blocks", "code"), [("promotion", 3), ("nothing", 0)])
def test_an_alarm_blocks_a_promotion_if_it_is_to(
    guarded: Project, vecmill: Call, blocks: str, code: int
) -> None:
    guarded.more = f'[monitors.records]\nblocks = "{blocks}"\nmax_null_share = 0.2\n'
    guarded.encoder = {"revision": 2}
    guarded.write(BAD)
    assert vecmill("run", "notes", "--direct")[0] == 3
    found, said = vecmill("promote", "notes", "2")
    assert found == code
    if code:
        assert re.search(r"no_alarms +NO +alarms by records", said, re.IGNORECASE)
        assert "does not pass its gates, so notes stays as it is: see no_alarms" in said
        assert vecmill("promote", "notes", "2", "--force", "--reason", "known")[0] == 0
    assert guarded.stores().catalog.live("notes").version == 2  # type: ignore[union-attr]
