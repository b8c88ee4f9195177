"""Files on disk and objects in a store, behind the few words that reading them takes."""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO, Protocol

from flows.sources.base import SourceAwayError, SourceError

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable
    from pathlib import Path

UNSETTLED_NS = 2_000_000_000
"""A file that was written this short a while ago may be written again without showing it: file
systems keep times by ticks, of up to two seconds."""


@dataclass(frozen=True)
class Look:
    """What can be told of a file without reading it.

    Attributes:
        size: bytes.
        modified: nanoseconds since 1970 when it was last written.
        mark: differs when the content may differ.
        changed: nanoseconds since 1970 after which another write shows in the mark; 0 where each
            write does.
    """

    size: int
    modified: int
    mark: str
    changed: int = 0

    def settled(self, now: int) -> bool:
        """Whether a write after ``now`` (nanoseconds since 1970) would show."""
        return now - self.changed > UNSETTLED_NS


class File(Protocol):
    """One file or object."""

    @property
    def text(self) -> str:
        """Its absolute path or its URI, with ``/``."""
        ...

    def look(self) -> Look:
        """Look at it as it is now.

        Raises:
            OSError: if it is gone or may not be looked at.
            SourceAwayError: if its store is away.
        """
        ...

    def open(self) -> BinaryIO:
        """Open it for reading; seekable.

        Raises:
            OSError: if it is gone or may not be read.
            SourceAwayError: if its store is away; reading raises that, too.
        """
        ...


@dataclass(frozen=True)
class Local:
    """A file on disk."""

    path: Path

    @property
    def text(self) -> str:
        """See `File`."""
        return self.path.as_posix()

    def look(self) -> Look:
        """See `File`."""
        return look_of(self.path.stat())

    def open(self) -> BinaryIO:
        """See `File`."""
        return self.path.open("rb")


def look_of(status: os.stat_result) -> Look:
    """What the file system says of a file.

    The time at which its entry changed shows writes that set the other time back, as copying
    tools do.
    """
    times = status.st_mtime_ns, status.st_ctime_ns
    mark = f"{status.st_size}:{times[0]}:{times[1]}:{status.st_ino}"
    return Look(status.st_size, times[0], mark, times[0])


def stamp(files: Iterable[tuple[str, File]]) -> str | None:
    """A digest of the names and looks of files; None where another write might not show."""
    digest = hashlib.blake2b(digest_size=16)
    now = time.time_ns()
    for name, file in files:
        try:
            look = file.look()
        except SourceAwayError:
            raise
        except OSError as error:
            # a link to nothing, or what may not be looked at: as long as it stays so
            digest.update(f"{name}\0{error.errno}\0".encode("utf-8", "surrogateescape"))
            continue
        if not look.settled(now):
            return None
        digest.update(f"{name}\0{look.mark}\0".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


class steady:  # noqa: N801 - reads as a verb: with steady(file, name)
    """Hold a file to be the same at the end of a block as at its begin.

    Raises:
        SourceAwayError: if it was written, replaced or removed meanwhile; another try may do.
    """

    def __init__(self, file: File, name: str) -> None:
        self._file = file
        self._name = name
        self._before: Look | None = None

    def __enter__(self) -> None:
        self._before = self._now()

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        # what was read of a file in the making says nothing, nor does what went wrong with it
        spoilt = error is None or (
            isinstance(error, SourceError) and not isinstance(error, SourceAwayError)
        )
        if spoilt and self._now() != self._before:
            raise SourceAwayError(
                f"{self._name} changed while it was read; run again, and let what writes it "
                "write another file and rename it"
            ) from error

    def _now(self) -> Look | None:
        try:
            return self._file.look()
        except SourceAwayError:
            raise
        except OSError:
            return None
