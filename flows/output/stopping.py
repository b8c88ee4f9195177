"""What ends a command from outside, and how it is told."""

from __future__ import annotations

import os
import signal
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_ENDING = frozenset({signal.SIGINT, signal.SIGTERM})
_SIGTERMS = frozenset({"Terminated", "TerminationSignal"})
"""What a SIGTERM raises: ours, and within a flow Prefect's, which is not imported for this."""


_AGAIN = 0.5
"""Seconds in which a signal that comes again is the same end, asked for twice.

`timeout`, and what starts a group of processes, sends one to the process and one to the group.
"""


class Terminated(BaseException):
    """Raised where a SIGTERM comes, so that what is under way is left as it should be."""


def by_sigterm(error: BaseException) -> bool:
    """Whether an error is what a SIGTERM raises."""
    return not isinstance(error, Exception) and type(error).__name__ in _SIGTERMS


class Once:
    """Tells signals that ask for an end from their echoes.

    Args:
        clock: seconds, from whenever.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._first: float | None = None

    def is_echo(self) -> bool:
        """Whether the signal that has come now says no more than the first did."""
        now = self._clock()
        if self._first is None:
            self._first = now
            return False
        return now - self._first < _AGAIN


def terminating(clock: Callable[[], float] = time.monotonic) -> Callable[..., None]:
    """A handler of SIGTERM that raises `Terminated`, and lets pass what comes again at once."""
    once = Once(clock)

    def terminate(*_: object) -> None:
        if not once.is_echo():
            raise Terminated

    return terminate


_ending = threading.Event()


def is_ending() -> bool:
    """Whether a block of `acknowledging` is being ended."""
    return _ending.is_set()


@contextmanager
def acknowledging(say: Callable[[], None], soon: float = 0.3) -> Iterator[None]:
    """Say at once that the block is being ended, by Ctrl-C or SIGTERM, though that takes a while.

    Python hears of a signal only when what it has called returns, such as a model, and in its main
    thread alone. This is told by what is below Python, also where Prefect has handlers of its own;
    `is_ending` tells other threads.

    Args:
        say: says it, in a thread of its own, and once.
        soon: seconds; an end that comes within them needs no word.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # signals are not its concern
        return
    heard, written = os.pipe()
    os.set_blocking(written, False)
    ended = threading.Event()

    def wait() -> None:
        while number := os.read(heard, 1):
            if number[0] in _ENDING:
                _ending.set()
                if not ended.wait(soon):
                    say()
                return

    waiting = threading.Thread(target=wait, daemon=True)
    waiting.start()
    before = signal.set_wakeup_fd(written, warn_on_full_buffer=False)
    try:
        yield
    finally:
        signal.set_wakeup_fd(before)
        ended.set()
        os.close(written)
        waiting.join()
        os.close(heard)
        _ending.clear()
