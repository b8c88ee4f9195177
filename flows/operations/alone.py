"""One process serves a schedule: a second would take the runs of the first for lost."""

from __future__ import annotations

import os
import socket
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from filelock import FileLock, Timeout

from flows.config.stores import Stores
from flows.operations import lineage
from flows.pipeline.refusals import RunError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from flows.config.settings import Settings


@contextmanager
def alone(settings: Settings) -> Iterator[None]:
    """Hold each schedule for the block; the system frees them however this process dies.

    Raises:
        RunError: if another process serves one of them.
    """
    folder = Stores.of(settings).locks
    folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as held:
        for schedule in settings.schedules:
            # Of the deployment's name: another project over the same store has others.
            path = folder / f"{lineage.deployment(settings, schedule)}.serve.lock"
            held.enter_context(_held(path, schedule))
        yield


@contextmanager
def _held(path: Path, schedule: str) -> Iterator[None]:
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        # For the moment between its being taken and written it is empty, or, where the one before
        # was killed, of that one.
        who = path.read_text("utf-8") or "another process"
        raise RunError(
            f"the schedule {schedule} is served already, by {who}; end that first (SIGTERM) where "
            "the configuration has changed, since two would take each other's runs for lost"
        ) from None
    try:
        path.write_text(_who(), encoding="utf-8")
        yield
    finally:
        with suppress(OSError):
            path.write_text("", encoding="utf-8")
        lock.release()


def _who() -> str:
    now = f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC"
    return f"process {os.getpid()} on {socket.gethostname()}, since {now}"
