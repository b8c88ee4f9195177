"""The pipeline's steps as Prefect tasks: seen in its UI, retried by it, run side by side."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.futures import wait

from flows.redact import redacting
from flows.retries import passes, retry_pauses

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from flows.encode import Receipt
    from flows.engine import Job
    from flows.progress import Reporter


@dataclass(frozen=True)
class Tasks:
    """Carries out each step of a run as a Prefect task; call it within a flow.

    Tasks are told of paths and table versions, never of arrays. What makes a step safe to repeat
    are the pipeline's own keys, so Prefect's result cache is off. Prefect keeps the words of every
    error, so no secret may be among them.
    """

    retries: int

    def step(self, name: str, function: Callable[[], None]) -> None:
        """Run the function as a task of that name."""

        @task(name=name, **self._options())
        @redacting()
        def call() -> None:
            function()

        call()

    def encode(self, job: Job, shards: Sequence[Path], reporter: Reporter) -> list[Receipt]:
        """Encode the shards as tasks of the flow's task runner."""

        @task(name="encode", task_run_name="encode {shard}", **self._options())
        @redacting()
        def encode(shard: str, folder: Path) -> Receipt:
            return job.encode(folder / shard, reporter)

        futures = [encode.submit(shard.name, shard.parent) for shard in shards]
        # All of them, before one that failed is told of: a task must not outlive its run's lock.
        wait(futures)
        return [future.result() for future in futures]

    def _options(self) -> dict[str, Any]:
        return {
            "retries": self.retries,
            "retry_delay_seconds": retry_pauses(self.retries),
            "retry_condition_fn": _passes,
            "cache_policy": NO_CACHE,
            "persist_result": False,
        }


def _passes(_task: object, _run: object, state: Any) -> bool:  # noqa: ANN401 - Prefect's State
    error = state.result(raise_on_failure=False)
    return isinstance(error, BaseException) and passes(error)
