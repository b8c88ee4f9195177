"""Whether Prefect's server answers, and what to do where it does not."""

from __future__ import annotations

import sys
from dataclasses import dataclass

from httpx import TransportError
from prefect.client.orchestration import get_client
from prefect.settings import (
    PREFECT_API_REQUEST_TIMEOUT,
    PREFECT_API_URL,
    PREFECT_CLIENT_MAX_RETRIES,
    temporary_settings,
)

from flows.operations.server import how_ended

_KEPT = "What was encoded is kept, and the next run goes on from it"
_START_IT = (
    f"start it, or name another (PREFECT_API_URL); with --direct nothing asks for one. {_KEPT}"
)
_REPEAT = f"do the same again, or with --direct, where nothing asks for one. {_KEPT}"


@dataclass(frozen=True)
class Silence:
    """That Prefect's server does not answer.

    Attributes:
        why: what became of it, as a sentence.
        remedy: what to do about it.
    """

    why: str
    remedy: str


def found() -> Silence | None:
    """That Prefect's server does not answer; None where it does, or there is none."""
    url = PREFECT_API_URL.value()
    return _of_temporary() if url is None else _of_named(url)


def _of_named(url: str) -> Silence | None:
    with (
        temporary_settings({PREFECT_CLIENT_MAX_RETRIES: 0, PREFECT_API_REQUEST_TIMEOUT: 10.0}),
        get_client(sync_client=True) as client,
    ):
        error = client.api_healthcheck()
    if not isinstance(error, TransportError):  # whatever else it says, it answers
        return None
    why = f"Prefect's server at {url} does not answer ({type(error).__name__}: {error})"
    return Silence(why, _START_IT)


def _of_temporary() -> Silence | None:
    """That the server has ended which Prefect itself started for the life of this process."""
    # Slow to import; where Prefect has started one, it has been.
    module = sys.modules.get("prefect.server.api.server")
    process = None if module is None else module.SubprocessASGIServer().server_process
    how = None if process is None else how_ended(process)
    if how is None:
        return None
    return Silence(f"the temporary server that Prefect had started has ended {how}", _REPEAT)
