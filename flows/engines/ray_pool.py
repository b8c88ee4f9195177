"""Workers on a Ray cluster, which keep their encoder loaded, and the calls that they make.

A worker is a Ray actor: one process with its own cores and GPUs for as long as the run encodes. It
is sent the path of a shard, and sends back a receipt; what it read and wrote lies in the folder of
the catalog. Two shards are sent to a worker at a time, so that it need not wait for the next.

Ray starts a worker anew when it was lost, with its process or with its node. The shards that it had
go to whichever worker is free first, and what it had staged of them is not encoded again.
"""

from __future__ import annotations

import os
import threading
from concurrent.futures import Future
from dataclasses import dataclass
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, cast

import ray
from ray.exceptions import RayError, RayTaskError

from flows.engines import apart
from flows.pipeline.refusals import RunError

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import Self

    from flows.config.settings import Engine

A_WORKER = 2
"""Shards that a worker has at a time: one under way, and the next."""

_SOON = 10.0
"""Seconds after which a worker that has not started is worth a word."""
_LEAST_PATIENCE = 60.0
_SAME_EVERYWHERE = "install the same Vecmill, with the same extras, on every node"


class Worker:
    """A process of the cluster; its encoders are kept by `flows.pipeline.fitting`."""

    def __init__(self) -> None:
        apart.keep_quiet()

    def ready(self) -> int:
        """Its process id, once it has started."""
        return os.getpid()

    def call(self, function: Callable[[], object]) -> apart.Answer:
        """Call a function here."""
        return apart.answer(function)


@dataclass
class _Call:
    name: str
    function: Callable[[], object]
    future: Future[Any]
    losses: int = 0


