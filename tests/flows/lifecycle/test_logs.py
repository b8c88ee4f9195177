"""vecmill logs: what a run said is kept, however it ended, and shown."""

from __future__ import annotations

import importlib
import json
import os
import resource
import signal
import time
from threading import Thread
from typing import TYPE_CHECKING, Any

import pytest

from flows.cli import _after, run_command
from flows.commands.logs import _entries
from flows.lifecycle import run_logs
from flows.output.log_lines import told
from flows.output.logged import Logged
from flows.output.progress import Silent
from flows.output.redact import remember
from flows.output.stopping import Terminated
from flows.pipeline.run_log import told_failure
from flows.upkeep.gc import Collector
from storage import logs
from storage.locks import exclusive
from storage.logs import Log, Logs
from storage.model import UsageError
from tests.flows.interruptions import Interruption, Stopping, stop

if TYPE_CHECKING:
    from pathlib import Path

    from tests.flows.project import Project
    from tests.processes import Forking

ROWS = [(n, f"text {n}", "x") for n in range(20)]
KILLED = """
import sys
from pathlib import Path
from tests.flows.interruptions import Stopping, die
from tests.flows.plugins import installed
from tests.flows.project import Project
with installed():
    Project(Path(sys.argv[1])).run(Stopping(point="shard", how=die))
"""


def kept(project: Project) -> list[dict[str, Any]]:
    """The lines of the last run's log."""
    return list(run_logs.lines(run_logs.find(project.settings(), None)))


def show(project: Project, capsys: pytest.CaptureFixture[str], *more: str) -> tuple[int, str, str]:
    capsys.readouterr()
    code = run_command(["logs", *more, "--conf", str(project.settings().conf)])
    got = capsys.readouterr()
    return code, got.out, got.err


# --- what is kept ---------------------------------------------------------------------------------


def test_a_run_keeps_its_stages_shards_and_end(project: Project) -> None:
    project.write(ROWS)
    outcome = project.run()
    found = kept(project)
    assert [entry["event"] for entry in found] == [
        *("begin", "stage", "staged", "version", "stage", "staged"),
        *("stage", "shard", "shard", "shard", "staged", "stage", "staged", "done"),
    ]
    assert (found[0]["run"], found[0]["feature"], found[0]["process"]) == (
        outcome.run, "notes", os.getpid(),
    )  # fmt: skip
    assert [entry["encoded"] for entry in found if entry["event"] == "shard"] == [8, 8, 4]
    assert [e["records"] for e in found if e["event"] == "staged"] == [0, 20, 20, 0]
    done = found[-1]
    assert {key: done[key] for key in ("new", "encoded", "rows", "version", "standing")} == {
        "new": 20, "encoded": 20, "rows": 20, "version": 1, "standing": "live",
    }  # fmt: skip


