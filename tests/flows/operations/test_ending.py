"""How a process that serves ends: the second signal is obeyed whatever the first has led to."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from flows.operations import ending
from tests.conftest import REPOSITORY
from tests.flows.operations.service import wait

STUCK = """
import threading

from flows.operations import ending

ending.handle(lambda n: print("first", n, flush=True), lambda n: ending.at_once(128 + n))
print("ready", flush=True)
while True:
    threading.Event().wait(60)
"""
RUN = """
import time

from flows.operations import ending

print(ending.with_server(), flush=True)
time.sleep(600)
"""


def started(code: str, **more: str) -> subprocess.Popen[str]:
    return subprocess.Popen(  # noqa: S603 - our own interpreter and our own code
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(REPOSITORY)} | more,
    )


@pytest.mark.parametrize("number", ending.SIGNALS)
def test_the_second_signal_ends_it_though_the_first_does_not(number: signal.Signals) -> None:
    with started(STUCK) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(number)
        assert process.stdout.readline() == f"first {int(number)}\n"
        process.send_signal(number)
        assert process.wait(60) == 128 + number


def test_a_run_ends_as_in_a_crash_with_the_process_that_serves_it() -> None:
    # A process that is no parent of the run stands for one that was, and is gone.
    with started(RUN, **{ending.SERVED_BY: "1" if os.getpid() != 1 else "2"}) as run:
        assert run.stdout is not None
        assert run.wait(60) == -signal.SIGKILL
    with started(RUN, **{ending.SERVED_BY: str(os.getpid())}) as run:
        assert run.stdout is not None
        assert run.stdout.readline() == "True\n"
        assert run.poll() is None
        run.kill()
        wait(lambda: not Path(f"/proc/{run.pid}/exe").exists(), "it to end")


def test_a_run_that_nothing_serves_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(ending.SERVED_BY, raising=False)
    assert not ending.with_server()
