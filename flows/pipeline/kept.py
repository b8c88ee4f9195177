"""What was made last, so that it is not made again for the next one who asks."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


class Kept(Generic[T]):
    """Values by name, of which so many are kept as were asked for last.

    Threads may share it: one that asks for what another is making waits for that. What they hold
    stays theirs, however soon it is kept no more.

    Args:
        make: makes the value of a name.
        most: how many are kept.
    """

    def __init__(self, make: Callable[[str], T], most: int) -> None:
        self._make = make
        self._most = most
        self._lock = threading.Lock()
        self._entries: OrderedDict[str, _Entry[T]] = OrderedDict()

    def get(self, name: str) -> T:
        """The value of a name."""
        with self._lock:
            entry = self._entries.setdefault(name, _Entry())
            self._entries.move_to_end(name)
            while len(self._entries) > self._most:
                self._entries.popitem(last=False)
        with entry.lock:
            if not entry.made:
                entry.made.append(self._make(name))
            return entry.made[0]


class _Entry(Generic[T]):
    """A value, once it is made."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.made: list[T] = []
