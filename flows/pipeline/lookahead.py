"""What threads make in order, ahead of the one who takes it.

While an encoder works on a batch, the images of the next one are decoded: Pillow and libsndfile
let other threads run meanwhile. How far ahead is bounded by number, and by the size of what lies
ready: what a file unpacks to is known only once it is.
"""

from __future__ import annotations

import threading
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from concurrent.futures import Future
    from types import TracebackType
    from typing import Self

T = TypeVar("T")


@dataclass(frozen=True)
class Room:
    """How far ahead to work.

    Attributes:
        threads: that work at once.
        items: that are begun and not yet taken, at most.
        size: of what lies ready, in bytes, from which on nothing more is begun. What is in the
            making comes on top, one item a thread.
    """

    threads: int
    items: int
    size: int


class Lookahead(Generic[T]):
    """Results of work, in order, each made by a thread before it is asked for.

    An iterator for one thread. An error is raised where its result would have come, and the
    results after it can be had still. Leaving the block begins nothing more, and waits for what is
    under way.
    """

    def __init__(
        self, works: Iterable[Callable[[], T]], size: Callable[[T], int], room: Room
    ) -> None:
        self._works = iter(works)
        self._size = size
        self._room = room
        self._pool = ThreadPoolExecutor(room.threads, "decoder")
        self._begun: deque[Future[T]] = deque()
        self._making = self._ready = 0
        self._closed = False
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        with self._lock:
            self._begin()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        with self._lock:
            self._closed = True
        self._pool.shutdown(cancel_futures=True)
        self._begun.clear()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> T:
        if not self._begun:  # nothing lies ready then, nor is in the making: all works are done
            raise StopIteration
        size = 0
        try:
            made = self._begun[0].result()
            size = self._size(made)
        finally:
            with self._lock:
                self._begun.popleft()
                self._ready -= size
                self._begin()
        return made

    def _begin(self) -> None:
        """Begin what there is room for, in order; only while holding the lock.

        What is next to be taken is always begun: until then nothing after it lies ready.
        """
        while (
            not self._closed
            and self._making < self._room.threads
            and len(self._begun) < self._room.items
            and self._ready < self._room.size
            and (work := next(self._works, None)) is not None
        ):
            self._making += 1
            self._begun.append(self._pool.submit(self._made, work))

    def _made(self, work: Callable[[], T]) -> T:
        size = 0
        try:
            made = work()
            size = self._size(made)
        finally:
            with self._lock:
                self._making -= 1
                self._ready += size
                self._begin()
        return made
