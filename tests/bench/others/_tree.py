"""What a process costs together with all that it starts, servers that it leaves behind included.

The measuring process adopts orphans (``PR_SET_CHILD_SUBREAPER``), so that a server which detaches
itself still counts. Linux alone has that, and ``/proc``.
"""

from __future__ import annotations

import ctypes
import os
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

from tests.bench._arms import Ran

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_ADOPT_ORPHANS = 36
_EVERY = 0.25
_PROC = Path("/proc")


class FailedError(RuntimeError):
    """A process that did not end well; the message is the end of what it wrote to stderr."""


def adopt_orphans() -> None:
    """Become the parent of whatever processes below this one lose theirs.

    Raises:
        OSError: where the system has no such thing.
    """
    if ctypes.CDLL(None, use_errno=True).prctl(_ADOPT_ORPHANS, 1, 0, 0, 0):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def run(words: Sequence[str], environment: Mapping[str, str], scratch: Path) -> Ran:
    """Run a program to its end.

    Returns:
        wall: until it ends; cpu: of the whole tree, user and system, of what outlives it until
        then; peak_mib: the most that the tree held at one of its samples, four a second, shared
        memory counted once (PSS).

    Raises:
        FailedError: if it does not end well.
    """
    output, complaints = scratch / "output.txt", scratch / "complaints.txt"
    left = {one: _seconds(one) for one in _below()}
    with output.open("wb") as out, complaints.open("wb") as err:
        started = time.perf_counter()
        child = subprocess.Popen(words, stdout=out, stderr=err, env=environment)  # noqa: S603 - our own words
        peak, reaped = 0.0, -sum(left.values())
        while True:
            peak = max(peak, sum(_mib(one) for one in _below()))
            ended, seconds, status = _reap(child.pid)
            reaped += seconds
            if ended:
                break
            time.sleep(_EVERY)
        wall = time.perf_counter() - started
    child.returncode = status
    if status:
        told = complaints.read_text("utf-8", errors="replace").strip().splitlines()
        raise FailedError("\n".join(told[-12:]) or f"it ended with {status}")
    cpu = reaped + sum(_seconds(one) for one in _below())
    return Ran(wall, cpu, peak, output.read_text("utf-8"))


def _reap(awaited: int) -> tuple[bool, float, int]:
    """Collect what has ended: whether the awaited one is among it, their CPU seconds, its exit."""
    seconds, found, code = 0.0, False, 0
    while True:
        try:
            process, status, usage = os.wait4(-1, os.WNOHANG)
        except ChildProcessError:
            break
        if not process:
            break
        seconds += usage.ru_utime + usage.ru_stime
        if process == awaited:
            found, code = True, os.waitstatus_to_exitcode(status)
    return found, seconds, code


def _below() -> list[int]:
    """All processes that descend from this one."""
    children: dict[int, list[int]] = {}
    for folder in _PROC.iterdir():
        if folder.name.isdigit() and (fields := _stat(int(folder.name))):
            children.setdefault(int(fields[1]), []).append(int(folder.name))
    found, ahead = [], [os.getpid()]
    while ahead:
        below = children.get(ahead.pop(), [])
        found += below
        ahead += below
    return found


def _stat(process: int) -> list[str]:
    """The fields of ``/proc/N/stat`` from the state on (proc(5)); none where it has gone."""
    try:
        return (_PROC / str(process) / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def _seconds(process: int) -> float:
    """CPU of a living process and of the children that it has collected."""
    fields = _stat(process)
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK") if fields else 0.0


def _mib(process: int) -> float:
    """Memory of a process, its share of what others map too."""
    try:
        lines = (_PROC / str(process) / "smaps_rollup").read_text().splitlines()
    except OSError:
        return 0.0
    return sum(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024