class Pool:
    """So many workers, and the calls that they are to make. Used as a context manager.

    Args:
        engine: what the configuration says of workers.
        note: told of what a person should know, from any thread.
    """

    def __init__(self, engine: Engine, note: Callable[[str], None]) -> None:
        self._engine, self._note = engine, note
        self._calls: SimpleQueue[_Call | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._actors: list[Any] = []
        self._threads: list[threading.Thread] = []
        self._serving = self._up = 0
        self._reason: str | None = None
        self._closed = self._waits = False

    def __enter__(self) -> Self:
        connect(self._engine)
        engine = self._engine
        actor = ray.remote(Worker).options(
            num_cpus=engine.worker_cpus, num_gpus=engine.worker_gpus, max_restarts=-1
        )
        self._actors = [actor.remote() for _ in range(engine.workers)]
        self._serving = A_WORKER * len(self._actors)
        for one in self._actors:
            for _ in range(A_WORKER):
                thread = threading.Thread(target=self._serve, args=(one,), daemon=True)
                self._threads.append(thread)
                thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        """Let the workers go; none outlives the lock of its run."""
        self._closed = True
        for _ in self._threads:
            self._calls.put(None)
        for one in self._actors:
            ray.kill(one)
        for thread in self._threads:
            thread.join()

    def submit(self, name: str, function: Callable[[], object]) -> Future[Any]:
        """Have a worker call a function, which must travel; ``name`` is for errors."""
        call = _Call(name, function, Future())
        with self._lock:
            if self._serving:
                self._calls.put(call)
            else:
                call.future.set_exception(self._none_started())
        return call.future

    def _serve(self, worker: Any) -> None:  # noqa: ANN401 - an actor has no type of its own
        """Hand one call after another to a worker, as long as it comes back where it is lost."""
        while self._starts(worker) and not self._is_done_with(worker):
            pass
        self._leave()

    def _starts(self, worker: Any) -> bool:  # noqa: ANN401 - as above
        """Wait until a worker has started, the first time or anew; whether it has."""
        started = worker.ready.options(max_task_retries=-1).remote()
        try:
            if not ray.wait([started], timeout=_SOON)[0]:
                self._tell_of_waiting()
            # While others work, one whose node is gone may come back late.
            while not ray.wait([started], timeout=self._patience)[0]:
                if not self._up:
                    return False
            ray.get(started)
        except RayError as error:
            self._reason = _last_line(error)
            return False
        return True

    def _is_done_with(self, worker: Any) -> bool:  # noqa: ANN401 - as above
        """Hand calls to a worker that has started; whether all are made, or it was lost."""
        with self._lock:
            self._up += 1
        try:
            while (call := self._calls.get()) is not None:
                if not self._is_made(worker, call):
                    return self._closed
        finally:
            with self._lock:
                self._up -= 1
        return True

    def _is_made(self, worker: Any, call: _Call) -> bool:  # noqa: ANN401 - as above
        """Let a worker make a call, and wait for what comes of it; False where it was lost."""
        try:
            found = cast("apart.Answer", ray.get(worker.call.remote(call.function)))
        except RayTaskError as error:
            # Not of the call, whose errors are answers: it could not be taken in.
            call.future.set_exception(_not_taken(call, error))
        except RayError as error:
            self._lose(call, error)
            return False
        except Exception as error:  # noqa: BLE001 - no call may be left without an answer
            call.future.set_exception(error)
        else:
            _settle(call.future, found)
        return True

    def _tell_of_waiting(self) -> None:
        with self._lock:
            if self._waits or self._closed:
                return
            self._waits = True
        self._note(f"waiting for room for {self._asked()} in the Ray cluster, which {_has()}")

    def _lose(self, call: _Call, error: RayError) -> None:
        """A worker was lost with a call: another is to make it, unless that was so too often."""
        call.losses += 1
        if self._closed or call.losses > self._engine.retries:
            times = "" if call.losses == 1 else f" {call.losses} times"
            call.future.set_exception(
                RunError(
                    f"the worker that encoded {call.name} was lost{times}: {_first_line(error)}. "
                    "What it had staged is kept. If it ran out of memory, give it more, or set a "
                    "smaller shard_size or batch_size; if nodes come and go, set more retries"
                )
            )
            return
        self._note(f"a worker was lost with {call.name}, which goes to another")
        self._calls.put(call)

    def _leave(self) -> None:
        """One thread less; the last one leaves no call without an answer."""
        with self._lock:
            self._serving -= 1
            if self._serving:
                return
            while not self._calls.empty():
                if (call := self._calls.get()) is not None:
                    call.future.set_exception(self._none_started())

    def _none_started(self) -> RunError:
        if self._reason is not None:
            return RunError(
                f"no worker could start in the Ray cluster: {self._reason}; {_SAME_EVERYWHERE}"
            )
        return RunError(
            f"{self._asked()} found no room in the Ray cluster within {self._patience:g} seconds; "
            f"it {_has()}. Set fewer worker_cpus or worker_gpus, or a longer wait_seconds"
        )

    def _asked(self) -> str:
        engine = self._engine
        return (
            f"{engine.workers} workers of {engine.worker_cpus:g} CPUs and "
            f"{engine.worker_gpus:g} GPUs"
        )

    @property
    def _patience(self) -> float:
        return max(self._engine.wait_seconds, _LEAST_PATIENCE)


def connect(engine: Engine) -> None:
    """Join the cluster, or start one for the life of this process; once a process."""
    if ray.is_initialized():
        return
    # Read as Ray starts: records may be private, so nobody is told of their being worked on.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    # What workers print stays in their own logs, where `flows.engines.apart` has seen to it.
    ray.init(address=engine.address, log_to_driver=False, configure_logging=False)


def _settle(future: Future[Any], found: apart.Answer) -> None:
    if found.error is not None:
        future.set_exception(found.error)
    else:
        future.set_result(found.value)


def _not_taken(call: _Call, error: RayTaskError) -> RunError:
    return RunError(f"a worker could not take {call.name}: {_last_line(error)}; {_SAME_EVERYWHERE}")


def _has() -> str:
    """What the cluster has, in words."""
    found: dict[str, float] = cast("Any", ray).cluster_resources()
    nodes = sum(bool(node["Alive"]) for node in cast("Any", ray).nodes())
    of = f"{found.get('CPU', 0):g} CPUs and {found.get('GPU', 0):g} GPUs"
    return f"has {of} on {nodes} node{'' if nodes == 1 else 's'}"


def _first_line(error: RayError) -> str:
    return str(error).strip().splitlines()[0].rstrip(".")


def _last_line(error: RayError) -> str:
    return str(error).strip().splitlines()[-1].rstrip(".")
