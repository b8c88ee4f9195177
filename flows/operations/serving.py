"""The process that serves schedules: it starts what is due, each run in a process of its own."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from contextlib import contextmanager, redirect_stdout, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from flows import run as _run  # noqa: F401 - first: it sets what Prefect reads when it is imported

# isort: split

from httpx import HTTPError, TransportError
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import DeploymentFilter, DeploymentFilterId
from prefect.context import refresh_global_settings_context
from prefect.deployments.runner import DeploymentApplyError
from prefect.events.worker import EventsWorker
from prefect.exceptions import ObjectNotFound, PrefectException
from prefect.logging.handlers import APILogWorker
from prefect.runner import Runner
from prefect.settings import PREFECT_API_URL, PREFECT_UI_URL, get_current_settings

from flows.operations import catch_up, ending, lineage, names, shown
from flows.operations import server as servers
from flows.operations.deployments import deployment, full_name
from flows.output.codes import FAILED, FINE, INTERRUPTED
from flows.pipeline.refusals import RunError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from uuid import UUID

    from flows.config.settings import Settings
    from flows.operations.server import Server


_POLL = 0.5
"""Seconds between two looks at the server that was started here."""
_TRIES = 3
"""How often in a row a server must not have answered, to be taken for gone."""
_PATIENCE = 10.0
"""Seconds in which a server is to answer."""
_LONGEST = 90.0
"""Seconds that stopping may take: a run that does not end by itself is killed after thirty."""
_STOPPED = (
    "What went on is stopped, nothing half done is published, and it goes on from there once "
    "`vecmill serve` is started again; `vecmill status` shows what is published"
)


@dataclass(frozen=True)
class Ended:
    """How serving has ended.

    Attributes:
        signal: that ended it; None where none did.
        problem: what went wrong, where something did. There is nobody to wait for then: what is
            left of Prefect in this process may never end by itself.
    """

    signal: int | None
    problem: str | None = None

    @property
    def code(self) -> int:
        """The exit code."""
        if self.problem is not None or self.signal is None:
            return FAILED
        return INTERRUPTED if self.signal == signal.SIGINT else FINE


@contextmanager
def api(port: int | None, log: Path) -> Iterator[Server]:
    """The server that is configured for Prefect, or a local one for the block."""
    configured = PREFECT_API_URL.value()
    if configured:
        yield servers.Server(configured)
        return
    with servers.local(port, log) as found:
        os.environ["PREFECT_API_URL"] = found.api  # which the processes of runs are given too
        refresh_global_settings_context()
        try:
            yield found
        finally:
            if found.ended() is None:
                _send_logs()
            del os.environ["PREFECT_API_URL"]
            refresh_global_settings_context()


def _send_logs() -> None:
    """Have Prefect send what it still holds, and nothing more.

    It would send that as Python ends, to a server that is gone, and try for more than a minute.
    """
    os.environ["PREFECT_LOGGING_TO_API_ENABLED"] = "false"
    refresh_global_settings_context()
    try:
        for worker in (APILogWorker, EventsWorker):
            worker.drain_all(timeout=_PATIENCE)
    finally:
        del os.environ["PREFECT_LOGGING_TO_API_ENABLED"]


def pages(server: Server) -> str:
    """The address of a server's pages."""
    return str(PREFECT_UI_URL.value() or server.api.removesuffix("/api"))


def serve(
    settings: Settings, server: Server, say: Callable[[str], None], ready: Callable[[], None]
) -> Ended:
    """Serve the schedules until a signal ends it, or the server that was started here is gone.

    Runs that go on then are stopped: what they have encoded is kept, and the next run goes on from
    there. The schedules are paused on the server until they are served again. A second signal ends
    the process on the spot.

    Args:
        settings: the configuration.
        server: that the schedules are put on.
        say: told of what happens.
        ready: called once everything that is due from now on will be started.

    Raises:
        RunError: if the server cannot be reached, or takes no deployment.
    """
    os.environ[ending.SERVED_BY] = str(os.getpid())  # for the processes of runs
    loop = asyncio.Runner()
    try:
        # Standard output is for results; Prefect prints its own errors there.
        with redirect_stdout(shown.InShort(sys.stderr)):
            ended = loop.run(_Serving(settings, server, say).serve(ready))
    except Exception as error:
        loop.close()
        cause = _first(error)
        if not isinstance(cause, (HTTPError, PrefectException, DeploymentApplyError)):
            raise
        raise RunError(f"Prefect's server at {server.api}: {_named(cause)}") from error
    finally:
        del os.environ[ending.SERVED_BY]
    if ended.problem is None:
        loop.close()  # which waits for all that was begun
    return ended


