"""Processes that answer a statement each: one is kept ready, and none outlasts its time."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from dataclasses import asdict, dataclass
from multiprocessing import Pipe
from pathlib import Path
from typing import TYPE_CHECKING, Any

import flows
from flows.output.codes import code_of
from flows.ui.wire import Wire
from storage import guarded
from storage.query import QueryError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import pyarrow as pa

    from flows.ui.wire import Message

_GRACE = 1.0
"""Seconds that DuckDB has to stop by itself, which it tells of in better words."""


class BrokenAnswerError(Exception):
    """A fault of ours in a process that answers; carries its traceback as a note."""


@dataclass(frozen=True)
class Asked:
    """A statement for a process.

    Attributes:
        what: what the process is told (`flows.ui.answerer`), beside the limits.
        limits: what it may take.
        call: answers a call of a table function, from what the process says of it.
        note: told what a person should know.
    """

    what: Mapping[str, Any]
    limits: guarded.Limits
    call: Callable[[Mapping[str, Any]], pa.Table]
    note: Callable[[str], None]


class Processes:
    """Answers statements, each in a process of its own."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._spare: _Process | None = None
        self._busy: set[_Process] = set()
        self._closed = False

    def warm(self) -> None:
        """Have a process ready, which then needs no more than the statement."""
        with self._lock:
            if self._spare is None and not self._closed:
                self._spare = _Process()

    def answer(self, asked: Asked) -> guarded.Rows:
        """The rows of a statement.

        Raises:
            QueryError: if it is refused, cannot be answered, or takes too much.
            BrokenAnswerError: if there is a fault of ours.
        """
        process = self._taken()
        try:
            return process.answer(asked)
        finally:
            process.end()
            with self._lock:
                self._busy.discard(process)
            self.warm()

    def close(self) -> None:
        """End all processes, whatever they are at."""
        with self._lock:
            self._closed = True
            left = [*self._busy, *([self._spare] if self._spare else [])]
            self._spare = None
        for process in left:
            process.end()

    def _taken(self) -> _Process:
        with self._lock:
            if self._closed:
                raise QueryError("the server is ending")
            process, self._spare = self._spare, None
            if process is None or process.gone:
                process = _Process()
            self._busy.add(process)
            return process


def _path() -> str:
    """Where the process finds this very Vecmill, and what it may import besides."""
    ours = str(Path(flows.__file__).parents[1])
    return os.pathsep.join(filter(None, (ours, os.environ.get("PYTHONPATH"))))


class _Process:
    """One process, which answers once."""

    def __init__(self) -> None:
        ours, theirs = Pipe()
        with theirs:
            self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and our own code
                # What lies in the folder that the server was started in is not ours to import.
                [sys.executable, "-P", "-m", "flows.ui.answerer", str(theirs.fileno())],
                env=os.environ | {"PYTHONPATH": _path()},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                start_new_session=True,  # else Ctrl-C at the terminal is its to answer, too
            )
        self._wire = Wire(ours)
        self._ending = threading.Lock()

    @property
    def gone(self) -> bool:
        """Whether it has ended."""
        return self._process.poll() is not None

    def end(self) -> None:
        """End it, and wait until it has."""
        with self._ending:  # whoever asked, and the server as it ends, may at once
            self._process.kill()
            self._process.wait()
            self._wire.close()

    def answer(self, asked: Asked) -> guarded.Rows:
        left: float | None = None  # until the session is open, which may wait for the catalog
        try:
            self._wire.send("ask", **asked.what, limits=asdict(asked.limits))
            while True:
                began = time.monotonic()
                if not self._wire.waits(left):
                    raise guarded.too_late(asked.limits)
                message = self._wire.receive()
                left = None if left is None else max(0.0, left - (time.monotonic() - began))
                if message.kind == "rows" and message.table is not None:
                    return guarded.Rows(message.table, message.more["cut"])
                if message.kind == "opened":
                    left = asked.limits.seconds + _GRACE
                self._hear(message, asked)
        except (EOFError, OSError) as error:
            code = self._process.wait()
            if code > 0:
                raise BrokenAnswerError(
                    f"the process that was to answer this ended with exit code {code}; what it "
                    "said is on the terminal of `vecmill ui`"
                ) from error
            raise QueryError(
                f"the process that answered this has ended ({code}), as one does that needs more "
                f"than {asked.limits.memory / 10**9:g} GB of memory; ask for less"
            ) from error

    def _hear(self, message: Message, asked: Asked) -> None:
        more = message.more
        if message.kind == "refused":
            raise QueryError(more["words"])
        if message.kind == "broken":
            error = BrokenAnswerError(more["words"])
            error.add_note(more["trace"])
            raise error
        if message.kind == "note":
            asked.note(more["words"])
        if message.kind == "call":
            self._call(more, asked)

    def _call(self, given: Mapping[str, Any], asked: Asked) -> None:
        try:
            found = asked.call(given)
        except Exception as error:
            if code_of(error) is None:
                raise
            self._wire.send("no", words=str(error))
        else:
            self._wire.send("found", found)
