"""What carries out the steps of a run.

Prefect's way of it is in `flows.tasks`, that of a Ray cluster in `flows.engines.on_ray`.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Protocol

from flows.config.settings import SettingsError
from flows.output.progress import tell_shard
from flows.pipeline import fitting
from flows.pipeline.encode import Bounds, HangError, Receipt, encode_shard
from flows.pipeline.metering import metered, used
from flows.pipeline.retries import tried

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from flows.config.settings import Engine as Keys
    from flows.output.progress import Reporter
    from storage.model import Version


@dataclass(frozen=True)
class Job:
    """What a task needs to encode a shard: plain values, so that it can travel."""

    version: Version
    states: Path
    bounds: Bounds = field(default_factory=Bounds)

    def encode(self, shard: Path, reporter: Reporter) -> Receipt:
        """Encode one shard and stage the result."""
        encoder = fitting.encoder_of(self.version, self.states)
        try:
            with metered(encoder, shard) as meter:
                receipt = encode_shard(meter, shard, reporter, self.bounds)
        except HangError:
            # The thread that hangs may hold its locks for ever; a later run needs another.
            fitting.forget()
            raise
        tell_shard(reporter, shard.stem, receipt.encoded, receipt.dead, receipt.seconds)
        return replace(receipt, used=used(shard))


class Engine(Protocol):
    """Carries out the steps of a run: here and now, or as tasks of an orchestrator."""

    def step(self, name: str, function: Callable[[], None]) -> None:
        """Carry out one step; it may be tried again if it fails for a passing reason."""

    def encode(self, job: Job, shards: Sequence[Path], reporter: Reporter) -> list[Receipt]:
        """Encode all shards, in any order."""
        ...


@dataclass(frozen=True)
class Direct:
    """Carries out the steps in this process, one after the other.

    Attributes:
        retries: how often a step that failed for a passing reason is tried again.
    """

    retries: int = 0

    def step(self, name: str, function: Callable[[], None]) -> None:  # noqa: ARG002 - only Prefect shows names
        """Call the function."""
        tried(function, self.retries)

    def encode(self, job: Job, shards: Sequence[Path], reporter: Reporter) -> list[Receipt]:
        """Encode the shards in turn."""
        return [tried(partial(job.encode, shard, reporter), self.retries) for shard in shards]


def direct(keys: Keys) -> Engine:
    """What carries out a run without Prefect, as ``[engine]`` says.

    Raises:
        SettingsError: if that needs what is not installed.
    """
    if keys.kind == "local":
        return Direct(keys.retries)
    with ray_needed():
        from flows.engines.on_ray import OnRay
    return OnRay(keys)


@contextmanager
def ray_needed() -> Iterator[None]:
    """Say how to get Ray where what is imported in the block does not find it."""
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name is None or error.name.split(".")[0] not in {"ray", "prefect_ray"}:
            raise
        raise SettingsError(
            '[engine] kind = "ray" needs Ray, which is not installed here: '
            "`pip install 'vecmill[ray]'`, here and on every node of the cluster"
        ) from error
