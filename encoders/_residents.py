"""Threads that stay, each to compute with its own number of torch's threads.

A thread that is begun for each batch makes anew what torch and the memory allocator keep for each
thread, which costs about a tenth of a small batch. One that hangs is never given out again.
"""

from __future__ import annotations

import os
import threading
from queue import SimpleQueue
from typing import TYPE_CHECKING

from encoders import _threads

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_idle: dict[int, list[Resident]] = {}
_lock = threading.Lock()


class Resident:
    """One of them: idle, or at work until what it was given returns.

    Args:
        count: of torch's threads, which it sets for itself; to be made within `_threads.kept`.

    Attributes:
        begun: whether it was given something since it was taken, and so lets itself go.

    Raises:
        RuntimeError: if the system has no more threads.
    """

    def __init__(self, count: int) -> None:
        self._count = count
        self.begun = False
        self._given: SimpleQueue[tuple[Callable[[], None], threading.Event]] = SimpleQueue()
        ready = threading.Event()
        # A daemon, since a model that hangs must not keep the process from ending.
        thread = threading.Thread(target=self._serve, args=(ready,), name="stream", daemon=True)
        thread.start()
        ready.wait()

    def begin(self, work: Callable[[], None]) -> threading.Event:
        """Have it call what may not raise; the event is set once that has returned."""
        done = threading.Event()
        self.begun = True  # first, so that nobody lets it go whose call of this is interrupted
        self._given.put((work, done))
        return done

    def _serve(self, ready: threading.Event) -> None:
        try:
            import torch

            torch.get_num_threads()  # else the first work takes the process's number once more
            torch.set_num_threads(self._count)
        finally:
            ready.set()
        while True:
            work, done = self._given.get()
            try:
                work()
            finally:
                del work  # what it holds may be a model, and the next work far off
                let_go([self])
                done.set()

    @property
    def count(self) -> int:
        """What it computes with."""
        return self._count


def taken(number: int, count: int) -> list[Resident]:
    """So many of them, from now on the caller's; fewer where the system has no more threads.

    Raises:
        RuntimeError: if it has none at all.
    """
    with _lock:
        idle = _idle.setdefault(count, [])
        found = [idle.pop() for _ in range(min(number, len(idle)))]
        for one in found:
            one.begun = False
    if len(found) < number:
        with _threads.kept():
            while len(found) < number:
                try:
                    found.append(Resident(count))
                except RuntimeError:
                    if not found:
                        raise
                    break
    return found


def let_go(residents: Sequence[Resident]) -> None:
    """Have others take them; each that was begun does it for itself."""
    with _lock:
        for one in residents:
            _idle.setdefault(one.count, []).append(one)


def _forget() -> None:
    """After a fork there are none."""
    global _lock  # noqa: PLW0603 - another thread may have held it
    _lock = threading.Lock()
    _idle.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
