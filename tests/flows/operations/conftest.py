"""One Prefect server for the tests of operation: a home and a port of its own, ended with them."""

from __future__ import annotations

import shutil
from importlib.metadata import version
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.flows.operations.service import Served, Service
    from tests.flows.project import Project


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with a database to be copied: to make one takes longer than to start a server."""
    from tests.conftest import PREFECT_HOME
    from tests.flows.operations.service import Service

    kept = PREFECT_HOME / f"migrated-{version('prefect')}"
    if not kept.exists():
        made = Service("", tmp_path_factory.mktemp("migrated"))
        made.carry_out("prefect", "server", "database", "upgrade", "-y", PREFECT_API_URL="")
        shutil.copytree(made.home, PREFECT_HOME / "half")
        (PREFECT_HOME / "half").rename(kept)
    return kept


@pytest.fixture(scope="session")
def service(migrated: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A server with its scheduler, which a process's temporary one has not."""
    from tests.flows.operations.service import Service, wait

    port = Service.port()
    found = Service(f"http://127.0.0.1:{port}/api", tmp_path_factory.mktemp("prefect"))
    shutil.copytree(migrated, found.home)
    server = found.start(
        *("prefect", "server", "start", "--host", "127.0.0.1", "--port", port),
        # It looks for what is to be scheduled this often.
        PREFECT_SERVER_SERVICES_SCHEDULER_LOOP_SECONDS="2",
    )

    def healthy() -> bool:
        assert server.process.poll() is None, server.said()
        return Service.answers(port)

    try:
        wait(healthy, "the server", server.said)
        yield found
    finally:
        found.close()


@pytest.fixture
def asked(service: Service) -> Iterator[Service]:
    """The server, asked by what runs in this process too."""
    from prefect.settings import PREFECT_API_URL, temporary_settings

    with temporary_settings({PREFECT_API_URL: service.api}):
        yield service


@pytest.fixture
def served(project: Project, service: Service) -> Iterator[Served]:
    """A project in a folder of a name that no other test has, so that its deployments have too."""
    from tests.flows.operations.service import Served

    project.root = project.root / f"p{uuid4().hex[:8]}"
    project.root.mkdir()
    found = Served(project, service)
    yield found
    if found.process is not None and found.process.process.poll() is None:
        found.process.end()
