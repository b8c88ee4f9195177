"""Parts of a batch side by side on a processor, each computed by one thread.

Torch splits each operation among all its threads, which then wait for one another. What a part
that fits the caches (`encoders._cached`) asks of an operation is little, so that much of the time
is waiting, and nearly all of it where other processes want the same cores: measured with MiniLM in
bfloat16 on news items, two threads took 24 times the CPU of one on such a machine. Parts that run
side by side wait for nothing but the end; and what Python does around one is done while another
computes.
"""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from torch import nn

T = TypeVar("T")
R = TypeVar("R")

_MOST = 4
"""Streams at a time: Python runs in one of them only, and more would wait for it."""

_SHORT, _LONG = 2, 12


def mapped(work: Callable[[T], R], parts: Iterable[T], device: str | None) -> list[R]:
    """What is made of each part, in order.

    How many threads compute a part hangs on the machine alone, never on how many parts there are:
    the last digit of a sum may hang on it.

    Args:
        work: runs one part through a model; called by several threads at once on a processor.
        parts: in any number.
        device: of torch; parts follow one another elsewhere than on a processor, and where it is
            None, since what computes them takes one call at a time.

    Raises:
        Exception: the first that a part raises; no part is begun after it.
    """
    given = list(parts)
    if device is None or not device.startswith("cpu"):
        return [work(part) for part in given]
    with _THREADS.split() as (threads, each):
        streams = _Streams(work, given, each)
        streams.run(min(threads, _MOST, len(given)))
    return streams.results()


def keeps_nothing(model: nn.Module, run: Callable[[int], object]) -> bool:
    """Whether a model comes out of a call as it went in, so that threads may call it at once.

    Some keep positions for the length that they were given last, and make them anew at another.

    Args:
        model: with all its modules.
        run: calls it with an input of about so many tokens.
    """
    run(_LONG)  # what a first call makes may stay
    before = _held(model)
    run(_SHORT)
    run(_LONG)
    after = _held(model)
    return len(before) == len(after) and all(
        before.get(place, _held) is value for place, value in after.items()
    )


def _held(model: nn.Module) -> dict[tuple[int, str], object]:
    """What the modules of a model hold, by their place and its name."""
    return {
        (place, name): value
        for place, module in enumerate(model.modules())
        for name, value in (*vars(module).items(), *module.named_buffers(recurse=False))
    }


class _Streams(Generic[T, R]):
    """Threads that take one part after the other."""

    def __init__(self, work: Callable[[T], R], parts: list[T], threads: int) -> None:
        self._work = work
        self._left = enumerate(parts)
        self._threads = threads
        self._made: dict[int, R] = {}
        self._error: BaseException | None = None
        self._lock = threading.Lock()

    def run(self, streams: int) -> None:
        """Go through all parts, the caller's thread being one of the streams."""
        # As daemons, since a model that hangs must not keep the process from ending.
        others = [
            threading.Thread(target=self._drain, name="stream", daemon=True)
            for _ in range(streams - 1)
        ]
        for thread in others:
            thread.start()
        self._drain()
        for thread in others:
            thread.join()

    def results(self) -> list[R]:
        """What was made of the parts, in their order."""
        error, self._error = self._error, None
        if error is None:
            return [made for _, made in sorted(self._made.items(), key=lambda item: item[0])]
        try:
            raise error
        finally:
            del error  # a frame that an error holds must not hold the error

    def _drain(self) -> None:
        import torch

        torch.set_num_threads(self._threads)
        while (taken := self._next()) is not None:
            at, part = taken
            try:
                self._made[at] = self._work(part)
            except BaseException as error:  # noqa: BLE001 - the caller is to have it
                with self._lock:
                    self._error = self._error or error

    def _next(self) -> tuple[int, T] | None:
        with self._lock:
            return None if self._error is not None else next(self._left, None)


class _Threads:
    """How many threads torch computes with, told apart from what a stream is given of them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._users = 0
        self._all = 1

    @contextmanager
    def split(self) -> Iterator[tuple[int, int]]:
        """All threads, and those of a stream; the caller's number is put back at the end."""
        import torch

        with self._lock:
            # A thread that begins while others are split takes the number of a stream for its own.
            if self._users == 0:
                self._all = torch.get_num_threads()
            self._users += 1
            threads = self._all
        try:
            yield threads, max(1, threads // _MOST)
        finally:
            with self._lock:
                self._users -= 1
            torch.set_num_threads(threads)


_THREADS = _Threads()
