"""The pipeline's steps as Prefect tasks: seen in its UI, retried by it, run side by side."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.concurrency.asyncio import ConcurrencySlotAcquisitionError
from prefect.concurrency.sync import concurrency
from prefect.context import FlowRunContext
from prefect.task_runners import TaskRunner, ThreadPoolTaskRunner

from flows.config.settings import SettingsError
from flows.engines import apart
from flows.engines.engine import ray_needed
from flows.engines.in_flight import Promise, results
from flows.output.progress import Silent, tell_shard
from flows.output.redact import redacts
from flows.pipeline.retries import passes, retry_pauses

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from flows.config.settings import Engine
    from flows.engines.engine import Job
    from flows.output.progress import Reporter
    from flows.pipeline.encode import Receipt


@dataclass(frozen=True)
class Tasks:
    """Carries out each step of a run as a Prefect task; call it within a flow.

    Tasks are told of paths and table versions, never of arrays. What makes a step safe to repeat
    are the pipeline's own keys, so Prefect's result cache is off. Prefect keeps the words of every
    error, so no secret may be among them.

    Attributes:
        retries: how often a step that failed for a passing reason is tried again.
        runner: what runs the tasks that encode.
        at_once: how many of them are handed to it at a time.
        apart: whether they run in other processes, to which a reporter cannot travel.
        limit: the global concurrency limit of which each of them holds a slot, if any.
    """

    retries: int
    runner: TaskRunner[Any]
    at_once: int
    apart: bool = False
    limit: str | None = None

    @classmethod
    def of(cls, keys: Engine) -> Tasks:
        """Tasks as ``[engine]`` says.

        Raises:
            SettingsError: if that needs what is not installed.
        """
        if keys.kind == "local":
            threads: TaskRunner[Any] = ThreadPoolTaskRunner(max_workers=keys.workers)
            return cls(keys.retries, threads, keys.workers, limit=keys.concurrency_limit)
        with ray_needed():
            from flows.engines.ray_runner import AT_ONCE, ActorTaskRunner
        return cls(
            *(keys.retries, ActorTaskRunner(keys), AT_ONCE * keys.workers),
            apart=True,
            limit=keys.concurrency_limit,
        )

    def step(self, name: str, function: Callable[[], None]) -> None:
        """Run the function as a task of that name."""

        @task(name=name, task_run_name=_named(name), **self._options())
        @redacts
        def call() -> None:
            function()

        call()

    def encode(self, job: Job, shards: Sequence[Path], reporter: Reporter) -> list[Receipt]:
        """Encode the shards as tasks of the runner."""
        away, limit = self.apart, self.limit
        listener = Silent() if away else reporter

        @task(name="encode", task_run_name="encode {shard}", **self._options())
        @redacts
        def encode(shard: str, folder: Path) -> Receipt:
            with slot(limit):
                if away:
                    return apart.encode(job, folder / shard, 0)
                return job.encode(folder / shard, listener)

        receipts: list[Receipt] = []
        with self.runner as runner:

            def submit(shard: Path) -> Promise[Receipt]:
                parameters = {"shard": shard.name, "folder": shard.parent}
                return cast("Promise[Receipt]", runner.submit(encode, parameters))

            for receipt in results(shards, submit, self.at_once):
                receipts.append(receipt)
                if away:
                    reporter.advance(receipt.encoded + receipt.dead)
                    figures = (receipt.encoded, receipt.dead, receipt.seconds)
                    tell_shard(reporter, f"shard {len(receipts)}", *figures)
        return receipts

    def _options(self) -> dict[str, Any]:
        return {
            "retries": self.retries,
            "retry_delay_seconds": retry_pauses(self.retries),
            "retry_condition_fn": _passes,
            "cache_policy": NO_CACHE,
            "persist_result": False,
        }


@contextmanager
def slot(limit: str | None) -> Iterator[None]:
    """Hold a slot of a global concurrency limit for the block, and wait for it first.

    Raises:
        SettingsError: if the server has no such limit.
    """
    if limit is None:
        yield
        return
    with ExitStack() as held:
        try:
            held.enter_context(
                # A server that is away for a while ends nothing that has its slot.
                concurrency(limit, strict=True, raise_on_lease_renewal_failure=False)
            )
        except ConcurrencySlotAcquisitionError as error:
            if error.__cause__ is not None:  # the server's own failure, which may pass
                raise
            raise SettingsError(
                f"[engine] concurrency_limit = {limit!r}: Prefect has no global concurrency limit "
                f"of that name; `prefect gcl create {limit} --limit 1` makes it"
            ) from error
        yield


def _passes(_task: object, _run: object, state: Any) -> bool:  # noqa: ANN401 - Prefect's State
    error = state.result(raise_on_failure=False)
    return isinstance(error, BaseException) and passes(error)


def _named(step: str) -> str:
    """What a step's run is called: after it, and after the feature that the flow is about."""
    context = FlowRunContext.get()
    feature = None if context is None else (context.parameters or {}).get("feature")
    return step if feature is None else f"{step} {feature}"
