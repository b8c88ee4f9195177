"""How the pipeline tells what it is doing, without knowing who listens."""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from flows.output import units
from flows.output.redact import redact

if TYPE_CHECKING:
    import logging
    from collections.abc import Iterator


class Reporter(Protocol):
    """Hears of a run's stages. Called from one thread at a time a stage."""

    def stage(self, feature: str, name: str, total: int | None) -> None:
        """A stage begins; ``total`` is its number of records where that is known."""

    def advance(self, records: int) -> None:
        """Some records of the stage are done."""

    def note(self, message: str) -> None:
        """Something a person should know now, such as a wait."""


@runtime_checkable
class HearsShards(Protocol):
    """A reporter that wants to know what became of each shard."""

    def shard(self, name: str, encoded: int, dead: int, seconds: float) -> None:
        """A shard is done: so many contents encoded, so many dead, in so many seconds."""


def tell_shard(reporter: Reporter, name: str, encoded: int, dead: int, seconds: float) -> None:
    """Tell a reporter of a shard, if it wants to know."""
    if isinstance(reporter, HearsShards):
        reporter.shard(name, encoded, dead, seconds)


class Silent:
    """A reporter that tells nobody."""

    def stage(self, feature: str, name: str, total: int | None) -> None:
        """Say nothing."""

    def advance(self, records: int) -> None:
        """Say nothing."""

    def note(self, message: str) -> None:
        """Say nothing."""


class ToLogger:
    """A reporter that writes into a logger of Python's, such as that of a flow run."""

    def __init__(self, logger: logging.Logger | logging.LoggerAdapter[Any]) -> None:
        self._logger = logger

    def stage(self, feature: str, name: str, total: int | None) -> None:
        """Say what begins."""
        self.note(
            f"{feature}: {name}" + ("" if total is None else f", {units.several(total, 'record')}")
        )

    def advance(self, records: int) -> None:
        """Say nothing: a log has no bars."""

    def note(self, message: str) -> None:
        """Write the message."""
        self._logger.info("%s", redact(message))


_listener: ContextVar[Reporter] = ContextVar("listener")


@contextmanager
def listening(reporter: Reporter) -> Iterator[None]:
    """Let a reporter hear what flows do within the block.

    A flow's parameters are kept by Prefect as JSON, so a reporter cannot be one of them.
    """
    token = _listener.set(reporter)
    try:
        yield
    finally:
        _listener.reset(token)


def listener() -> Reporter:
    """The reporter that listens here; a silent one where none does."""
    return _listener.get(Silent())
