"""`vecmill serve` against a real server: what is due is started, refused, cancelled, made good."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from prefect.client.orchestration import get_client

from flows.config.configuration import load
from flows.operations import catch_up, server
from flows.operations.deployments import deployment, full_name
from tests.flows.operations.service import Gateway, states, wait

if TYPE_CHECKING:
    from flows.operations.catch_up import Missed
    from tests.flows.operations.service import Row, Served, Service

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


def test_what_is_due_is_started_and_shown(served: Served) -> None:
    served.project.feature = {"monitors": ["health"]}
    process = served.serve(SCHEDULES)
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

    process.says("notes v1 (live): 60 new, 0 changed, 0 deleted, 0 dead letters, 60 rows; monitors")
    process.says(f"; see `vecmill logs {served.project.runs()[0]['run_id']}` and `vecmill report")
    process.says("| ERROR   | Flow run 'broken 20")
    process.says("broken: failed after ")
    process.says("no file matches 'gone.csv'")
    assert "Traceback" not in process.said()
    assert process.end(signal.SIGTERM) == 0
    assert "ended; the schedules are paused" in process.said()
    found = service.deployment(served.name("broken"))
    assert found is not None
    assert found["paused"]


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


def test_starts_are_refused_or_wait_and_what_is_stopped_is_gone_on_from(served: Served) -> None:
    served.project.encoder = {"breach": "slow"}
    schedules = (
        '[schedules.one]\nevery = "30 days"\n'
        '[schedules.line]\ndoes = "monitor"\nevery = "30 days"\noverlap = "queue"\n'
    )
    process = served.serve(schedules)
    service, name = served.service, served.name("one")
    first = served.begin("one")
    served.encoding(process)
    refused = service.ended(served.begin("one"), "CANCELLED")
    assert refused["state"]["message"] == "Deployment concurrency limit reached."
    service.cancel(first)
    assert service.ended(first, "CANCELLED")["state_name"] == "Cancelled"
    process.says("one: it was cancelled")
    assert served.project.rows_or_none() is None, "nothing half done is published"
    before = served.encoded()

    served.begin("one")
    wait(lambda: served.encoded() > before, "it to go on", process.said)
    assert process.end(signal.SIGTERM) == 0
    assert "stopping: what goes on is stopped too" in process.said()
    assert process.said().count("one: stopped with `vecmill serve`; nothing") == 1
    assert "| ERROR" not in process.said().partition("stopping: what goes on")[2]
    assert set(states(service.runs(name))) == {"Cancelled"}
    assert served.project.rows_or_none() is None
    assert before < served.encoded() < 60

    process = served.serve(schedules)
    assert "one: its last run, due 20" in process.said()
    assert ", was stopped before its end; it is started now" in process.said()
    line = [served.begin("line"), served.begin("line")]
    wait(
        lambda: "AwaitingConcurrencySlot" in states(map(service.run, line)),
        "the second to wait",
        process.said,
    )
    wait(lambda: states(service.runs(name))[-1] == "Completed", name, process.said)
    assert "catch-up" in service.runs(name)[-1]["tags"]
    assert len(served.project.rows()) == 60
    done = served.project.runs()[-1]
    assert (done["status"], done["resumed"] + done["encoded"]) == ("done", 60)
    assert done["resumed"] > 0, "it goes on from what the stopped ones had encoded"
    assert process.end(signal.SIGINT) == 130


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
    told = "ended by SIGTERM; nothing half done is published, and the next run goes on from here"
    assert (f'{{"error": "{told}", "code": 143}}' if how else f"error: {told}") in process.said()
    assert "Traceback" not in process.said()
    assert served.project.rows_or_none() is None
    served.project.encoder = {}
    assert served.project.run().counts.resumed > 0
    assert len(served.project.rows()) == 60


def test_a_server_of_its_own_that_is_killed_ends_it_and_its_runs(
    served: Served, service: Service, migrated: Path
) -> None:
    served.project.encoder = {"breach": "slow"}
    conf = served.conf('[schedules.s]\nevery = "30 days"\n')
    port = service.port()
    process = service.vecmill(
        *("serve", "--conf", conf, "--port", port),
        PREFECT_API_URL="",
        # A home of its own too: another server over the same database would schedule for it.
        PREFECT_HOME=str(shutil.copytree(migrated, served.project.root / "home")),
        PREFECT_SERVER_SERVICES_SCHEDULER_ENABLED="false",
        PREFECT_SERVER_SERVICES_SCHEDULER_LOOP_SECONDS="1",
    )
    served.process = process
    process.says("serving; Ctrl-C ends it")
    assert f"Prefect's pages are at http://127.0.0.1:{port}\n" in process.said()
    process.says("Prefect's server has scheduled nothing yet. Do its services run?")
    replace(service, api=f"http://127.0.0.1:{port}/api").begin(served.name("s"))
    served.encoding(process)
    children = process.children()
    prefect = next(n for n, line in children.items() if "prefect server start" in line)
    run = next(n for n, line in children.items() if "prefect.engine" in line)
    os.kill(prefect, signal.SIGKILL)
    assert process.code() == 1
    assert "error: Prefect's server, which was started with this process, has ended by SIGKILL" in (
        process.said()
    )
    assert "Traceback" not in process.said()
    wait(lambda: not Path(f"/proc/{run}").exists(), "the run to end with it", process.said)
    assert served.project.rows_or_none() is None


def test_a_server_of_its_own_lives_as_long_as_it_is_served(
    service: Service, migrated: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = service.port()
    monkeypatch.setenv("PREFECT_HOME", str(shutil.copytree(migrated, tmp_path / "home")))
    with server.local(port, tmp_path / "server.log") as own:
        assert (own.api, own.ended()) == (f"http://127.0.0.1:{port}/api", None)
        with server.local(port, tmp_path / "other.log") as again:
            assert again == server.Server(own.api), "one that answers is used, and no other started"
        assert service.answers(port)
    assert not service.answers(port)
    assert own.ended() is not None


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


def test_a_server_that_is_not_there_is_told_in_a_line(served: Served, service: Service) -> None:
    conf = served.conf('[schedules.s]\nevery = "30 days"\n')
    address = f"http://127.0.0.1:{service.port()}/api"
    process = service.vecmill("serve", "--conf", conf, PREFECT_API_URL=address)
    assert process.code() == 1
    assert f"error: Prefect's server at {address}: ConnectError" in process.said()
    assert "Traceback" not in process.said()


def test_a_server_that_does_not_answer_any_more_ends_it(served: Served, service: Service) -> None:
    with Gateway(service.api) as gateway:
        conf = served.conf('[schedules.s]\nevery = "30 days"\n')
        process = service.vecmill("serve", "--conf", conf, PREFECT_API_URL=gateway.api)
        served.process = process
        process.says("serving; Ctrl-C ends it")
    assert process.code() == 1
    said = process.said()
    assert f"error: Prefect's server at {gateway.api} does not answer any more" in said
    assert "a fault of Vecmill" not in said
