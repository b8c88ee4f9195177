"""Real servers for the tests: PostgreSQL, and one that speaks S3."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING

import obstore
import obstore.store
import psycopg
import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

_PATIENCE = 300.0
_TRIES = 3
PASSWORD = "correct-horse"  # noqa: S105 - of a server that lives for the length of a test


def free_port() -> int:
    """A port of this machine that nobody listens on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Postgres:
    """A PostgreSQL server over a folder of its own."""

    programs: Path
    home: Path
    port: int

    @property
    def url(self) -> str:
        """Its address, with a password."""
        return f"postgresql://mill:{PASSWORD}@127.0.0.1:{self.port}/postgres"

    def run(self, *sql: str) -> None:
        """Execute statements."""
        with psycopg.connect(self.url, autocommit=True, connect_timeout=60) as con:
            for statement in sql:
                con.execute(statement.encode())

    def make(self) -> None:
        """Make its files; only once."""
        secret = self.home / "password"
        secret.write_text(PASSWORD)
        options = ["-U", "mill", "--auth=scram-sha-256", f"--pwfile={secret}", "--no-sync"]
        self._do("initdb", "-D", self._data, *options, "-E", "UTF8", "--locale=C.UTF-8")

    def start(self) -> None:
        """Start it, and wait until it answers."""
        options = f"-p {self.port} -c listen_addresses=127.0.0.1 -k {self.home} -c fsync=off"
        log = str(self.home / "log")
        self._do("pg_ctl", "-D", self._data, "-w", "-t", "300", "-l", log, "-o", options, "start")

    def stop(self, how: str = "immediate") -> None:
        """Stop it: ``immediate`` is as a crash."""
        self._do("pg_ctl", "-D", self._data, "-m", how, "-t", "300", "stop")

    @property
    def _data(self) -> str:
        return str(self.home / "data")

    def _do(self, program: str, *arguments: str) -> None:
        done = subprocess.run(  # noqa: S603 - the server's own programs
            [self.programs / program, *arguments],
            capture_output=True,
            text=True,
            check=False,
            cwd=self.home,
            user=_user(),
        )
        assert done.returncode == 0, done.stdout + done.stderr


def _user() -> str | None:
    """Whom to run as: PostgreSQL will not be run by root."""
    return "postgres" if os.geteuid() == 0 else None


@contextmanager
def postgres() -> Iterator[Postgres]:
    """A PostgreSQL server for as long as this lasts; skips where the programs are not there."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    on_path = shutil.which("initdb")
    if not found and on_path is None:
        pytest.skip("PostgreSQL is not installed: `apt-get install postgresql` brings it")
    # a folder of its own, since pytest's are closed to the user that the server runs as
    home = Path(tempfile.mkdtemp(prefix="vecmill-pg-"))
    try:
        if os.geteuid() == 0:
            shutil.chown(home, "postgres")
        server = Postgres((found[-1] if found else Path(on_path or "")).parent, home, free_port())
        server.make()
        server.start()
        try:
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(home, ignore_errors=True)


@dataclass
class S3:
    """A server that speaks S3 (moto's), with one bucket ``mill``."""

    port: int
    process: subprocess.Popen[bytes]

    @property
    def environment(self) -> dict[str, str]:
        """What its clients are to find in the environment."""
        return {
            "AWS_ACCESS_KEY_ID": "somebody",
            "AWS_ALLOW_HTTP": "true",
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{self.port}",
            "AWS_REGION": "us-east-1",
            "AWS_SECRET_ACCESS_KEY": PASSWORD,
        }

    def put(self, key: str, content: bytes) -> None:
        """Write an object."""
        obstore.put(self._bucket(), key, content)

    def keys(self) -> list[str]:
        """What is in the bucket."""
        return [one["path"] for page in obstore.list(self._bucket()) for one in page]

    def delete(self, key: str) -> None:
        """Delete an object."""
        obstore.delete(self._bucket(), key)

    def keep_versions(self) -> None:
        """Keep from now on what is deleted."""
        self._ask(
            "versioning",
            b"<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>",
        )

    def deleted(self) -> list[str]:
        """The keys of what was deleted since."""
        return re.findall("(?s)<DeleteMarker>.*?<Key>(.*?)</Key>", self._ask("versions"))

    def _ask(self, about: str, put: bytes | None = None) -> str:
        """What the server says to a question about the bucket, or to a setting of it."""
        url = f"http://127.0.0.1:{self.port}/mill?{about}"
        # By another type, such as urllib's own, moto takes it for a question to another service.
        told, method = {"Content-Type": "application/xml"}, "GET" if put is None else "PUT"
        request = urllib.request.Request(url, put, told, method=method)
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=30) as answer:
            said: str = answer.read().decode()
        return said

    def answers(self) -> bool:
        """Make the bucket; whether it is there, be it from an earlier try that went unanswered."""
        url = f"http://127.0.0.1:{self.port}/mill"
        request = urllib.request.Request(url, method="PUT")
        # Not urllib's own, which keeps what proxies there were at the first request of the process.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            opener.open(request, timeout=30).close()
        except urllib.error.HTTPError as error:
            return error.code == HTTPStatus.CONFLICT
        except (urllib.error.URLError, OSError):
            return False
        return True

    def _bucket(self) -> obstore.store.S3Store:
        return obstore.store.S3Store(
            "mill",
            endpoint=self.environment["AWS_ENDPOINT_URL"],
            access_key_id=self.environment["AWS_ACCESS_KEY_ID"],
            secret_access_key=PASSWORD,
            region="us-east-1",
            client_options={"allow_http": True},
        )

    def stop(self) -> None:
        """Go away."""
        self.process.kill()
        self.process.wait()


@contextmanager
def s3() -> Iterator[S3]:
    """An S3 server for as long as this lasts."""
    server = next(filter(None, (_s3_that_answers() for _ in range(_TRIES))), None)
    assert server is not None, f"no S3 server of {_TRIES} answered"
    try:
        yield server
    finally:
        server.stop()


def _s3_that_answers() -> S3 | None:
    """A new server; None where somebody else has taken its port, or it hangs."""
    port = free_port()
    code = f"from moto.server import main; main(['-H', '127.0.0.1', '-p', '{port}'])"
    process = subprocess.Popen(  # noqa: S603 - our own interpreter
        [sys.executable, "-c", code], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    server = S3(port, process)
    end = time.monotonic() + _PATIENCE / _TRIES
    while process.poll() is None and time.monotonic() < end:
        if server.answers():
            return server
        time.sleep(0.2)
    server.stop()
    return None
