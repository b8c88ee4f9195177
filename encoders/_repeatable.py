"""Sums in the same order each time, however many threads there are.

The gradient of looking rows up in a table, ``table[rows]``, is added up by torch with atomic
operations, one thread before the other or after: two fits with equal seeds would not be equal.
``torch.use_deterministic_algorithms`` turns this off, for the whole process.
"""

from __future__ import annotations

import warnings
from contextlib import contextmanager
from threading import Lock
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


class _Setting:
    """Torch's setting, on while any thread needs it, and put back by the last of them."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._users = 0
        self._before = (False, False)

    def on(self) -> None:
        import torch

        with self._lock:
            if self._users == 0:
                self._before = (
                    torch.are_deterministic_algorithms_enabled(),
                    torch.is_deterministic_algorithms_warn_only_enabled(),
                )
                # Some operations of CUDA have no other way: those may stay as they are.
                torch.use_deterministic_algorithms(mode=True, warn_only=torch.cuda.is_available())
            self._users += 1

    def off(self) -> None:
        import torch

        with self._lock:
            self._users -= 1
            if self._users == 0:
                mode, warn_only = self._before
                torch.use_deterministic_algorithms(mode, warn_only=warn_only)


_SETTING = _Setting()


@contextmanager
def repeatable(device: str) -> Iterator[None]:
    """Make what torch computes within equal from run to run; on CUDA as far as it can.

    Several threads may be within at once; the setting from before is back when all have left.
    """
    _SETTING.on()
    try:
        if device == "cpu":
            yield
            return
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", ".*use_deterministic_algorithms", UserWarning)
            yield
    finally:
        _SETTING.off()


@contextmanager
def one_core() -> Iterator[None]:
    """Compute on one core within, so that a machine with more cores gets equal sums.

    The gradient of a convolution is added up over the images of a batch, by each thread over its
    own: measured, four steps on two threads differ from those on one by 5e-6. Other threads, those
    that begin meanwhile too, keep the number that they have.
    """
    from encoders import _threads

    before = _threads.set_here(1)
    try:
        yield
    finally:
        _threads.set_here(before)
