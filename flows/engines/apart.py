"""What a process apart from the run's own makes of a call: on a machine that may be another.

It gets paths and plain values, and its own environment gives it the secrets. What it sends back is
a value or an error without secrets in its words, and what it writes to its logs holds none either.
"""

from __future__ import annotations

import copy
import logging
import pickle
import socket
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TextIO, cast

from encoders.base import EncoderError
from flows.output.progress import Silent
from flows.output.redact import RedactedError, redact, redacting
from flows.pipeline import fitting
from flows.pipeline.retries import tried
from flows.pipeline.versions import told_differences
from storage.ids import fingerprint
from storage.model import OutageError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from flows.engines.engine import Job
    from flows.pipeline.encode import Receipt
    from storage.model import Version

_proved: set[str] = set()
"""Fingerprints that the encoders of this process have."""


@dataclass(frozen=True)
class Answer:
    """What came of a call."""

    value: Any = None
    error: Exception | None = None


def answer(function: Callable[[], object]) -> Answer:
    """Make a call; whatever it raises can travel, and holds no secret."""
    try:
        with redacting():
            return Answer(function())
    except Exception as error:  # noqa: BLE001 - whoever asked is to have it
        return Answer(error=_portable(error))


def encode(job: Job, shard: Path, retries: int) -> Receipt:
    """Encode a shard of a run that goes on elsewhere; `tried` as often as a step of it is.

    Raises:
        OutageError: if this machine does not see the shard.
        EncoderError: if the encoder would make other vectors here.
    """

    def attempt() -> Receipt:
        if not shard.is_file():
            raise OutageError(
                f"{socket.gethostname()} does not see {shard}; every node of the cluster must see "
                "the folder of the catalog, under the same path"
            )
        prove(job.version, job.states)
        return job.encode(shard, Silent())

    return tried(attempt, retries)


def prove(version: Version, states: Path) -> None:
    """Make sure that the encoder of a version is the same here as where the run was planned.

    Raises:
        EncoderError: if another library, file or device makes it another one.
    """
    if version.fingerprint in _proved:
        return
    recipe = fitting.recorded_recipe(version, states)
    if fingerprint(recipe) != version.fingerprint:
        raise EncoderError(
            f"on {socket.gethostname()} the encoder of {version.table} would make other vectors: "
            f"{told_differences(version.recipe, recipe)}. Install the same versions on all nodes, "
            "and name the dtype where it follows the device"
        )
    _proved.add(version.fingerprint)


def keep_quiet() -> None:
    """Let nothing secret into the logs of this process, which a cluster keeps and shows."""
    sys.stdout = cast("TextIO", _Redacting(sys.stdout))
    sys.stderr = cast("TextIO", _Redacting(sys.stderr))
    for name in ("httpx", "httpcore"):  # they tell addresses, with their queries
        logging.getLogger(name).setLevel(logging.WARNING)


class _Redacting:
    """A stream that is told nothing secret, as far as a secret is written in one go."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        self._stream.write(redact(text))
        return len(text)

    def writelines(self, lines: list[str]) -> None:
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - all else is as it was
        return getattr(self._stream, name)


def _portable(error: Exception) -> Exception:
    """The error, or one in its place where it cannot be sent as it is."""
    try:
        pickle.dumps(error)
        copy.deepcopy(error)  # which makes it anew as the other end does; here nothing unpickles
    except Exception:  # noqa: BLE001 - an error may hold anything
        return RedactedError(f"{type(error).__name__}: {redact(str(error))}")
    return error