def test_a_stage_that_a_failure_breaks_off_is_not_told_as_done(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    project.write(ROWS)
    project.encoder = {"breach": "refuses"}
    with pytest.raises(Exception, match="the weights are gone"):
        project.run()
    events = [(entry["event"], entry.get("stage")) for entry in kept(project)]
    assert events[-2:] == [("broken_off", "encode"), ("failed", None)]
    assert ("staged", "encode") not in events
    assert "encode: broken off after " in show(project, capsys)[1]


def test_a_run_that_fails_keeps_its_reason(project: Project) -> None:
    project.write(ROWS)
    with pytest.raises(Interruption, match="stopped here"):
        project.run(Stopping(point="encode", how=stop))
    last = kept(project)[-1]
    assert (last["event"], last["message"]) == ("failed", "Interruption: stopped here")
    assert "in stop" in last["traceback"], "what is no fault of the user's says where it was"
    project.source = {"path": "gone.csv"}
    with pytest.raises(Exception, match="no file matches"):
        project.run()
    last = kept(project)[-1]
    assert last["message"].startswith("no file matches 'gone.csv'")
    assert last["error"] == "SourceError"
    assert "traceback" not in last
    [*_, run] = project.runs()
    assert run_logs.find(project.settings(), run["run_id"]).feature == "notes"


@pytest.mark.parametrize(
    ("module", "name"),
    [("prefect.exceptions", "TerminationSignal"), ("flows.output.stopping", "Terminated")],
)
def test_a_run_that_a_signal_stops_says_so_in_words(module: str, name: str) -> None:
    signalled = getattr(importlib.import_module(module), name)
    assert issubclass(signalled, BaseException)
    error = signalled.__new__(signalled, signal.SIGTERM)
    assert told_failure(error).startswith("stopped by SIGTERM; the next run goes on from what it")
    assert told_failure(KeyboardInterrupt()).startswith("stopped by Ctrl-C; the next run goes on")
    error.add_note("it was only waiting")
    assert told_failure(error) == "stopped by SIGTERM; it was only waiting"


@pytest.mark.slow
def test_a_killed_run_keeps_all_it_had_said(
    forking: Forking, project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    project.write(ROWS)
    project.settings()
    assert forking.run(KILLED, project.root).code == -9
    assert [entry["event"] for entry in kept(project)][-1] == "shard"
    code, out, err = show(project, capsys, "--verbose")
    assert code == 0
    assert "8 encoded in " in out.splitlines()[-1]
    assert err.startswith("the log ends here: the process was killed. ")
    killed = run_logs.find(project.settings(), None).run_id
    outcome = project.run()
    assert outcome.counts.resumed == 8
    notes = [entry["message"] for entry in kept(project) if entry["event"] == "note"]
    assert notes == [f"notes: goes on from what was encoded by the run {killed}, which was killed"]


def test_no_secret_gets_into_a_log(tmp_path: Path) -> None:
    remember("A_KEY", "s3cret-of-mine")
    Logged(Silent(), Logs(tmp_path).open("notes", "r1")).note("it was s3cret-of-mine, at s3cret")
    text = (tmp_path / "notes" / "r1.jsonl").read_text("utf-8")
    assert json.loads(text)["message"] == "it was ${A_KEY}, at s3cret"


def test_a_log_has_an_end_and_keeps_how_the_run_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logs, "MOST_BYTES", 2000)
    log = Logs(tmp_path).open("notes", "r1")
    for n in range(500):
        log.write("note", {"message": f"number {n}"})
    log.write("failed", {"message": "x" * 20_000}, last=True)
    path = tmp_path / "notes" / "r1.jsonl"
    found = [entry for entry, _ in logs.entries(path)]
    assert [entry["event"] for entry in found[-3:]] == ["note", "full", "failed"]
    assert path.stat().st_size < 12_000
    assert found[-1]["message"].endswith("… (20,000 characters)")


def test_a_line_that_is_cut_off_takes_no_other_with_it(tmp_path: Path) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    log = Logs(tmp_path).open("notes", "r1")
    log.write("note", {"message": "whole"})
    path = tmp_path / "notes" / "r1.jsonl"
    # No file may grow beyond this, as on a disk that is full: what is too much is not written.
    resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + 30, before[1]))
    try:
        log.write("note", {"message": "cut off"})
        log.write("note", {"message": "not written at all"})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    log.write("failed", {"message": "No space left on device"}, last=True)
    found = [entry["event"] for entry, _ in logs.entries(path)]
    assert found == ["note", "failed"]


def test_a_log_that_cannot_be_written_stops_no_run(project: Project) -> None:
    project.write(ROWS)
    (project.root / "data").mkdir()
    (project.root / "data" / "logs").write_text("in the way")
    assert project.run().counts.new == 20


def test_progress_is_told_now_and_then_and_not_by_shard(tmp_path: Path) -> None:
    seconds = iter(range(1000))
    path = tmp_path / "log.jsonl"
    logged = Logged(Silent(), Log(path), every=10, clock=lambda: next(seconds))
    logged.stage("notes", "encode", 100)
    for _ in range(40):
        logged.advance(1)
    far = [entry for entry, _ in logs.entries(path) if entry["event"] == "progress"]
    assert 3 <= len(far) <= 5
    assert far[0]["total"] == 100


# --- showing --------------------------------------------------------------------------------------


