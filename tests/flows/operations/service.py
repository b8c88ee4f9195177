"""A Prefect server, the processes that talk to it, and what it says of runs."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlsplit

import httpx

from tests.conftest import REPOSITORY

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from tests.flows.project import Project

LONG = 300.0
"""Seconds: a process that imports Prefect may take half a minute of a busy machine."""
PLUGINS = """
from tests.flows.plugins import install

install()
"""
Row = dict[str, Any]


@dataclass
class Service:
    """A server for the tests of a session.

    Attributes:
        api: the address of its API.
        folder: where its home lies, and what its processes print.
    """

    api: str
    folder: Path
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def home(self) -> Path:
        """Prefect's."""
        return self.folder / "home"

    @property
    def environment(self) -> dict[str, str]:
        """Variables of a process that talks to it, and finds the tests' own encoders."""
        site = self.folder / "site"
        site.mkdir(exist_ok=True)
        (site / "sitecustomize.py").write_text(PLUGINS, encoding="utf-8")
        given = os.environ.get("PYTHONPATH", "")
        return {
            **os.environ,
            "PREFECT_API_URL": self.api,
            "PREFECT_HOME": str(self.home),
            "PREFECT_RUNNER_POLL_FREQUENCY": "1",
            "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "INFO",
            "PYTHONPATH": os.pathsep.join([str(site), str(REPOSITORY), *filter(None, [given])]),
            "OMP_NUM_THREADS": "1",
        }

    def start(
        self, module: str, *arguments: object, cwd: Path | None = None, **more: str
    ) -> Process:
        """Start a module of Python, such as ``flows.cli``."""
        out = self.folder / f"{len(self.processes):02d}.log"
        with out.open("wb") as file:
            process = subprocess.Popen(  # noqa: S603 - our own interpreter and our own code
                [sys.executable, "-m", module, *map(str, arguments)],
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                cwd=cwd or self.folder,
                env=self.environment | more,
            )
        self.processes.append(process)
        return Process(process, out)

    def carry_out(
        self, module: str, *arguments: object, cwd: Path | None = None, **more: str
    ) -> str:
        """Run a module of Python to its end; what it printed."""
        process = self.start(module, *arguments, cwd=cwd, **more)
        code = process.code()
        assert code == 0, process.said()
        return process.said()

    def vecmill(self, *arguments: object, **more: str) -> Process:
        """Start a command of ours."""
        return self.start("flows.cli", *arguments, cwd=None, **more)

    @staticmethod
    def port() -> int:
        """A port that nobody listens at."""
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            found: int = listener.getsockname()[1]
            return found

    @staticmethod
    def answers(port: int) -> bool:
        """Whether a server answers at a port."""
        try:
            return httpx.get(f"http://127.0.0.1:{port}/api/health", timeout=5.0).text == "true"
        except httpx.HTTPError:
            return False

    def close(self) -> None:
        """End what still runs."""
        for process in self.processes:
            if process.poll() is None:
                process.kill()
                process.wait()

    # --- what the server says -------------------------------------------------------------------

    def post(self, path: str, **body: object) -> Any:  # noqa: ANN401 - JSON
        """What the API answers to a question."""
        return _answer(lambda: httpx.post(f"{self.api}/{path}", json=body, timeout=60.0))

    def get(self, path: str) -> Any:  # noqa: ANN401 - JSON
        """What the API has at a place."""
        return _answer(lambda: httpx.get(f"{self.api}/{path}", timeout=60.0))

    def deployment(self, name: str) -> Row | None:
        """The deployment of that name."""
        found = self.post("deployments/filter", deployments={"name": {"any_": [name]}})
        return found[0] if found else None

    def runs(self, deployment: str) -> list[Row]:
        """The runs of a deployment that are no longer to come, oldest first."""
        found: list[Row] = self.post(
            "flow_runs/filter",
            deployments={"name": {"any_": [deployment]}},
            sort="EXPECTED_START_TIME_ASC",
        )
        return [run for run in found if run["state_type"] not in {"SCHEDULED", "PENDING"}]

    def begin(self, deployment: str) -> str:
        """Start a deployment as its page does; the id of the run."""
        found = self.deployment(deployment)
        assert found is not None
        run: Row = self.post(f"deployments/{found['id']}/create_flow_run")
        return str(run["id"])

    def run(self, number: str) -> Row:
        """A run."""
        found: Row = self.get(f"flow_runs/{number}")
        return found

    def pause(self, deployment: str) -> None:
        """Have the schedule of a deployment start nothing more."""
        found = self.deployment(deployment)
        assert found is not None
        self.post(f"deployments/{found['id']}/pause_deployment")

    def cancel(self, number: str) -> None:
        """Ask for a run to be cancelled, as its page does."""
        state = {"type": "CANCELLING", "name": "Cancelling"}
        self.post(f"flow_runs/{number}/set_state", state=state)

    def ended(self, number: str, *states: str) -> Row:
        """A run once it is in one of some states."""
        wait(lambda: self.run(number)["state_type"] in states, f"{number} to be in {states}")
        return self.run(number)

    def inner(self, run: Row) -> list[Row]:
        """The subflow runs of a run, oldest first."""
        found: list[Row] = self.post(
            "flow_runs/filter",
            flow_runs={"parent_flow_run_id": {"any_": [run["id"]]}},
            sort="START_TIME_ASC",
        )
        return found

    def artifacts(self, run: Row) -> dict[str, Row]:
        """The artifacts of a run by key."""
        found: list[Row] = self.post("artifacts/filter", flow_runs={"id": {"any_": [run["id"]]}})
        return {str(one["key"]): one for one in found}

    def events(self, name: str) -> list[Row]:
        """The events of a name, oldest first."""
        wanted = {"event": {"name": [name]}, "order": "ASC"}
        found: Row = self.post("events/filter", filter=wanted)
        events: list[Row] = found["events"]
        return events


