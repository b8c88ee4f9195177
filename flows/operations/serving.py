"""The process that serves schedules: it starts what is due, each run in a process of its own."""

from __future__ import annotations

import asyncio
import os
import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from flows import run as _run  # noqa: F401 - first: it sets what Prefect reads when it is imported

# isort: split

from httpx import HTTPError
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import DeploymentFilter, DeploymentFilterId
from prefect.context import refresh_global_settings_context
from prefect.deployments.runner import DeploymentApplyError
from prefect.exceptions import PrefectException
from prefect.runner import Runner
from prefect.settings import PREFECT_API_URL, PREFECT_UI_URL, get_current_settings

from flows.operations import catch_up, lineage, server
from flows.operations.deployments import FLOWS, deployment
from flows.pipeline.refusals import RunError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from uuid import UUID

    from flows.config.settings import Settings


@contextmanager
def api(port: int | None, log: Path) -> Iterator[str]:
    """The server that is configured for Prefect, or a local one for the block.

    Yields:
        The address of its UI.
    """
    configured = PREFECT_API_URL.value()
    if configured:
        yield str(PREFECT_UI_URL.value() or configured)
        return
    with server.local(port, log) as address:
        os.environ["PREFECT_API_URL"] = address  # which the processes of runs are given too
        refresh_global_settings_context()
        try:
            yield address.removesuffix("/api")
        finally:
            del os.environ["PREFECT_API_URL"]
            refresh_global_settings_context()


def serve(settings: Settings, say: Callable[[str], None], ready: Callable[[], None]) -> int | None:
    """Serve the schedules until a signal ends it.

    Runs that go on then are stopped: what they have encoded is kept, and the next run goes on from
    there. The schedules are paused on the server until they are served again.

    Args:
        settings: the configuration.
        say: told of what happens.
        ready: called once everything that is due from now on will be started.

    Returns:
        The signal that ended it.

    Raises:
        RunError: if the server cannot be reached, or takes no deployment.
    """
    try:
        return asyncio.run(_serve(settings, say, ready))
    except Exception as error:
        cause = _first(error)
        if not isinstance(cause, (HTTPError, PrefectException, DeploymentApplyError)):
            raise
        told = f"{type(cause).__name__}: {cause}".removesuffix(": ")
        raise RunError(f"Prefect's server at {PREFECT_API_URL.value()}: {told}") from error


def _first(error: BaseException) -> BaseException:
    """An error, or the first of a group of them."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


async def _serve(
    settings: Settings, say: Callable[[str], None], ready: Callable[[], None]
) -> int | None:
    # No limit to how many go on at once: a start that waits in line here would not be refused.
    runner = Runner(name=f"vecmill-{lineage.project(settings).replace('/', '-')}", limit=None)
    made = await _register(settings, runner, say)
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[int] = loop.create_future()

    def end(number: int) -> None:
        if not ended.done():
            ended.set_result(number)

    going = asyncio.create_task(runner.start())
    while not (runner.started or going.done()):  # noqa: ASYNC110 - the runner tells of its start by nothing else
        await asyncio.sleep(0.05)
    # After the start, which has set a handler of its own that stops the loop from within it.
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, end, number)
    ready()
    watching = asyncio.create_task(_watch(made, say))
    first: set[asyncio.Future[Any]] = {going, ended}
    await asyncio.wait(first, return_when=asyncio.FIRST_COMPLETED)
    if ended.done() and not going.done():
        say("stopping: what goes on is stopped too, and the next run goes on from what it encoded")
        await runner.astop()
    watching.cancel()
    await going
    return ended.result() if ended.done() else None


async def _watch(deployments: list[UUID], say: Callable[[str], None]) -> None:
    """Say so where the server makes no runs of what is scheduled: nothing else would tell."""
    # It looks for what is to be made this often.
    await asyncio.sleep(3 * get_current_settings().server.services.scheduler.loop_seconds)
    try:
        async with get_client() as client:
            found = await client.read_flow_runs(
                deployment_filter=DeploymentFilter(id=DeploymentFilterId(any_=deployments)),
                limit=1,
            )
    except (HTTPError, PrefectException):
        return  # a server that is not there is told of by what polls it
    if deployments and not found:
        say(
            "Prefect's server has scheduled nothing yet. Do its services run? Its log says why "
            "not; with SQLAlchemy 2.1 those of Prefect 3.8 fail: install 'sqlalchemy<2.1' there"
        )


async def _register(settings: Settings, runner: Runner, say: Callable[[str], None]) -> list[UUID]:
    """Make the deployments; those that are due by themselves."""
    due = []
    async with get_client() as client:
        for schedule in settings.schedules.values():
            made = deployment(settings, schedule, None)
            name = f"{FLOWS[schedule.does].name}/{made.name}"
            found = await catch_up.missed(client, name, schedule) if schedule.active else None
            number = await runner.aadd_deployment(made)
            wanted = found is not None and schedule.catch_up
            await catch_up.make_good(client, number, once=wanted)
            if found is not None:
                then = "it is started now" if wanted else "it is left out (catch_up = false)"
                say(f"{schedule.name}: {found.why}; {then}")
            due += [number] if schedule.active else []
    return due
