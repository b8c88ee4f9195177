"""One run at a time: over threads and processes, with a word to whoever waits."""

from __future__ import annotations

import signal
import threading
from typing import TYPE_CHECKING

import pytest
from filelock import FileLock

from storage.locks import exclusive
from storage.model import StorageError
from tests.processes import python

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path

HOLD = """
import sys
from pathlib import Path
from storage.locks import exclusive
with exclusive(Path(sys.argv[1]), "notes", 5, print):
    print("held", flush=True)
    sys.stdin.readline()
"""


def holder(path: Path) -> subprocess.Popen[str]:
    """Another process that holds the lock until it is told or killed."""
    process = python(HOLD, path)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_a_free_lock_is_had_without_a_word(tmp_path: Path) -> None:
    told: list[str] = []
    for _ in range(2):
        with exclusive(tmp_path / "new" / "a.lock", "notes", 0, told.append):
            assert (tmp_path / "new").is_dir()
    assert told == []


def test_a_lock_is_free_after_an_error(tmp_path: Path) -> None:
    with (
        pytest.raises(KeyError, match="inside"),
        exclusive(tmp_path / "a", "notes", 0, print),
    ):
        raise KeyError("inside")
    with exclusive(tmp_path / "a", "notes", 0, print):
        pass


def test_who_waits_too_long_is_told_what_helps(tmp_path: Path) -> None:
    told: list[str] = []
    with holder(tmp_path / "a") as process:
        with (
            pytest.raises(StorageError, match=r"another run of notes still holds .*wait_seconds"),
            exclusive(tmp_path / "a", "notes", 0.2, told.append),
        ):
            pass
        process.communicate("\n")
    assert told == ["another run of notes is under way; waiting up to 0.2 s for it"]


def test_who_is_stopped_while_waiting_says_no_more_than_that(tmp_path: Path) -> None:
    class StoppedError(BaseException):
        """As a signal raises."""

    def stop(*_: object) -> None:
        raise StoppedError

    before = signal.signal(signal.SIGALRM, stop)
    try:
        with (
            FileLock(tmp_path / "a"),
            pytest.raises(StoppedError) as stopped,
            exclusive(tmp_path / "a", "notes", 60, lambda _: _alarm(0.01)),
        ):
            pass
    finally:
        signal.signal(signal.SIGALRM, before)
    assert stopped.value.__notes__ == ["it was only waiting for another run of notes"]


def _alarm(seconds: float) -> None:
    signal.setitimer(signal.ITIMER_REAL, seconds)


def test_a_killed_holder_frees_the_lock(tmp_path: Path) -> None:
    with holder(tmp_path / "a") as process:
        process.kill()
    with exclusive(tmp_path / "a", "notes", 5, print):
        pass


def test_threads_take_turns(tmp_path: Path) -> None:
    inside, most = [0], [0]

    def work() -> None:
        with exclusive(tmp_path / "a", "notes", 60, lambda _: None):
            inside[0] += 1
            most[0] = max(most[0], inside[0])
            threading.Event().wait(0.02)
            inside[0] -= 1

    threads = [threading.Thread(target=work) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (inside, most) == ([0], [1])
