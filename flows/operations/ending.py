"""How the process that serves schedules ends, and its runs with it: by signals, and at once."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from collections.abc import Callable

SERVED_BY = "VECMILL_SERVED_BY"
"""The environment variable in which runs are told the id of the process that serves them."""
SIGNALS = (signal.SIGTERM, signal.SIGINT)
_OFTEN = 0.5
"""Seconds between two looks whether that process is still there."""


def handle(first: Callable[[int], None], second: Callable[[int], None]) -> None:
    """Have SIGTERM and SIGINT do one thing the first time, and another from then on."""
    told = False

    def act(number: int, _: object) -> None:
        nonlocal told
        do, told = second if told else first, True
        do(number)

    for number in SIGNALS:
        signal.signal(number, act)


def at_once(code: int) -> NoReturn:
    """End this process without asking Prefect, which waits for a server that may be gone.

    Its runs end by themselves: `with_server` sees to it.
    """
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    os._exit(code)


def with_server() -> bool:
    """Within a run: end as in a crash once the process is gone that serves it.

    A run that outlived it would be told of by nobody, while the next start begins another.

    Returns:
        Whether there is one.
    """
    given = os.environ.get(SERVED_BY)
    if given is None:
        return False
    threading.Thread(target=_outlive_not, args=(int(given),), daemon=True).start()
    return True


def _outlive_not(server: int) -> None:
    while os.getppid() == server:
        time.sleep(_OFTEN)
    os.kill(os.getpid(), signal.SIGKILL)