def _first(error: BaseException) -> BaseException:
    """An error, or the first of a group of them."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def _named(error: BaseException) -> str:
    if isinstance(error, TimeoutError):
        return f"not within {_PATIENCE:g} s"
    return f"{type(error).__name__}: {error}".removesuffix(": ")


class _Serving:
    """One process's serving: the runner, and what may end it."""

    def __init__(self, settings: Settings, server: Server, say: Callable[[str], None]) -> None:
        self._settings, self._server, self._say = settings, server, say
        # No limit to how many go on at once: a start that waits in line would not be refused.
        name = f"vecmill-{lineage.project(settings).replace('/', '-')}"
        self._runner = Runner(name=name, limit=None)

    async def serve(self, ready: Callable[[], None]) -> Ended:
        made = await _register(self._settings, self._runner, self._server, self._say)
        signalled = self._signals()
        going = asyncio.create_task(self._runner.start())
        while not (self._runner.started or going.done()):  # noqa: ASYNC110 - the runner tells of its start by nothing else
            await asyncio.sleep(0.05)
        # Once more, as the start has set a handler of its own that stops the loop from within it.
        signalled = self._signals() if not signalled.done() else signalled
        shown.without_traces(shown.of_connection)
        ready()
        watching = asyncio.create_task(_watch(made, self._say))
        lost = asyncio.create_task(self._lost())
        first: set[asyncio.Future[Any]] = {going, signalled, lost}
        await asyncio.wait(first, return_when=asyncio.FIRST_COMPLETED)
        watching.cancel()
        if not (lost.done() or going.done()):
            return await self._stop(signalled.result(), going, lost)
        lost.cancel()
        return Ended(None, lost.result() if lost.done() else self._gone(going))

    def _signals(self) -> asyncio.Future[int]:
        """The first signal to come; the next ends the process."""
        loop = asyncio.get_running_loop()
        found: asyncio.Future[int] = loop.create_future()

        def first(number: int) -> None:
            loop.call_soon_threadsafe(found.set_result, number)

        def second(number: int) -> None:
            with suppress(RuntimeError):  # it may come in the midst of something being said
                self._say("ended at once: what went on is killed, and schedules may not be paused")
            self._server.kill()
            ending.at_once(128 + number)

        ending.handle(first, second)
        return found

    async def _lost(self) -> str:
        """What became of the server, once it is gone."""
        if self._server.process is None:
            return self._silent(await self._unanswered())
        while (how := self._server.ended()) is None:  # noqa: ASYNC110 - a process tells of its end by nothing else
            await asyncio.sleep(_POLL)
        return (
            f"Prefect's server, which was started with this process, has ended {how}; "
            f"{self._server.log} has its last words. {_STOPPED}"
        )

    async def _unanswered(self) -> BaseException:
        """Why a server that was not started here answers no more; Prefect may try for minutes."""
        pause, missed = get_current_settings().runner.poll_frequency, 0
        async with get_client() as client:
            while True:
                await asyncio.sleep(pause)
                try:
                    async with asyncio.timeout(_PATIENCE):
                        error = await client.api_healthcheck()
                except TimeoutError as late:
                    error = late
                # Whatever it says, it answers.
                missed = missed + 1 if isinstance(error, (TransportError, TimeoutError)) else 0
                if error is not None and missed == _TRIES:
                    return error

    def _silent(self, error: BaseException) -> str:
        return (
            f"Prefect's server at {self._server.api} does not answer any more ({_named(error)}). "
            f"{_STOPPED}"
        )

    def _gone(self, going: asyncio.Task[None]) -> str:
        """Why the runner has ended by itself."""
        error = going.exception()
        return self._silent(RuntimeError("it has stopped") if error is None else _first(error))

    async def _stop(self, number: int, going: asyncio.Task[None], lost: asyncio.Task[str]) -> Ended:
        self._say(
            "stopping: what goes on is stopped too, and the next run goes on from what it encoded"
        )

        shown.serving_ends()

        async def stop() -> None:
            await self._runner.astop()
            await going

        stopping = asyncio.create_task(stop())
        # Not by a time-out, which would wait for what it has cancelled.
        first: set[asyncio.Future[Any]] = {stopping, lost}
        await asyncio.wait(first, timeout=_LONGEST, return_when=asyncio.FIRST_COMPLETED)
        if not stopping.done():
            why = lost.result() if lost.done() else f"stopping took more than {_LONGEST:g} s"
        elif error := stopping.exception():
            why = _named(_first(error))
        else:
            lost.cancel()
            return Ended(number)
        return Ended(number, f"stopped, but Prefect could not be told, so that its schedules are "
                     f"not paused and runs may be shown as going on: {why}")  # fmt: skip


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


async def _register(
    settings: Settings, runner: Runner, server: Server, say: Callable[[str], None]
) -> list[UUID]:
    """Make the deployments; those that are due by themselves."""
    due = []
    async with get_client() as client:
        for schedule in settings.schedules.values():
            name = full_name(settings, schedule)
            with suppress(ObjectNotFound):
                there = await client.read_deployment_by_name(name)
                names.refuse_anothers(settings, name, there.parameters)
        for schedule in settings.schedules.values():
            name = full_name(settings, schedule)
            if server.process is not None:
                # Nothing else talks to that server, so what it takes to go on is no more.
                await catch_up.bury(client, name)
            found = await catch_up.missed(client, name, schedule) if schedule.active else None
            number = await runner.aadd_deployment(deployment(settings, schedule, None))
            wanted = found is not None and schedule.catch_up
            await catch_up.make_good(client, number, once=wanted)
            if found is not None:
                then = "it is started now" if wanted else "it is left out (catch_up = false)"
                say(f"{schedule.name}: {found.why}; {then}")
            due += [number] if schedule.active else []
    return due
