"""A reporter that also keeps what it hears in the log of a run."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

from flows.output.redact import redact_all

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from flows.output.progress import Reporter
    from storage.logs import Log

EVERY = 10.0
"""Seconds between two lines on how far a stage is."""


class Logged:
    """Hands on to another reporter what it hears, and writes it down.

    Args:
        reporter: the other one.
        log: where it is kept, without secrets.
        every: seconds between two lines on how far a stage is.
        clock: tells seconds.
    """

    def __init__(
        self,
        reporter: Reporter,
        log: Log,
        every: float = EVERY,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._reporter, self._log = reporter, log
        self._every, self._clock = every, clock
        self._lock = threading.Lock()
        self._name, self._done = "", 0
        self._total: int | None = None
        self._begun = self._told = clock()

    def stage(self, feature: str, name: str, total: int | None) -> None:
        """Note how the stage before ended, and that this one begins."""
        self.end()
        with self._lock:
            self._name, self._total, self._done = name, total, 0
            self._begun = self._told = self._clock()
        self.write("stage", {"stage": name, "total": total})
        self._reporter.stage(feature, name, total)

    def advance(self, records: int) -> None:
        """Count, and note now and then how far the stage is."""
        with self._lock:
            self._done += records
            due = self._clock() - self._told >= self._every
            if due:
                self._told = self._clock()
        if due:
            self._far("progress")
        self._reporter.advance(records)

    def note(self, message: str) -> None:
        """Keep the message."""
        self.write("note", {"message": message})
        self._reporter.note(message)

    def shard(self, name: str, encoded: int, dead: int, seconds: float) -> None:
        """Keep what became of a shard."""
        figures = {"encoded": encoded, "dead": dead, "seconds": round(seconds, 3)}
        self.write("shard", {"shard": name, **figures})

    def write(self, event: str, more: Mapping[str, Any], *, last: bool = False) -> None:
        """Keep something else, as `storage.logs.Log.write`, without secrets."""
        self._log.write(event, redact_all(dict(more)), last=last)

    def end(self, *, broken_off: bool = False) -> None:
        """Note how far the stage that is under way has come, and that it has ended."""
        if self._name:
            self._far("broken_off" if broken_off else "staged")
            self._name = ""

    def _far(self, event: str) -> None:
        seconds = self._clock() - self._begun
        figures = {"records": self._done, "total": self._total, "seconds": round(seconds, 3)}
        self.write(event, {"stage": self._name, **figures})
