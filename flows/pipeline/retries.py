"""Which errors are worth another try, and when."""

from __future__ import annotations

import errno
import time
from typing import TYPE_CHECKING, TypeVar

from storage.model import OutageError

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

_PASSING = frozenset(
    {errno.EAGAIN, errno.EBUSY, errno.EINTR, errno.EIO, errno.ENETDOWN, errno.ESTALE}
)


def passes(error: BaseException) -> bool:
    """Whether an error may be gone the next time: a cut connection, not a missing file."""
    if isinstance(error, ConnectionError | TimeoutError | OutageError):
        return True
    if isinstance(error, OSError) and error.errno in _PASSING:
        return True
    # Lance tells of a commit that lost a race by a plain OSError, LanceDB by a RuntimeError.
    lost = "commit conflict" in str(error).lower()
    return isinstance(error, OSError | RuntimeError) and lost


def retry_pauses(retries: int) -> list[float]:
    """Seconds to wait before each retry: doubling from one, so that a short outage is outlasted."""
    return [float(2**attempt) for attempt in range(retries)]


def tried(function: Callable[[], T], retries: int) -> T:
    """Call a function, and again, so many times at most, where it fails for a passing reason."""
    for pause in retry_pauses(retries):
        try:
            return function()
        except Exception as error:
            if not passes(error):
                raise
            time.sleep(pause)
    return function()
