"""What carries out the steps of a run; Prefect's way of it is in `flows.tasks`."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Protocol, TypeVar

from flows import fitting
from flows.encode import Bounds, HangError, Receipt, encode_shard
from flows.metering import metered, used
from flows.retries import passes, retry_pauses

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from flows.progress import Reporter
    from storage.model import Version

T = TypeVar("T")


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
        return replace(receipt, used=used(shard))


class Engine(Protocol):
    """Carries out the steps of a run: here and now, or as tasks of an orchestrator."""

    def step(self, name: str, function: Callable[[], None]) -> None:
        """Carry out one step; it may be tried again if it fails for a passing reason."""

    def encode(self, job: Job, shards: Sequence[Path], reporter: Reporter) -> list[Receipt]:
        """Encode all shards, in any order."""


@dataclass(frozen=True)
class Direct:
    """Carries out the steps in this process, one after the other.

    Attributes:
        retries: how often a step that failed for a passing reason is tried again.
    """

    retries: int = 0

    def step(self, name: str, function: Callable[[], None]) -> None:  # noqa: ARG002 - only Prefect shows names
        """Call the function."""
        self._call(function)

    def encode(self, job: Job, shards: Sequence[Path], reporter: Reporter) -> list[Receipt]:
        """Encode the shards in turn."""
        return [self._call(partial(job.encode, shard, reporter)) for shard in shards]

    def _call(self, function: Callable[[], T]) -> T:
        for pause in retry_pauses(self.retries):
            try:
                return function()
            except Exception as error:
                if not passes(error):
                    raise
                time.sleep(pause)
        return function()
