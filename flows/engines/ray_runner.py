"""Prefect's task runner for Ray, with workers that stay: those of `flows.engines.ray_pool`.

`prefect_ray.RayTaskRunner` makes a Ray task of each of Prefect's. Ray ends the process of a task
that had a GPU, and with it the encoder that it had loaded. Here they go to actors instead, each of
which keeps its process, its encoder and its GPU for as long as the run encodes.
"""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

from httpx import HTTPError
from prefect.client.orchestration import get_client
from prefect.context import serialize_context
from prefect.exceptions import PrefectException
from prefect.futures import PrefectConcurrentFuture
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect.states import Crashed
from prefect.task_engine import run_task_sync
from prefect_ray import RayTaskRunner

from flows.engines.ray_pool import A_WORKER, Pool, connect
from flows.output.progress import listener
from flows.output.redact import redact

if TYPE_CHECKING:
    from concurrent.futures import Future
    from types import TracebackType
    from typing import Self

    from flows.config.settings import Engine

AT_ONCE = A_WORKER
"""Shards that are handed to each worker at a time."""


class ActorTaskRunner(RayTaskRunner[Any]):  # type: ignore[misc] # it has no types
    """Runs tasks on the workers of a Ray cluster.

    The workers tell the server of Prefect how their tasks stand, so they must reach it.
    """

    def __init__(self, keys: Engine) -> None:
        super().__init__(address=keys.address)
        self._keys = keys
        self._pool = Pool(keys, listener().note)
        self._server = ""

    def duplicate(self) -> Self:
        """Another one of the same settings."""
        return type(self)(self._keys)

    def __enter__(self) -> Self:
        connect(self._keys)
        super().__enter__()
        with get_client(sync_client=True) as client:
            self._server = str(client.api_url)
        self._pool.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None = None,
        error: BaseException | None = None,
        at: TracebackType | None = None,
    ) -> None:
        self._pool.__exit__(kind, error, at)
        super().__exit__(kind, error, at)

    def submit(
        self,
        task: Any,  # noqa: ANN401 - one of Prefect's tasks
        parameters: dict[str, Any],
        wait_for: Any = None,  # noqa: ANN401 - as Prefect has it
        dependencies: Any = None,  # noqa: ANN401 - as above
    ) -> PrefectConcurrentFuture[Any]:
        """Have a worker run a task."""
        task_run = uuid4()
        # A server that Prefect started for this process has its address in no setting.
        with temporary_settings({PREFECT_API_URL: self._server}):
            context = serialize_context()
        call = partial(
            run_task_sync,
            task=task,
            task_run_id=task_run,
            parameters=parameters,
            wait_for=wait_for,
            return_type="state",
            dependencies=dependencies,
            context=context,
        )
        future = self._pool.submit(str(parameters.get("shard", task.name)), call)
        future.add_done_callback(partial(_tell, task_run))
        return PrefectConcurrentFuture(task_run, future)


def _tell(task_run: UUID, future: Future[Any]) -> None:
    """Tell the server of a task whose worker was lost for good: nobody else can."""
    error = future.exception()
    if error is None:
        return
    state: Any = Crashed(message=redact(str(error)))
    with suppress(PrefectException, HTTPError), get_client(sync_client=True) as client:
        client.set_task_run_state(task_run, state, force=True)
