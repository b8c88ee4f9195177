"""Calls with a deadline give what calls without one do."""

from __future__ import annotations

import signal
import threading
import time
from contextvars import ContextVar

import pytest

from flows.pipeline.deadline import Overdue, Worker
from tests.processes import python

where: ContextVar[str] = ContextVar("where", default="nowhere")


@pytest.mark.parametrize("seconds", [0.0, 60.0])
def test_results_and_errors_come_back(seconds: float) -> None:
    with Worker(seconds) as worker:
        assert worker.call(divmod, 7, 2) == (3, 1)
        with pytest.raises(ZeroDivisionError, match="zero"):
            worker.call(divmod, 7, 0)
        assert worker.call(divmod, 9, 2) == (4, 1)


def test_context_variables_are_those_of_the_caller() -> None:
    where.set("here")
    with Worker(60) as worker:
        assert worker.call(where.get) == "here"
        where.set("there")
        assert worker.call(where.get) == "there"


def test_one_thread_makes_all_calls_and_ends() -> None:
    with Worker(60) as worker:
        names = {worker.call(threading.get_ident) for _ in range(3)}
    assert len(names) == 1
    assert names != {threading.get_ident()}
    for thread in threading.enumerate():
        if thread.ident in names:
            thread.join(60)
            assert not thread.is_alive()


def test_what_hangs_is_given_up() -> None:
    release = threading.Event()
    with pytest.raises(Overdue), Worker(0.05) as worker:
        worker.call(release.wait)
    release.set()


def test_a_process_ends_though_a_thread_hangs() -> None:
    code = (
        "import time\nfrom flows.pipeline.deadline import Overdue, Worker\n"
        "try:\n    Worker(0.05).call(time.sleep, 10000)\nexcept Overdue:\n    print('gave up')\n"
    )
    with python(code) as child:
        told, complaints = child.communicate(timeout=300)
    assert (told, child.returncode, complaints) == ("gave up\n", 0, "")


def test_an_interrupt_reaches_the_caller_while_it_waits() -> None:
    code = (
        "import time\nfrom flows.pipeline.deadline import Worker\n"
        "print('begun', flush=True)\n"
        "try:\n    Worker(10000).call(time.sleep, 3)\n"
        "except KeyboardInterrupt:\n    print('stopped')\n"
    )
    with python(code) as child:
        assert child.stdout is not None
        child.stdout.readline()
        time.sleep(0.5)
        child.send_signal(signal.SIGINT)
        told, complaints = child.communicate(timeout=300)
    assert (told, child.returncode, complaints) == ("stopped\n", 0, "")