@dataclass(frozen=True)
class Process:
    """A process that was started, and what it prints."""

    process: subprocess.Popen[bytes]
    out: Path

    def said(self) -> str:
        """What it has printed so far."""
        return self.out.read_text("utf-8", errors="replace")

    def children(self) -> dict[int, str]:
        """Its own processes by id, each with its command line."""
        tasks = Path(f"/proc/{self.process.pid}/task")
        numbers = " ".join(file.read_text() for file in tasks.glob("*/children")).split()
        return {int(n): Path(f"/proc/{n}/cmdline").read_text().replace("\0", " ") for n in numbers}

    def says(self, text: str) -> None:
        """Wait until it has printed something."""
        wait(lambda: text in self.said() or self.process.poll() is not None, text, self.said)
        assert text in self.said(), self.said()

    def end(self, number: int = signal.SIGTERM) -> int:
        """Send it a signal; its exit code."""
        self.process.send_signal(number)
        return self.code()

    def code(self) -> int:
        """Its exit code, once it ends by itself."""
        try:
            return self.process.wait(LONG)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"it does not end:\n{self.said()}") from None


class Gateway:
    """A way to a server that can be cut, while the server goes on for others."""

    def __init__(self, api: str) -> None:
        there = urlsplit(api)
        self._there = (there.hostname or "", there.port or 0)
        self._door = socket.create_server(("127.0.0.1", 0))
        self._open: list[socket.socket] = [self._door]
        self.api = f"http://127.0.0.1:{self._door.getsockname()[1]}{there.path}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._let_in, daemon=True).start()
        return self

    def __exit__(self, *exc: object) -> None:
        for one in self._open:
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def _let_in(self) -> None:
        with suppress(OSError):  # once the door is shut
            while True:
                guest, _ = self._door.accept()
                host = socket.create_connection(self._there)
                self._open += [guest, host]
                for ends in ((guest, host), (host, guest)):
                    threading.Thread(target=self._carry, args=ends, daemon=True).start()

    @staticmethod
    def _carry(one: socket.socket, other: socket.socket) -> None:
        with suppress(OSError):
            while given := one.recv(65536):
                other.sendall(given)
            other.shutdown(socket.SHUT_WR)


def _answer(ask: Callable[[], httpx.Response]) -> Any:  # noqa: ANN401 - JSON
    """What is answered; another try while Prefect's database is busy, as its own client has it."""
    deadline = time.monotonic() + LONG
    while True:
        try:
            answer = ask()
        except httpx.TimeoutException:
            assert time.monotonic() < deadline, "the server does not answer"
            continue
        if answer.status_code != httpx.codes.SERVICE_UNAVAILABLE or time.monotonic() > deadline:
            answer.raise_for_status()
            return answer.json() if answer.content else None
        time.sleep(1.0)


def wait(done: Callable[[], bool], what: str, said: Callable[[], str] = str) -> None:
    """Wait until something is so."""
    deadline = time.monotonic() + LONG
    while not done():
        assert time.monotonic() < deadline, f"waited in vain for {what}\n{said()}"
        time.sleep(0.3)


def states(runs: Iterable[Row]) -> list[str]:
    """The states of runs."""
    return [str(run["state_name"]) for run in runs]


class Served:
    """A project, and the process that serves its schedules."""

    ROWS = tuple((f"r{i}", f"text {i}", "x") for i in range(60))

    def __init__(self, project: Project, service: Service) -> None:
        self.project, self.service = project, service
        self.process: Process | None = None
        project.write(self.ROWS)

    def name(self, schedule: str) -> str:
        """The name of a schedule's deployment."""
        return f"{self.project.root.name}.{schedule}"

    def conf(self, more: str) -> str:
        """Write the configuration with something more; its file."""
        self.project.more = more
        return str(self.project.settings().conf)

    def serve(self, more: str, *arguments: str, **variables: str) -> Process:
        """Serve the schedules of a configuration with something more."""
        command = ["serve", "--conf", self.conf(more), *arguments]
        self.process = self.service.vecmill(*command, **variables)
        self.process.says("serving; Ctrl-C ends it")
        return self.process

    def begin(self, schedule: str) -> str:
        """Start a schedule by hand."""
        return self.service.begin(self.name(schedule))

    def carried_out(self, schedule: str) -> Row:
        """Start a schedule by hand, and wait for its end."""
        return self.service.ended(self.begin(schedule), "COMPLETED", "FAILED", "CRASHED")

    def encoding(self, process: Process) -> None:
        """Wait until a part of the texts has been encoded."""
        wait(lambda: self.encoded() > 16, "some to be encoded", process.said)
        assert self.encoded() < len(self.ROWS)

    def encoded(self) -> int:
        """How many texts the encoder has been given."""
        log = self.project.root / "encoded.jsonl"
        return len(log.read_text("utf-8").splitlines()) if log.exists() else 0
