"""`vecmill serve` against a real server: what is due is started, refused, cancelled, made good."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest
from prefect.client.orchestration import get_client

from flows.config.configuration import load
from flows.operations import catch_up, server
from flows.operations.deployments import deployment, full_name
from flows.operations.serving import Ended
from tests.flows.operations.service import Gateway, states, wait

if TYPE_CHECKING:
    from flows.operations.catch_up import Missed
    from tests.flows.operations.service import Process, Row, Served, Service

pytestmark = pytest.mark.slow

SCHEDULES = """
[schedules.often]
features = ["notes"]
every = "10 seconds"

[schedules.broken]
features = ["broken", "notes"]
every = "30 days"
retries = 1
retry_after = "1 second"

[sources.gone]
kind = "table"
path = "gone.csv"

[features.broken]
source = "gone"
encoder = "mill"
"""


MANY = 160
"""Records that are encoded slowly: a run of them goes on for as long as a test looks at it."""


def test_what_is_due_is_started_and_shown_until_the_server_answers_no_more(served: Served) -> None:
    served.project.feature = {"monitors": ["health"]}
    with Gateway(served.service.api) as gateway:
        process = served.serve(SCHEDULES, PREFECT_API_URL=gateway.api)
        service, name = served.service, served.name("often")
        wait(lambda: "Completed" in states(service.runs(name)), name, process.said)
        service.pause(name)  # it has shown what it is to show, and each run costs
        run = next(r for r in service.runs(name) if r["state_name"] == "Completed")
        _check_run(served, run)
        _check_asset(served)

        failed = served.carried_out("broken")
        assert failed["state_type"] == "FAILED"
        assert "1 of 2 failed: broken: " in failed["state"]["message"]
        assert sorted(states(service.inner(failed)))[-2:] == ["Failed"] * 2, "once, and once more"
        assert '"status": "failed"' in service.artifacts(failed)["vecmill-schedule-broken"]["data"]

        process.says("notes v1 (live): 60 new, 0 changed, 0 deleted, 0 dead letters, 60 rows; mon")
        process.says(f"; see `vecmill logs {served.project.runs()[0]['run_id']}` and `vecmill rep")
        process.says("| ERROR   | Flow run 'broken 20")
        process.says("broken: failed after ")
        process.says("no file matches 'gone.csv'")
    assert process.code() == 1
    said = process.said()
    assert f"error: Prefect's server at {gateway.api} does not answer any more (" in said
    assert "Traceback" not in said
    assert "prefect.events.clients" not in said, "it complains of each event"


def _check_run(served: Served, run: Row) -> None:
    service = served.service
    assert len(served.project.rows()) == 60
    due = str(run["expected_start_time"])[:19].replace("T", " ")
    assert (run["name"], run["auto_scheduled"]) == (f"often {due}", True)
    assert {"vecmill", served.project.root.name, "notes"} <= set(run["tags"])
    inner = {one["name"]: set(one["tags"]) for one in service.inner(run)}
    assert {"vecmill", "notes", "notes v1"} <= inner["embed notes"]
    assert '"records": 60' in service.artifacts(run)["vecmill-schedule-often"]["data"]


def _check_asset(served: Served) -> None:
    """What was published is an asset, made of its source; Prefect keeps that as an event."""
    key = f"vecmill://{served.project.root.name}/notes"

    def made() -> list[Row]:
        events = served.service.events("prefect.asset.materialization.succeeded")
        return [event for event in events if event["resource"]["prefect.resource.id"] == key]

    wait(lambda: bool(made()), key)
    (event,) = made()
    related = {one["prefect.resource.id"] for one in event["related"]}
    assert {f"vecmill://{served.project.root.name}/sources/notes", "vecmill"} <= related
    assert (event["payload"]["version"], event["payload"]["rows"]) == (1, 60)


@pytest.fixture
def owning(served: Served, migrated: Path) -> Served:
    """The project with a port and a home for a server of its own.

    Of its own too, since another server over the same database would schedule for it.
    """
    shutil.copytree(migrated, served.project.root / "home")
    served.project.write((f"r{i}", f"text {i}", "x") for i in range(MANY))
    api = f"http://127.0.0.1:{served.service.port()}/api"
    served.service = replace(served.service, api=api)
    return served


def serve_own(served: Served) -> Process:
    """Serve by a server of its own, which schedules nothing by itself."""
    process = served.serve(
        '[schedules.one]\nevery = "30 days"\n'
        '[schedules.line]\ndoes = "monitor"\nevery = "30 days"\noverlap = "queue"\n',
        *("--port", str(urlsplit(served.service.api).port)),
        PREFECT_API_URL="",
        PREFECT_HOME=str(served.project.root / "home"),
        PREFECT_SERVER_SERVICES_SCHEDULER_ENABLED="false",
        PREFECT_SERVER_SERVICES_SCHEDULER_LOOP_SECONDS="1",
    )
    assert f"Prefect's pages are at {served.service.api.removesuffix('/api')}\n" in process.said()
    return process


def test_starts_are_refused_or_wait_and_what_is_stopped_is_gone_on_from(owning: Served) -> None:
    """And the server that was started for it: it is killed first, then ended by SIGTERM."""
    served, service, name = owning, owning.service, owning.name("one")
    served.project.encoder = {"breach": "slow"}
    process = serve_own(served)
    process.says("Prefect's server has scheduled nothing yet. Do its services run?")
    _check_second_starts(served, process)
    before = served.encoded()
    served.begin("one")
    wait(lambda: served.encoded() > before, "it to go on", process.said)
    run = next(n for n, line in process.children().items() if "prefect.engine" in line)
    os.kill(_server_of(process), signal.SIGKILL)
    assert process.code() == 1
    told = "error: Prefect's server, which was started with this process, has ended by SIGKILL"
    assert told in process.said()
    assert "Traceback" not in process.said()
    wait(lambda: not Path(f"/proc/{run}").exists(), "the run to end with it", process.said)
    assert served.project.rows_or_none() is None

    before = served.encoded()
    process = serve_own(served)
    assert "one: its last run, due 20" in process.said()
    assert ", was stopped before its end; it is started now" in process.said()
    with server.local(urlsplit(service.api).port, served.project.root / "other.log") as again:
        assert again == server.Server(service.api), "one that answers is used, no other started"
    wait(lambda: served.encoded() > before, "it to go on", process.said)
    assert set(states(service.runs(name))) == {"Cancelled", "Crashed", "Running"}
    assert "catch-up" in service.runs(name)[-1]["tags"]
    own = _server_of(process)
    assert process.end(signal.SIGTERM) == 0
    stopped = process.said().partition("stopping: what goes on is stopped too")[2]
    assert stopped.count("one: stopped with `vecmill serve`; nothing") == 1
    assert "ended; the schedules are paused" in stopped
    assert "| ERROR" not in stopped
    assert "Traceback" not in stopped
    assert not Path(f"/proc/{own}").exists(), "the server ends with it"
    _check_what_it_kept(served.project.root / "home" / "prefect.db")
    assert served.project.rows_or_none() is None
    assert before < served.encoded() < MANY
    logs = served.project.stores().logs.files("notes")
    log = max(logs, key=lambda path: path.stem)
    assert "stopped by SIGTERM" in log.read_text("utf-8").splitlines()[-1], "it was not killed"

    served.project.encoder = {}
    counts = served.project.run().counts
    assert counts.resumed + counts.encoded == len(served.project.rows()) == MANY
    assert counts.resumed > 0, "it goes on from what the stopped ones had encoded"


def _check_second_starts(served: Served, process: Process) -> None:
    """One waits and one is refused while the first goes on; what is cancelled is gone."""
    line = [served.begin("line"), served.begin("line")]

    def waiting() -> list[str]:
        """Of the two: which comes first is the server's choice."""
        waits = "AwaitingConcurrencySlot"
        return [one for one in line if served.service.run(one)["state_name"] == waits]

    wait(lambda: bool(waiting()), "one to wait", process.said)
    for one in waiting():
        served.service.cancel(one)
    first = served.begin("one")
    served.encoding(process)
    refused = served.service.ended(served.begin("one"), "CANCELLED")
    assert refused["state"]["message"] == "Deployment concurrency limit reached."
    served.service.cancel(first)
    assert served.service.ended(first, "CANCELLED")["state_name"] == "Cancelled"
    process.says("one: it was cancelled")
    assert served.project.rows_or_none() is None, "nothing half done is published"


