"""What ends a command from outside, and how it is told."""

from __future__ import annotations

_SIGTERMS = frozenset({"Terminated", "TerminationSignal"})
"""What a SIGTERM raises: ours, and within a flow Prefect's, which is not imported for this."""


class Terminated(BaseException):
    """Raised where a SIGTERM comes, so that what is under way is left as it should be."""


def by_sigterm(error: BaseException) -> bool:
    """Whether an error is what a SIGTERM raises."""
    return not isinstance(error, Exception) and type(error).__name__ in _SIGTERMS
