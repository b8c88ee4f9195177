"""`vecmill serve` against a real server: what is due is started, refused, cancelled, made good."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest

from tests.flows.operations.service import states, wait

if TYPE_CHECKING:
    from tests.flows.operations.service import Row, Served, Service

pytestmark = pytest.mark.slow

EVERYTHING = """
[schedules.often]
features = ["notes"]
every = "10 seconds"

[schedules.broken]
features = ["broken", "notes"]
every = "30 days"
retries = 1
retry_after = "1 second"

[schedules.tidy]
does = "maintain"
every = "30 days"

[schedules.pages]
does = "report"
features = ["notes"]
every = "30 days"

[schedules.looks]
does = "monitor"
features = ["notes"]
every = "30 days"

[sources.gone]
kind = "table"
path = "gone.csv"

[features.broken]
source = "gone"
encoder = "mill"
"""


def test_what_is_due_is_started_and_shown(served: Served) -> None:
    served.project.feature = {"monitors": ["health"]}
    process = served.serve(EVERYTHING)
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

    assert served.carried_out("tidy")["state_type"] == "COMPLETED", process.said()
    assert served.carried_out("pages")["state_type"] == "COMPLETED", process.said()
    assert list(served.project.root.rglob("notes.html"))

    assert served.carried_out("looks")["state_type"] == "COMPLETED", process.said()

    assert process.end(signal.SIGTERM) == 0
    assert "ended; the schedules are paused" in process.said()
    found = service.deployment(served.name("tidy"))
    assert found is not None
    assert found["paused"]


def _check_run(served: Served, run: Row) -> None:
    service = served.service
    assert len(served.project.rows()) == 60
    assert (run["name"], run["auto_scheduled"]) == ("often", True)
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


def test_a_start_while_one_goes_on_is_refused_or_waits_and_a_cancelled_one_is_gone_on_from(
    served: Served,
) -> None:
    served.project.encoder = {"breach": "slow"}
    process = served.serve(
        '[schedules.one]\nevery = "30 days"\n'
        '[schedules.line]\ndoes = "monitor"\nevery = "30 days"\noverlap = "queue"\n'
    )
    service = served.service
    first = served.begin("one")
    served.encoding(process)
    refused = service.ended(served.begin("one"), "CANCELLED")
    assert refused["state"]["message"] == "Deployment concurrency limit reached."

    service.cancel(first)
    run = service.ended(first, "CANCELLED")
    assert run["state_name"] == "Cancelled"
    assert served.project.rows_or_none() is None, "nothing half done is published"
    before = served.encoded()
    again = served.carried_out("one")
    assert again["state_type"] == "COMPLETED", process.said()
    assert len(served.project.rows()) == 60
    done = served.project.runs()[-1]
    assert done["status"] == "done"
    assert done["resumed"] > 0, "it goes on from what the cancelled one had encoded"
    assert (done["resumed"] + done["encoded"], before < 60) == (60, True)

    line = [served.begin("line"), served.begin("line")]
    wait(
        lambda: "AwaitingConcurrencySlot" in states(map(service.run, line)),
        "the second to wait",
        process.said,
    )
    assert process.end(signal.SIGINT) == 130


def test_sigterm_stops_what_goes_on_and_the_next_start_makes_it_good(served: Served) -> None:
    served.project.encoder = {"breach": "slow"}
    schedule = '[schedules.s]\nevery = "30 days"\n'
    process = served.serve(schedule)
    service, name = served.service, served.name("s")
    served.begin("s")
    served.encoding(process)
    assert process.end(signal.SIGTERM) == 0
    assert "stopping: what goes on is stopped too" in process.said()
    assert set(states(service.runs(name))) == {"Cancelled"}
    assert served.project.rows_or_none() is None
    process = served.serve(schedule)
    assert "s: its last run, s, was stopped before its end; it is started now" in process.said()
    wait(lambda: states(service.runs(name))[-1] == "Completed", name, process.said)
    assert len(served.project.rows()) == 60
    assert "catch-up" in service.runs(name)[-1]["tags"]


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


def test_a_server_of_its_own_lives_as_long_as_it_is_served(
    served: Served, service: Service
) -> None:
    conf = served.conf('[schedules.s]\nevery = "30 days"\n')
    port = service.port()
    process = service.vecmill(
        *("serve", "--conf", conf, "--port", port),
        PREFECT_API_URL="",
        # A home of its own too: another server over the same database would schedule for it.
        PREFECT_HOME=str(served.project.root / "home"),
        PREFECT_SERVER_SERVICES_SCHEDULER_ENABLED="false",
        PREFECT_SERVER_SERVICES_SCHEDULER_LOOP_SECONDS="1",
    )
    process.says("serving; Ctrl-C ends it")
    assert f"Prefect's pages are at http://127.0.0.1:{port}" in process.said()
    process.says("Prefect's server has scheduled nothing yet. Do its services run?")
    assert process.end(signal.SIGTERM) == 0
    assert not service.answers(port)


def test_a_server_that_is_not_there_is_told_in_a_line(served: Served, service: Service) -> None:
    conf = served.conf('[schedules.s]\nevery = "30 days"\n')
    address = f"http://127.0.0.1:{service.port()}/api"
    process = service.vecmill("serve", "--conf", conf, PREFECT_API_URL=address)
    assert process.code() == 1
    assert f"error: Prefect's server at {address}: ConnectError" in process.said()
    assert "Traceback" not in process.said()
