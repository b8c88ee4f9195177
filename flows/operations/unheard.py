"""A Prefect server that is gone while a run goes on: what the run came to is told all the same."""

from __future__ import annotations

import logging
import sys
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from traceback import walk_tb
from typing import TYPE_CHECKING, Any, TypeVar

from httpx import TransportError

from flows.operations import ending
from flows.operations.server import how_ended

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

T = TypeVar("T")

_OURS = frozenset({"encoders", "flows", "storage"})
_WAY = frozenset({"anyio", "httpcore", "httpx", "prefect"})
"""What an error of the way to the server is raised by."""


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
    remedy: str = _START_IT


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


def of_connection(error: BaseException | None) -> bool:
    """Whether nobody answered: Prefect raises that itself, or as the cause of its own error."""
    while error is not None and not isinstance(error, TransportError):
        error = error.__cause__
    return error is not None


def behind(error: BaseException) -> Exception | None:
    """What a flow failed of, where Prefect's server could not be told of that; None of no failure.

    It is what a user can mend, or a fault of ours; all else went wrong on the way to the server.
    """
    found: BaseException | None = error
    while found is not None:
        if isinstance(found, Exception) and _is_of_the_flow(found):
            return found
        found = found.__context__
    return None


def _is_of_the_flow(error: Exception) -> bool:
    from flows.output.codes import code_of

    if code_of(error) is not None:
        return not isinstance(error, OSError)
    frames = (frame.f_globals.get("__name__", "") for frame, _ in walk_tb(error.__traceback__))
    through = [str(name).partition(".")[0] for name in frames]
    # A fault of ours may show itself in what our code calls, such as NumPy.
    return bool(_OURS & {*through}) and through[-1] not in _WAY and not of_connection(error)


def temporary_ended() -> Silence | None:
    """That the server has ended which Prefect itself started for the life of this process."""
    # Slow to import; where Prefect has started one, it has been.
    module = sys.modules.get("prefect.server.api.server")
    process = None if module is None else module.SubprocessASGIServer().server_process
    how = None if process is None else how_ended(process)
    if how is None:
        return None
    return Silence(f"the temporary server that Prefect had started has ended {how}", _REPEAT)


@contextmanager
def leaving(unanswered: Callable[[], Silence | None]) -> Iterator[None]:
    """Have the process end without Prefect after the block, where its server does not answer.

    It would try for minutes to send what it still holds, and say of each piece that it cannot.

    Args:
        unanswered: `flows.run.unanswered`.
    """
    # Prefect's senders of logs, which have threads of their own, print what goes wrong otherwise.
    before, logging.raiseExceptions = logging.raiseExceptions, False
    try:
        yield
    finally:
        if unanswered() is None:
            logging.raiseExceptions = before
        else:
            ending.hurry()
