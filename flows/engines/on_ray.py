"""The engine that has shards encoded on a Ray cluster, and all else done here."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from flows.engines import apart
from flows.engines.in_flight import results
from flows.engines.ray_pool import A_WORKER, Pool
from flows.output.progress import tell_shard
from flows.pipeline.retries import tried

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from concurrent.futures import Future
    from pathlib import Path

    from flows.config.settings import Engine
    from flows.engines.engine import Job
    from flows.output.progress import Reporter
    from flows.pipeline.encode import Receipt


@dataclass(frozen=True)
class OnRay:
    """Carries out the steps in this process, and encodes on a Ray cluster."""

    engine: Engine

    def step(self, name: str, function: Callable[[], None]) -> None:  # noqa: ARG002 - only Prefect shows names
        """Call the function."""
        tried(function, self.engine.retries)

    def encode(self, job: Job, shards: Sequence[Path], reporter: Reporter) -> list[Receipt]:
        """Have the shards encoded by workers."""
        receipts: list[Receipt] = []
        retries = self.engine.retries
        with Pool(self.engine, reporter.note) as pool:

            def submit(shard: Path) -> Future[Receipt]:
                return pool.submit(shard.name, partial(apart.encode, job, shard, retries))

            for receipt in results(shards, submit, A_WORKER * self.engine.workers):
                reporter.advance(receipt.encoded + receipt.dead)
                figures = (receipt.encoded, receipt.dead, receipt.seconds)
                tell_shard(reporter, f"shard {len(receipts)}", *figures)
                receipts.append(receipt)
        return receipts
