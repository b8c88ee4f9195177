"""Work that takes longer than a page may: it goes on in a thread, and says how far it is."""

from __future__ import annotations

import secrets
import sys
import threading
import time
import traceback
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from flows.output.codes import code_of
from flows.output.progress import listening
from flows.output.redact import redact
from storage.model import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    import pyarrow as pa

    from flows.output.markup import Html

MOST = 16
"""Jobs that may go on or wait at once: each is a thread, and may hold a file that was sent."""

KEPT = 24
"""Jobs that are remembered; the oldest ended ones go first."""

_TABLES = 4
"""Jobs whose rows are kept, to be downloaded: these may be large."""

_NOTES = 20
PATIENCE = 0.8
"""Seconds that a page waits for a job before it is shown without its answer."""


@dataclass
class Job:
    """A piece of work; a `flows.output.progress.Reporter` of its own.

    Attributes:
        id: cannot be guessed.
        lane: jobs of one lane follow one another.
        asked: what was asked, as the form had it.
        doing: what it does now, in words.
        done, total: how far that is, in records.
        notes: what a person should know of it.
        answer: what it came to, once it has.
        rows: of a statement, for those who want them as a file.
        error: why it failed, if it has.
    """

    id: str
    lane: str
    asked: dict[str, str]
    doing: str
    done: int = 0
    total: int | None = None
    notes: list[str] = field(default_factory=list)
    answer: Html | None = None
    rows: pa.Table | None = None
    error: str | None = None
    began: float = field(default_factory=time.monotonic)
    ended: threading.Event = field(default_factory=threading.Event)

    def stage(self, feature: str, name: str, total: int | None) -> None:
        """A stage begins."""
        self.doing, self.done, self.total = f"{feature}: {name}", 0, total

    def advance(self, records: int) -> None:
        """Some records of it are done."""
        self.done += records

    def note(self, message: str) -> None:
        """Something a person should know."""
        if len(self.notes) < _NOTES:
            self.notes.append(redact(message))


class Jobs:
    """All jobs of a server."""

    def __init__(self) -> None:
        self._jobs: OrderedDict[str, Job] = OrderedDict()
        self._lock = threading.Lock()
        self._lanes: dict[str, threading.Lock] = {}

    def start(
        self, asked: dict[str, str], doing: str, lane: str, work: Callable[[Job], Html]
    ) -> Job:
        """Begin a job.

        Args:
            asked: what was asked, as the form had it.
            doing: what it does first, in words.
            lane: jobs of one lane follow one another: an encoder takes one caller at a time.
            work: gives the answer.

        Raises:
            UsageError: if as many go on already as may.
        """
        job = Job(secrets.token_urlsafe(16), lane, asked, doing)
        turn = self.turn(lane)
        with self._lock:
            if sum(not j.ended.is_set() for j in self._jobs.values()) >= MOST:
                raise UsageError(f"{MOST} questions wait for their answers; ask again after one")
            self._jobs[job.id] = job
            for old in [j for j in self._jobs.values() if j.ended.is_set()][: self._over()]:
                del self._jobs[old.id]
            for old in [j for j in self._jobs.values() if j.rows is not None][:-_TABLES]:
                old.rows = None
        # A daemon, so that Ctrl-C need not wait for a model to be loaded.
        threading.Thread(target=_carry_out, args=(job, turn, work), daemon=True).start()
        return job

    def turn(self, lane: str) -> threading.Lock:
        """What is held while there is work in a lane."""
        with self._lock:
            return self._lanes.setdefault(lane, threading.Lock())

    def going(self, lane: str) -> Job | None:
        """The last job of a lane, where it has not ended."""
        with self._lock:
            last = next((j for j in reversed(self._jobs.values()) if j.lane == lane), None)
        return None if last is None or last.ended.is_set() else last

    def find(self, job_id: str | None) -> Job | None:
        """A job by its id; None where it is forgotten, or there never was one."""
        with self._lock:
            return self._jobs.get(job_id or "")

    def wait(self, seconds: float) -> bool:
        """Wait until all jobs have ended, so long at most; whether they have."""
        with self._lock:
            jobs = list(self._jobs.values())
        until = time.monotonic() + seconds
        return all(job.ended.wait(max(0.0, until - time.monotonic())) for job in jobs)

    def _over(self) -> int:
        return max(0, len(self._jobs) - KEPT)


def _carry_out(job: Job, turn: threading.Lock, work: Callable[[Job], Html]) -> None:
    doing = job.doing
    job.doing = "Waiting for another one to end"
    try:
        with turn, listening(job):
            job.doing = doing
            job.answer = work(job)
    except Exception as error:  # noqa: BLE001 - the page tells of it, and the server goes on
        job.error = words_of(error)
    finally:
        job.ended.set()


def words_of(error: Exception) -> str:
    """An error in words for a page; a fault of ours with its traceback on standard error."""
    from storage import damage, disk

    mended = damage.told(error) or disk.told(error) or error
    if code_of(mended) is None:
        print(redact("".join(traceback.format_exception(error))), file=sys.stderr)  # noqa: T201
        return (
            "this is a fault of Vecmill's; please report it with the lines that `vecmill ui` "
            f"printed: {redact(str(error))}"
        )
    return redact(str(mended))
