"""How a process that serves ends: the second signal is obeyed whatever the first has led to."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from weakref import ref

import pytest

from flows.operations import ending
from tests.conftest import REPOSITORY
from tests.flows.operations.service import wait

STARTED_FOR = "PREFECT__FLOW_RUN_ID"
"""The variable in which Prefect tells a process of which run it is."""
STUCK = """
import itertools
import threading

from flows.operations import ending

def first(number):
    print("first", number, flush=True)


ending.handle(first, lambda n: ending.at_once(128 + n), itertools.count().__next__)
print("ready", flush=True)
while True:
    threading.Event().wait(60)
"""
RUN = """
import time

from flows.operations import ending

print(ending.with_server("one"), flush=True)
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


def test_one_signal_sent_twice_at_once_is_the_first_alone() -> None:
    # As `timeout` does it: to the process, and to its group.
    moments = iter([10.0, 10.004, 10.49, 10.5, 11.0])
    called: list[tuple[str, int]] = []
    before = [(number, signal.getsignal(number)) for number in ending.SIGNALS]
    try:
        ending.handle(
            lambda n: called.append(("first", n)),
            lambda n: called.append(("second", n)),
            lambda: next(moments),
        )
        for _ in range(3):
            signal.raise_signal(signal.SIGTERM)
        assert called == [("first", signal.SIGTERM)]
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGINT)
    finally:
        for number, handler in before:
            signal.signal(number, handler)
    assert called[1:] == [("second", signal.SIGTERM), ("second", signal.SIGINT)]


def test_a_run_ends_as_in_a_crash_with_the_process_that_serves_it() -> None:
    # A process that is no parent of the run stands for one that was, and is gone.
    gone = "1" if os.getpid() != 1 else "2"
    with started(RUN, **{ending.SERVED_BY: gone, STARTED_FOR: "one"}) as run:
        assert run.stdout is not None
        assert run.wait(60) == -signal.SIGKILL
    with started(RUN, **{ending.SERVED_BY: str(os.getpid()), STARTED_FOR: "one"}) as run:
        assert run.stdout is not None
        assert run.stdout.readline() == "True\n"
        assert run.poll() is None
        run.kill()
        wait(lambda: not Path(f"/proc/{run.pid}/exe").exists(), "it to end")


def test_a_server_of_ones_own_ends_with_who_started_it() -> None:
    """As the name of a module stands one that goes on for ever; the parent named is gone."""
    command = [sys.executable, "-m", "flows.operations.own"]
    gone = "1" if os.getpid() != 1 else "2"
    forever = ["http.server", "--bind", "127.0.0.1", "0"]
    with subprocess.Popen([*command, gone, *forever], cwd=REPOSITORY) as server:  # noqa: S603 - our own interpreter and our own code
        assert server.wait(60) == -signal.SIGKILL
    with subprocess.Popen(  # noqa: S603 - our own interpreter and our own code
        [*command, str(os.getpid()), *forever],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
    ) as server:
        assert server.stdout is not None
        assert server.stdout.readline().startswith("Serving HTTP on 127.0.0.1")
        server.terminate()
        assert server.wait(60) == -signal.SIGTERM


@pytest.mark.parametrize("started_for", [None, "another"])
def test_a_flow_within_another_program_never_ends_that(
    monkeypatch: pytest.MonkeyPatch, started_for: str | None
) -> None:
    """It may have inherited the variables: such a thread would kill all that goes on there."""
    monkeypatch.setenv(ending.SERVED_BY, str(os.getppid()))
    monkeypatch.delenv(STARTED_FOR, raising=False)
    if started_for is not None:
        monkeypatch.setenv(STARTED_FOR, started_for)
    assert not ending.with_server("one")
    assert not ending.with_server(None), "no flow at all"


def test_a_run_that_nothing_serves_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(ending.SERVED_BY, raising=False)
    monkeypatch.setenv(STARTED_FOR, "one")
    assert not ending.with_server("one")


def test_what_a_failed_run_held_is_let_go() -> None:
    class Held:
        pass

    held: list[ref[Held]] = []

    def hold() -> Held:
        thing = Held()
        held.append(ref(thing))
        return thing

    def inner() -> None:
        kept = hold()
        raise ValueError(f"why {id(kept)}")

    def outer() -> None:
        kept = hold()
        try:
            inner()
        except ValueError as error:
            raise RuntimeError(f"told {id(kept)}") from error

    with pytest.raises(RuntimeError, match="told") as raised:
        outer()
    assert all(one() is not None for one in held), "else there is nothing to let go of"
    ending.let_go(raised.value)
    assert [one() for one in held] == [None, None]
