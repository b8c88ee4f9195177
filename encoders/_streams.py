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
from collections import deque
from contextlib import nullcontext
from functools import partial
from typing import TYPE_CHECKING, Generic, TypeVar

from encoders import _residents

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from contextlib import AbstractContextManager

    from torch import nn

T = TypeVar("T")
R = TypeVar("R")

_MOST = 4
"""Streams at a time: Python runs in one of them only, and more would wait for it."""

_SHORT, _LONG, _MUCH = 2, 12, 512
"""Tokens of a trial; a model that reads more than the last is tried with so many."""


def mapped(work: Callable[[T], R], parts: Iterable[T], device: str | None) -> list[R]:
    """What is made of each part, in order.

    How many threads compute a part hangs on those of the caller alone, never on how many parts
    there are: the last digit of a sum may hang on it. `Turns.mapped` does otherwise with one part.

    Args:
        work: runs one part through a model; called by several threads at once on a processor.
        parts: in any number.
        device: of torch; parts follow one another elsewhere than on a processor, and where it is
            None, since what computes them takes one call at a time.

    Raises:
        Exception: the first that a part raises; no part is begun after it.
    """
    given = list(parts)
    if device is None or not device.startswith("cpu") or not given or (count := _own()) == 1:
        return [work(part) for part in given]
    streams = _Streams(work, given)
    streams.run(count)
    return streams.results()


def _own() -> int:
    """How many threads this one computes with; one stream would with one."""
    import torch

    return int(torch.get_num_threads())


class Turns:
    """How many threads may call a model at once: several of a processor, or one.

    Which it is is tried at the first batch of several parts: a query alone need not wait for it.
    """

    def __init__(
        self,
        model: nn.Module,
        device: str | None,
        run: Callable[[int], object],
        longest: float = _LONG,
    ) -> None:
        """Nothing is tried yet.

        Args:
            model: in evaluation mode, on its device.
            device: of torch; None where calls are to follow one another, as they do elsewhere than
                on a processor.
            run: as `keeps_nothing` takes it; holds `turn` around its call.
            longest: as there.
        """
        self._device = device
        self._trial = partial(at_once, model, run, longest)
        self._lock = threading.Lock()
        on_processor = device is not None and device.startswith("cpu")
        self._at_once: bool | None = None if on_processor else False

    @property
    def turn(self) -> AbstractContextManager[object]:
        """To be held around a call of the model."""
        return nullcontext() if self._at_once else self._lock

    def mapped(self, work: Callable[[T], R], parts: Iterable[T]) -> list[R]:
        """What is made of each part, in order; of one alone by all threads of torch.

        Args:
            work: holds `turn` around each call of the model.
            parts: in any number.

        Raises:
            Exception: as `mapped`.
        """
        given = list(parts)
        several = len(given) > 1 and _own() > 1
        if several and self._at_once is None:
            self._at_once = self._trial()
        return mapped(work, given, self._device if several and self._at_once else None)


def at_once(model: nn.Module, run: Callable[[int], object], longest: float = _LONG) -> bool:
    """Whether several threads may call a model at once; arguments as of `keeps_nothing`."""
    # Rotary positions that are stretched are kept from a length on that no trial reaches.
    rotary = " ".join(str(getattr(module, "rope_type", "")) for module in model.modules())
    if "dynamic" in rotary or "longrope" in rotary:
        return False
    return keeps_nothing(model, run, longest)


def keeps_nothing(model: nn.Module, run: Callable[[int], object], longest: float = _LONG) -> bool:
    """Whether a model comes out of a call as it went in, so that threads may call it at once.

    Some keep positions for the length that they were given last, and make them anew at another.
    Not seen are what grows beyond ``longest`` only, numbers that are written over within a tensor,
    and what lies deeper than in a list, tuple, set or dict that is an attribute of a module.

    Args:
        model: with all its modules.
        run: calls it with an input of about so many tokens.
        longest: tokens that the model reads; `_MUCH` of them are tried at most.
    """
    run(int(max(_LONG, min(longest, _MUCH))))  # what a first call makes may stay
    before = _held(model)
    for tokens in (_SHORT, _LONG):
        run(tokens)
        after = _held(model)
        if len(before) != len(after) or any(
            before.get(place, _held) is not value for place, value in after.items()
        ):
            return False
    return True


def _held(model: nn.Module) -> dict[tuple[object, ...], object]:
    """What the modules of a model hold, by their place and its name, and what is in it."""
    found: dict[tuple[object, ...], object] = {}
    for place, module in enumerate(model.modules()):
        for name, value in vars(module).items():
            found[place, name] = value
            # Buffers are in such a dict too.
            inside = [*value, *value.values()] if isinstance(value, dict) else value
            if isinstance(inside, list | tuple | set | frozenset | deque):
                found |= {(place, name, at): one for at, one in enumerate(inside)}
    return found


class _Streams(Generic[T, R]):
    """Threads that take one part after the other."""

    def __init__(self, work: Callable[[T], R], parts: list[T]) -> None:
        self._work = work
        self._parts = parts
        self._left = enumerate(parts)
        self._made: dict[int, R] = {}
        self._error: BaseException | None = None
        self._lock = threading.Lock()

    def run(self, count: int) -> None:
        """Go through all parts with so many threads; the caller's waits."""
        streams = min(count, _MOST, len(self._parts))
        threads = _residents.taken(streams, max(1, count // _MOST))
        under_way: list[threading.Event] = []
        try:
            for thread in threads:
                under_way.append(thread.begin(self._drain))  # noqa: PERF401 - an interrupt keeps it
            for done in under_way:
                done.wait()
        except BaseException as error:  # an interrupt
            self._fail(error)
            _residents.let_go([one for one in threads[len(under_way) :] if not one.begun])
            for done in under_way:
                done.wait()
            raise

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
        while (taken := self._next()) is not None:
            at, part = taken
            try:
                self._made[at] = self._work(part)
            except BaseException as error:  # noqa: BLE001 - the caller is to have it
                self._fail(error)

    def _fail(self, error: BaseException) -> None:
        with self._lock:
            self._error = self._error or error

    def _next(self) -> tuple[int, T] | None:
        with self._lock:
            return None if self._error is not None else next(self._left, None)
