"""Servers that the tests of sources share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.flows.sources import servers


@pytest.fixture(scope="session")
def database() -> Iterator[servers.Postgres]:
    """A PostgreSQL server; whoever stops it starts it again."""
    from tests.flows.sources import servers

    with servers.postgres() as server:
        yield server


@pytest.fixture(scope="session")
def s3_server() -> Iterator[servers.S3]:
    """An S3 server with an empty bucket."""
    from tests.flows.sources import servers

    with servers.s3() as server:
        yield server


@pytest.fixture
def s3(s3_server: servers.S3, monkeypatch: pytest.MonkeyPatch) -> servers.S3:
    """The same, as the environment names it."""
    for name, value in s3_server.environment.items():
        monkeypatch.setenv(name, value)
    return s3_server
