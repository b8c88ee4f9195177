"""That a command is being ended is said at once, whoever handles the signal."""

from __future__ import annotations

import signal
from threading import Event
from typing import TYPE_CHECKING

import pytest

from flows.output.stopping import Terminated, acknowledging, terminating

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def handler() -> Iterator[None]:
    """SIGTERM raises, as in a command; nothing else is woken by signals afterwards."""
    before = signal.signal(signal.SIGTERM, terminating())
    yield
    signal.signal(signal.SIGTERM, before)
    assert signal.set_wakeup_fd(-1) == -1


def test_it_is_said_while_the_block_is_still_ending() -> None:
    told = Event()

    def end() -> None:
        try:
            signal.raise_signal(signal.SIGTERM)
        finally:
            assert told.wait(60)

    with pytest.raises(Terminated), acknowledging(told.set, soon=0.0):
        end()


def test_of_an_end_that_comes_soon_nothing_is_said() -> None:
    told = Event()
    with pytest.raises(Terminated), acknowledging(told.set, soon=600.0):
        signal.raise_signal(signal.SIGTERM)
    assert not told.is_set()


def test_nothing_is_said_where_nothing_ends_it() -> None:
    told = Event()
    with acknowledging(told.set, soon=0.0):
        pass
    assert not told.is_set()


def test_what_comes_again_at_once_does_not_break_off_the_ending() -> None:
    moments = iter([1.0, 1.003, 1.6])
    signal.signal(signal.SIGTERM, terminating(lambda: next(moments)))
    with pytest.raises(Terminated):
        signal.raise_signal(signal.SIGTERM)
    signal.raise_signal(signal.SIGTERM)
    with pytest.raises(Terminated):
        signal.raise_signal(signal.SIGTERM)
