"""The process that serves schedules: it starts what is due, each run in a process of its own."""

from __future__ import annotations

import asyncio
import os
import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from flows import run as _run  # noqa: F401 - first: it sets what Prefect reads when it is imported

# isort: split

from prefect.client.orchestration import get_client
from prefect.context import refresh_global_settings_context
from prefect.runner import Runner
from prefect.settings import PREFECT_API_URL, PREFECT_UI_URL

from flows.operations import catch_up, lineage, server
from flows.operations.deployments import FLOWS, deployment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

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
    """
    return asyncio.run(_serve(settings, say, ready))


async def _serve(
    settings: Settings, say: Callable[[str], None], ready: Callable[[], None]
) -> int | None:
    # No limit to how many go on at once: a start that waits in line here would not be refused.
    runner = Runner(name=f"vecmill-{lineage.project(settings).replace('/', '-')}", limit=None)
    await _register(settings, runner, say)
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
    first: set[asyncio.Future[Any]] = {going, ended}
    await asyncio.wait(first, return_when=asyncio.FIRST_COMPLETED)
    if ended.done() and not going.done():
        say("stopping: what goes on is stopped too, and the next run goes on from what it encoded")
        await runner.astop()
    await going
    return ended.result() if ended.done() else None


async def _register(settings: Settings, runner: Runner, say: Callable[[str], None]) -> None:
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
