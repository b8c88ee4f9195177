"""Engines that stop a run at a chosen point: by an error, or by killing the process on the spot."""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa

from flows.engines.engine import Direct
from storage.difference import Difference

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from flows.engines.engine import Job
    from flows.output.progress import Reporter
    from flows.pipeline.encode import Receipt

POINTS = ("plan", "shard", "encode", "merge", "commit", "publish")
"""After the plan, after one shard, after all, amid Lance's merge, after the commit, and so on."""


class Interruption(Exception):  # noqa: N818 - it stands for whatever may go wrong
    """Raised at the chosen point."""


def stop() -> None:
    """Stop by an error."""
    raise Interruption("stopped here")


def die() -> None:
    """Stop by a kill: nothing is tidied up."""
    os.kill(os.getpid(), signal.SIGKILL)


@dataclass(frozen=True)
class Stopping(Direct):
    """Carries out a run up to one of `POINTS`."""

    point: str = "plan"
    how: Callable[[], None] = stop

    def step(self, name: str, function: Callable[[], None]) -> None:
        """Call the function, and stop after it if it is the one."""
        if name == "commit" and self.point == "merge":
            _break_off_rows(self.how)
        super().step(name, function)
        if name == self.point:
            self.how()

    def encode(self, job: Job, shards: Sequence[Path], reporter: Reporter) -> list[Receipt]:
        """Encode the shards, or the first alone."""
        if self.point == "shard":
            super().encode(job, shards[:1], reporter)
            self.how()
        receipts = super().encode(job, shards, reporter)
        if self.point == "encode":
            self.how()
        return receipts


def _break_off_rows(how: Callable[[], None]) -> None:
    """Let the rows that Lance merges break off; for a process that ends with it."""
    whole = Difference.rows

    def rows(self: Difference, *args: object, **keys: object) -> pa.RecordBatchReader:
        reader = whole(self, *args, **keys)  # type: ignore[arg-type] # handed on as they came

        def some() -> Iterator[pa.RecordBatch]:
            yield reader.read_next_batch().slice(0, 1)
            how()

        return pa.RecordBatchReader.from_batches(reader.schema, some())

    Difference.rows = rows  # type: ignore[method-assign, assignment] # in a process that is about to end