def test_the_last_run_is_shown_in_words_and_as_it_is_kept(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    project.write(ROWS)
    project.run()
    project.write(ROWS)  # anew, or a file two seconds old is not read again
    outcome = project.run()
    code, out, err = show(project, capsys)
    assert (code, err) == (0, "")
    lines = [line[10:] for line in out.splitlines()]
    assert lines[0].startswith(f"notes: run {outcome.run} of notes by mill, begun ")
    assert lines[-2].startswith("plan: 20 records in ")
    assert lines[-1].endswith("20 records, nothing to do; v1 is live, 20 rows")
    code, out, err = show(project, capsys, "--json")
    assert [json.loads(line) for line in out.splitlines()] == kept(project)


def test_a_run_is_named_by_the_beginning_of_its_id_or_by_its_feature(project: Project) -> None:
    project.write(ROWS)
    first, second = project.run(), project.run()
    settings = project.settings()
    assert run_logs.find(settings, first.run).run_id == first.run
    assert run_logs.find(settings, first.run[:-2]).run_id == first.run
    assert run_logs.find(settings, "notes").run_id == second.run
    with pytest.raises(UsageError, match=f"'20' is the beginning of 2 runs: {first.run}"):
        run_logs.find(settings, "20")
    with pytest.raises(UsageError, match="did you mean 'notes'"):
        run_logs.find(settings, "notse")
    wrong = second.run[:-1] + ("0" if second.run[-1] != "0" else "1")
    with pytest.raises(UsageError, match=f"did you mean '{second.run}'"):
        run_logs.find(settings, wrong)
    project.stores().logs.path("notes", first.run).unlink()
    with pytest.raises(UsageError, match="has no log any more"):
        run_logs.find(settings, first.run)
    project.stores().logs.path("notes", second.run).unlink()
    with pytest.raises(UsageError, match="notes has run, and has no log any more"):
        run_logs.find(settings, "notes")


def test_without_a_run_there_is_nothing_to_show(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    project.write(ROWS)
    code, out, err = show(project, capsys)
    assert (code, out) == (2, "")
    assert "no run has left a log" in err


def test_a_run_under_way_is_followed_to_its_end(project: Project) -> None:
    settings, stores = project.settings(), project.stores()
    log = stores.logs.open("notes", "20260101T000000-1")
    log.write("begin", {})
    seen: list[str] = []

    def follow() -> None:
        found = run_logs.find(settings, None)
        seen.extend(entry["event"] for entry in run_logs.follow(settings, found, 0.01))

    with exclusive(stores.locks / "notes.lock", "notes", 5, print):
        assert run_logs.under_way(settings, run_logs.find(settings, None))
        thread = Thread(target=follow)
        thread.start()
        log.write("note", {"message": "later"})
        deadline = time.monotonic() + 60
        while len(seen) < 2 and time.monotonic() < deadline:
            time.sleep(0.01)
        log.write("done", {})
        thread.join(60)
    assert seen == ["begin", "note", "done"]


def test_following_ends_with_the_process_that_held_the_lock(project: Project) -> None:
    log = project.stores().logs.open("notes", "20260101T000000-1")
    log.write("begin", {})
    found = run_logs.find(project.settings(), None)
    entries = run_logs.follow(project.settings(), found, 0.01)
    assert [entry["event"] for entry in entries] == ["begin"]


@pytest.mark.parametrize("ended", [KeyboardInterrupt, Terminated])
def test_a_signal_ends_the_following_and_no_run(
    project: Project, ended: type[BaseException]
) -> None:
    settings, stores = project.settings(), project.stores()
    stores.logs.open("notes", "20260101T000000-1").write("begin", {})
    found = run_logs.find(settings, None)
    with exclusive(stores.locks / "notes.lock", "notes", 5, print):
        entries = _entries(settings, found, follow=True)
        assert next(entries)["event"] == "begin"
        with pytest.raises(ended) as told:
            entries.throw(ended())
    assert _after(told.value) == (
        "the run itself goes on, and `vecmill logs 20260101T000000-1` shows how"
    )
    assert "the next run goes on from what was encoded" in _after(ended())


def test_findings_are_in_the_log_of_the_run_they_are_about(project: Project) -> None:
    from flows.monitoring.looking import monitor

    project.write(ROWS)
    project.feature = {"monitors": ["health"]}
    project.run()
    monitor(project.settings(), "notes", Silent())
    last = kept(project)[-1]
    assert (last["event"], last["monitor"], last["verdict"]) == ("finding", "health", "quiet")


def test_an_event_of_a_later_release_is_shown_as_it_stands() -> None:
    assert told({"at": "?", "event": "new", "what": 3}) == "?  event new, what 3"


# --- their end ------------------------------------------------------------------------------------


def test_old_logs_go_with_gc_and_the_last_ones_stay(project: Project) -> None:
    project.write(ROWS)
    runs = [project.run().run for _ in range(4)]
    stores = project.stores()
    for run in runs:
        os.utime(stores.logs.path("notes", run), (1_700_000_000, 1_700_000_000))
    project.more = "[gc]\nkeep_runs = 2\n"
    settings = project.settings()
    [item] = [i for i in Collector(settings, settings.gc).look([]) if i.kind == "log"]
    assert (item.feature, item.goes, item.what) == ("notes", True, "2 logs of runs of notes")
    assert len(stores.logs.files("notes")) == 4, "looking removes nothing"
    Collector(settings, settings.gc).collect([], Silent())
    assert [path.stem for path in stores.logs.files("notes")] == runs[2:]


def test_logs_of_features_that_nobody_knows_go(project: Project) -> None:
    project.write(ROWS)
    project.run()
    stores, settings = project.stores(), project.settings()
    stores.logs.open("gone", "20260101T000000-1").write("begin", {})
    os.utime(stores.logs.files("gone")[0], (1_700_000_000, 1_700_000_000))
    Collector(settings, settings.gc).collect([], Silent())
    assert stores.logs.features() == ["notes"]
