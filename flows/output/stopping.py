"""What ends a command from outside, and how it is told."""

from __future__ import annotations

import os
import signal
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_ENDING = frozenset({signal.SIGINT, signal.SIGTERM})
_SIGTERMS = frozenset({"Terminated", "TerminationSignal"})
"""What a SIGTERM raises: ours, and within a flow Prefect's, which is not imported for this."""


class Terminated(BaseException):
    """Raised where a SIGTERM comes, so that what is under way is left as it should be."""


def by_sigterm(error: BaseException) -> bool:
    """Whether an error is what a SIGTERM raises."""
    return not isinstance(error, Exception) and type(error).__name__ in _SIGTERMS


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
