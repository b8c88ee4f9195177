"""How the process that serves schedules ends, and its runs with it: by signals, and at once."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
import traceback
from contextlib import suppress
from typing import TYPE_CHECKING, NoReturn

from flows.output.stopping import Once

if TYPE_CHECKING:
    from collections.abc import Callable

SERVED_BY = "VECMILL_SERVED_BY"
"""The environment variable in which runs are told the id of the process that serves them."""
_STARTED_FOR = "PREFECT__FLOW_RUN_ID"
"""That in which Prefect tells a process which run it was started for."""
SIGNALS = (signal.SIGTERM, signal.SIGINT)
_OFTEN = 0.5
"""Seconds between two looks whether that process is still there."""
_hurried = threading.Event()


def handle(
    first: Callable[[int], None],
    second: Callable[[int], None],
    clock: Callable[[], float] = time.monotonic,
) -> None:
    """Have SIGTERM and SIGINT do one thing the first time, and another from then on.

    Args:
        first: given the signal's number.
        second: likewise; not called for one that comes again at once (`flows.output.stopping`).
        clock: seconds, from whenever.
    """
    once, told = Once(clock), False

    def act(number: int, _: object) -> None:
        nonlocal told
        if once.is_echo():
            return
        do, told = second if told else first, True
        do(number)

    for number in SIGNALS:
        signal.signal(number, act)


def hurry() -> None:
    """Have this process end `at_once` when it is done: Prefect has nobody to wait for."""
    _hurried.set()


def hurried() -> bool:
    """Whether this process is to end `at_once`."""
    return _hurried.is_set()


def at_once(code: int) -> NoReturn:
    """End this process without asking Prefect, which waits for a server that may be gone.

    Its runs end by themselves: `with_server` sees to it.
    """
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    os._exit(code)


def let_go(error: BaseException) -> None:
    """Let go of what a failed run held in its frames, such as connections of a database.

    Prefect keeps the error until the process ends, and DuckDB then complains of them for fifty
    lines, below the one that says why the run failed.
    """
    left: list[BaseException | None] = [error]
    seen = set[int]()
    while left:
        one = left.pop()
        if one is not None and id(one) not in seen:
            seen.add(id(one))
            traceback.clear_frames(one.__traceback__)
            left += [one.__cause__, one.__context__]


def with_server(run: str | None) -> bool:
    """Within a run: end as in a crash once the process is gone that serves it.

    A run that outlived it would be told of by nobody, while the next start begins another. Only a
    process that was started for that run ends so: what else runs in one that inherited the
    variables, or goes through a flow within a program of its own, has to live.

    Args:
        run: the id of the flow run that goes on here.

    Returns:
        Whether there is one.
    """
    given = os.environ.get(SERVED_BY)
    if given is None or run is None or os.environ.get(_STARTED_FOR) != run:
        return False
    with_parent(int(given))
    return True


def with_parent(parent: int) -> None:
    """End this process as in a crash once it is not, or no more, the child of a process."""
    threading.Thread(target=_outlive_not, args=(parent,), daemon=True).start()


def _outlive_not(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(_OFTEN)
    os.kill(os.getpid(), signal.SIGKILL)
