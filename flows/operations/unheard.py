"""A Prefect server that is gone while a run goes on: what the run came to is told all the same."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from httpx import TransportError
from prefect.client.orchestration import get_client
from prefect.settings import (
    PREFECT_API_REQUEST_TIMEOUT,
    PREFECT_API_URL,
    PREFECT_CLIENT_MAX_RETRIES,
    temporary_settings,
)

from flows.operations import ending

if TYPE_CHECKING:
    from collections.abc import Iterator

T = TypeVar("T")
_ONCE = {PREFECT_CLIENT_MAX_RETRIES: 0, PREFECT_API_REQUEST_TIMEOUT: 10.0}


@dataclass
class Kept:
    """What flows have come to, and whether Prefect's server has been given up.

    Attributes:
        results: what each flow returned last, by its name.
        lost: whether the server has left a whole round of tries unanswered.
    """

    results: dict[str, Any] = field(default_factory=dict)
    lost: bool = False


_kept: ContextVar[Kept | None] = ContextVar("kept", default=None)


@contextmanager
def keeping() -> Iterator[Kept]:
    """Keep what flows come to within the block: Prefect raises where it cannot be told of it."""
    found = Kept()
    token = _kept.set(found)
    try:
        yield found
    finally:
        _kept.reset(token)


def keep(flow: str, result: T) -> T:
    """Within a flow: keep what it returns for whoever has called it."""
    found = _kept.get()
    if found is not None:
        found.results[flow] = result
    return result


def is_lost() -> bool:
    """Whether Prefect's server has been given up; each try takes a minute."""
    found = _kept.get()
    return found is not None and found.lost


def give_up(error: Exception) -> None:
    """Ask Prefect's server no more, if the error says that it does not answer."""
    found = _kept.get()
    if found is not None and isinstance(error, TransportError):
        found.lost = True


def why(error: BaseException) -> str | None:
    """What an error says of a server that is gone, in a clause; None where it is of another kind.

    A run talks to others too: that nobody answers there has to be so for Prefect's server.
    """
    if not isinstance(error, TransportError):
        return None
    url = PREFECT_API_URL.value()
    if url is None:
        return f"Prefect's temporary server does not answer ({_named(error)})"
    now = _asked()
    return None if now is None else f"Prefect's server at {url} does not answer ({_named(now)})"


@contextmanager
def leaving() -> Iterator[None]:
    """Have the process end without Prefect after the block, where its server does not answer.

    It would try for minutes to send what it still holds, and say of each piece that it cannot.
    """
    # Prefect's senders of logs, which have threads of their own, print what goes wrong otherwise.
    before, logging.raiseExceptions = logging.raiseExceptions, False
    try:
        yield
    finally:
        if PREFECT_API_URL.value() is not None and _asked() is not None:
            ending.hurry()
        else:
            logging.raiseExceptions = before


def _asked() -> Exception | None:
    """Why the server that is named does not answer, asked once."""
    with temporary_settings(_ONCE), get_client(sync_client=True) as client:
        error = client.api_healthcheck()
    return error if isinstance(error, TransportError) else None


def _named(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}".removesuffix(": ")
