"""A Prefect server of one's own, for as long as schedules are served and nobody names another."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import httpx

from flows.pipeline.refusals import RunError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PORT = 4200
"""Where Prefect's server listens by default."""
_LONGEST = 600.0
"""Seconds that a first start may take: it makes a database, on a machine that may be busy."""
_GRACE = 30.0


@dataclass(frozen=True)
class Server:
    """Prefect's server, as this process talks to it.

    Attributes:
        api: the address of its API.
        log: what it writes into, where it was started here.
        process: its own, where it was started here.
    """

    api: str
    log: Path | None = None
    process: subprocess.Popen[bytes] | None = None

    def ended(self) -> str | None:
        """How the server that was started here has ended, in words; None while it goes on."""
        return None if self.process is None else how_ended(self.process)

    def kill(self) -> None:
        """End what was started here, without waiting for it."""
        if self.process is not None:
            self.process.kill()


def how_ended(process: subprocess.Popen[Any]) -> str | None:
    """How a process has ended, in words; None while it goes on."""
    code = process.poll()
    if code is None:
        return None
    return f"by {signal.Signals(-code).name}" if code < 0 else f"with exit code {code}"


def answers(port: int) -> bool:
    """Whether a Prefect server answers at a port of this machine."""
    try:
        found = httpx.get(f"http://127.0.0.1:{port}/api/health", timeout=5.0)
    except httpx.HTTPError:
        return False
    return found.status_code == httpx.codes.OK and found.text.strip() == "true"


@contextmanager
def local(port: int | None, log: Path) -> Iterator[Server]:
    """A server on this machine for the block, or the one that answers at the port already.

    Args:
        port: where it listens; Prefect's usual one where None is given, or another if that is
            taken.
        log: the file that it writes into.

    Raises:
        RunError: if it does not start.
    """
    wanted = PORT if port is None else port
    if answers(wanted):
        # A second server over the same database would be in the first one's way.
        yield Server(_api(wanted))
        return
    if not _free(wanted):
        if port is not None:
            raise RunError(f"port {port} is taken; name another with --port")
        wanted = _any()
    log.parent.mkdir(parents=True, exist_ok=True)
    own = [sys.executable, "-m", "flows.operations.own", str(os.getpid())]
    with log.open("ab") as file:
        # Of a session of its own: Ctrl-C is for us, who still have to tell it how runs ended.
        process = subprocess.Popen(  # noqa: S603 - our own interpreter
            [*own, "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(wanted)],
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            start_new_session=True,
        )
    try:
        _wait(process, wanted, log)
        yield Server(_api(wanted), log, process)
    finally:
        _end(process)


def _api(port: int) -> str:
    return f"http://127.0.0.1:{port}/api"


def _wait(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    began = time.monotonic()
    while not answers(port):
        if process.poll() is not None:
            raise RunError(f"Prefect's server ended as it started; {log} says why")
        if time.monotonic() - began > _LONGEST:
            raise RunError(f"Prefect's server does not answer after {_LONGEST:g} s; see {log}")
        time.sleep(0.5)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(_GRACE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _free(port: int) -> bool:
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _any() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port