def _server_of(process: Process) -> int:
    """The id of the server that a process has started."""
    return next(n for n, line in process.children().items() if "prefect server start" in line)


def _check_what_it_kept(database: Path) -> None:
    """Of the schedules, and of runs that are of no other, once the server is gone."""
    with closing(sqlite3.connect(database)) as found:
        assert set(found.execute("SELECT DISTINCT paused FROM deployment")) == {(1,)}
        outer = "SELECT DISTINCT state_type FROM flow_run WHERE parent_task_run_id IS NULL"
        assert ("RUNNING",) not in set(found.execute(outer))


def test_the_exit_code_says_what_has_ended_it() -> None:
    assert (Ended(signal.SIGTERM).code, Ended(signal.SIGINT).code) == (0, 130)
    assert Ended(signal.SIGTERM, "Prefect could not be told").code == 1


@pytest.mark.parametrize("how", [["--direct", "--json"], []], ids=["direct", "as a flow"])
def test_a_run_that_is_terminated_says_so_and_is_gone_on_from(
    served: Served, service: Service, how: list[str]
) -> None:
    served.project.encoder = {"breach": "slow"}
    command = ["run", "--conf", served.conf(""), *how]
    # As quiet as it is by itself.
    process = service.vecmill(*command, PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL="CRITICAL")
    served.encoding(process)
    assert process.end(signal.SIGTERM) == 143
    told = (
        "ended by SIGTERM; nothing half done is published, and the next run goes on from what was "
        "encoded"
    )
    assert (f'{{"error": "{told}", "code": 143}}' if how else f"error: {told}") in process.said()
    assert "Traceback" not in process.said()
    assert served.project.rows_or_none() is None
    served.project.encoder = {}
    assert served.project.run().counts.resumed > 0
    assert len(served.project.rows()) == 60


def test_what_a_lost_server_takes_to_go_on_is_a_crash_and_made_good(
    served: Served, asked: Service
) -> None:
    settings = load(Path(served.conf('[schedules.s]\nevery = "30 days"\n')))
    schedule = settings.schedules["s"]
    deployment(settings, schedule, None).apply()
    run = served.begin("s")
    asked.post(f"flow_runs/{run}/set_state", state={"type": "RUNNING"}, force=True)

    async def look(*, bury: bool) -> Missed | None:
        async with get_client() as client:
            if bury:
                await catch_up.bury(client, full_name(settings, schedule))
            return await catch_up.missed(client, full_name(settings, schedule), schedule)

    assert asyncio.run(look(bury=False)) is None
    found = asyncio.run(look(bury=True))
    assert asked.run(run)["state_type"] == "CRASHED"
    assert found is not None
    assert found.why.endswith("was stopped before its end")
