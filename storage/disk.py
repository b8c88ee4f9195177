"""Telling a disk that is full, or cannot be written, from a fault of ours.

Python, DuckDB, Lance, Polars and Arrow each raise errors of their own kinds for it, and some of
them another one while they tidy up; that the system's words are in one of them is all they share.
"""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

from storage.damage import plain
from storage.model import StorageError

if TYPE_CHECKING:
    from collections.abc import Iterator

_ADVICE = {
    errno.ENOSPC: ("No space left on device", "the disk is full: make room on it"),
    errno.EDQUOT: ("Disk quota exceeded", "the quota is used up: make room"),
    errno.EFBIG: ("File too large", "the system allows no larger files: see `ulimit -f`"),
    errno.EROFS: ("Read-only file system", "nothing can be written there: mount it for writing"),
    errno.EMFILE: ("Too many open files", "too many files are open: see `ulimit -n`"),
}


class DiskError(StorageError):
    """The machine could not write or open a file; once that is mended, run again."""


def told(error: BaseException) -> DiskError | None:
    """The error as one that says what helps, None where it is something else.

    Args:
        error: whatever was raised; what it was raised from, or in the wake of, counts too.
    """
    if isinstance(error, DiskError):
        return error
    for one in _chain(error):
        for number, (words, advice) in _ADVICE.items():
            if getattr(one, "errno", None) == number or words in str(one):
                line = next((line for line in str(one).splitlines() if words in line), str(one))
                return DiskError(
                    f"{_plain(line)}; {advice}, and run again. Nothing half done is "
                    "published, and what was finished before is kept"
                )
    return None


def _plain(line: str) -> str:
    """A line without the traceback that Arrow announces where Python raised within Lance."""
    return plain(line.partition(" Detail: Python exception: Traceback")[0].strip()).rstrip(".")


def _chain(error: BaseException) -> Iterator[BaseException]:
    seen = set[int]()
    left: list[BaseException | None] = [error]
    while left:
        one = left.pop(0)
        if one is not None and id(one) not in seen:
            seen.add(id(one))
            yield one
            left += [one.__cause__, one.__context__]
