"""Calls that may hang, made in a thread that can be left behind.

Python cannot stop a thread. One that hangs is left alone as a daemon, which does not keep the
process from ending; whoever waited for it goes on.
"""

from __future__ import annotations

import threading
from contextvars import copy_context
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import Self

T = TypeVar("T")

_GRACE = 5.0
"""Seconds that a call gets to end when its caller is interrupted: a process that ends beneath
C++ code which still runs is aborted with a core dump."""


class Overdue(Exception):  # noqa: N818 - it is told to nobody: the caller has the words
    """A call did not return in time; its worker is lost."""


class Worker:
    """Makes calls one after another, in one thread, so that what libraries keep a thread is kept.

    Attributes:
        seconds: that a call may take; 0 for any time, and then no thread is made.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._calls: SimpleQueue[_Call | None] = SimpleQueue()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self._calls.put(None)

    def call(self, function: Callable[..., T], *arguments: object) -> T:
        """Call a function with the caller's context variables; what it raises is raised here.

        Raises:
            Overdue: if it does not return in time.
        """
        if not self.seconds:
            return function(*arguments)
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="encoder", daemon=True)
            self._thread.start()
        call = _Call(function, arguments)
        self._calls.put(call)
        try:
            done = call.done.wait(min(self.seconds, threading.TIMEOUT_MAX))
        except BaseException:
            call.done.wait(_GRACE)
            raise
        if not done:
            raise Overdue
        result: T = call.outcome()
        return result

    def _work(self) -> None:
        while (call := self._calls.get()) is not None:
            call.make()
            del call  # its arguments and result are large, and the next call may be long in coming


class _Call:
    """One call, and what came of it."""

    def __init__(self, function: Callable[..., Any], arguments: tuple[object, ...]) -> None:
        self.done = threading.Event()
        self._function, self._arguments = function, arguments
        self._context = copy_context()
        self._result: Any = None
        self._error: BaseException | None = None

    def make(self) -> None:
        """Make the call, in the worker's thread."""
        try:
            self._result = self._context.run(self._function, *self._arguments)
        except BaseException as error:  # noqa: BLE001 - whatever it is, the caller is to have it
            self._error = error
        self.done.set()

    def outcome(self) -> Any:  # noqa: ANN401 - what the function gave
        """The result, or the error raised; a frame that an error holds must not hold the error."""
        error, self._error = self._error, None
        if error is None:
            return self._result
        try:
            raise error
        finally:
            del error
