"""Torch's number of threads: that of one thread of ours, told apart from that of the process.

``torch.set_num_threads`` sets both: the caller's own, and the one that each thread takes for good
at its first work with torch. Whoever wants a number for one thread sets it within `kept`, after
asking for it once: a thread that has not asked takes the process's number again.
"""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_LOCK = threading.Lock()


@contextmanager
def kept() -> Iterator[int]:
    """The process's number, which holds again at the end, whatever threads have set within.

    To be held for moments only: threads take turns, and a thread of somebody else that first works
    with torch meanwhile takes what it finds.
    """
    with _LOCK:
        count = _in_a_new_thread(None)
        try:
            yield count
        finally:
            _in_a_new_thread(count)


def set_here(count: int) -> int:
    """Have this thread alone compute with so many threads; what it had before."""
    import torch

    with kept():
        before = int(torch.get_num_threads())
        torch.set_num_threads(count)
    return before


def set_for_all(count: int) -> None:
    """Have this thread compute with so many threads, and all that begin later."""
    import torch

    with _LOCK:
        torch.set_num_threads(count)


def _in_a_new_thread(count: int | None) -> int:
    """The process's number, set first where one is given; no other thread's own is touched."""
    import torch

    found: list[int] = []

    def ask() -> None:
        if count is not None:
            torch.set_num_threads(count)
        found.append(int(torch.get_num_threads()))

    thread = threading.Thread(target=ask, name="threads", daemon=True)
    try:
        thread.start()
    except RuntimeError:  # no more threads: this one's own number is the next best
        ask()
    else:
        thread.join()
    return found[0]
