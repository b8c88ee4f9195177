"""How a command speaks: to people or to programs, and whether it may say more than it must."""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


@dataclass(frozen=True)
class Voice:
    """How a command speaks.

    Attributes:
        json: errors are JSON objects, a line each, as the results are.
        quiet: nothing is said but results and errors.
    """

    json: bool = False
    quiet: bool = False


_voice: ContextVar[Voice] = ContextVar("voice")
QUIET = ("--quiet", "-q")


def voice() -> Voice:
    """How the command that runs here is to speak."""
    return _voice.get(Voice())


@contextmanager
def speaking(voice: Voice) -> Iterator[None]:
    """Let what runs within the block speak so."""
    token = _voice.set(voice)
    try:
        yield
    finally:
        _voice.reset(token)


def heard(arguments: Sequence[str]) -> tuple[Voice, list[str]]:
    """What a command line says of it, and the arguments without those that any command takes."""
    end = arguments.index("--") if "--" in arguments else len(arguments)
    options, rest = arguments[:end], arguments[end:]
    left = [argument for argument in options if argument not in QUIET]
    return Voice("--json" in options, len(left) < len(options)), [*left, *rest]
