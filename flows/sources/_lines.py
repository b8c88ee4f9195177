"""The physical lines of a UTF-8 file: counted, bounded, and able to be read a second time.

A row of CSV may take several lines. When it turns out broken, only its first line is given up;
the others are pushed back and read afresh, so that one stray quote does not swallow a file. No
row that begins among lines that were pushed back may reach beyond its own line again, save on
the last of them, where the break was: else a file of broken lines would be read to its end once
for each of them.
"""

from __future__ import annotations

import gzip
import io
import zlib
from collections import deque
from contextlib import contextmanager
from typing import TYPE_CHECKING, BinaryIO

from flows.sources._where import steady
from flows.sources.base import SourceError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flows.sources._where import File

ROW_BYTES = 10 * 1024 * 1024
"""The longest row, in bytes. Beyond it a row is refused, unread."""

_BOM = b"\xef\xbb\xbf"


class RowError(Exception):
    """A row that cannot be read; says why."""


class Lines:
    """An iterator over lines, as text with their line ends, that remembers the current row.

    Attributes:
        number: the number of the last line handed out, from 1.
        size: bytes of the current row so far.
        garbled: whether a line of the current row is not UTF-8; its bad bytes come as surrogates.
    """

    def __init__(self, stream: BinaryIO) -> None:
        self.number = 0
        self.size = 0
        self.garbled = False
        self._stream = stream
        self._row: list[bytes] = []
        self._ahead: deque[bytes] = deque()
        self._begun = 1
        self._broken_at = 0
        self._open_with_bom()

    def _open_with_bom(self) -> None:
        first = self._read().removeprefix(_BOM)
        if first:
            self._ahead.append(first)

    def __iter__(self) -> Lines:
        return self

    def __next__(self) -> str:
        """The next line of the current row.

        Raises:
            RowError: if the row grows beyond `ROW_BYTES`, or over a line on which one broke.
        """
        if self._row and self._begun < self._broken_at:
            raise RowError("broken quoting: a quote is opened here and never properly closed")
        line = self._ahead.popleft() if self._ahead else self._read()
        if not line:
            raise StopIteration
        self.number += 1
        self._row.append(line)
        self.size += len(line)
        if self.size > ROW_BYTES:
            raise RowError(
                f"the row is longer than {ROW_BYTES // 2**20} MiB; "
                "split it, or look for a quote that is never closed"
            )
        try:
            return line.decode()
        except UnicodeDecodeError:
            self.garbled = True
            return line.decode("utf-8", "surrogateescape")

    def begin(self) -> int:
        """Begin a row at the next line, and return that line's number."""
        self._row.clear()
        self.size = 0
        self.garbled = False
        self._begun = self.number + 1
        return self._begun

    def give_back(self) -> None:
        """Push back all lines of the current row but its first."""
        self._broken_at = max(self._broken_at, self.number)
        self._ahead.extendleft(reversed(self._row[1:]))
        self.number -= len(self._row[1:])
        del self._row[1:]

    def _read(self) -> bytes:
        line = self._stream.readline(ROW_BYTES + 1)
        tail = line
        while len(tail) > ROW_BYTES and not tail.endswith(b"\n"):
            tail = self._stream.readline(ROW_BYTES + 1)
        return line


@contextmanager
def open_lines(file: File, name: str) -> Iterator[Lines]:
    """Open a text file, plain or gzip, for reading by lines.

    Raises:
        SourceError: if the file is gone, may not be read, or is a damaged archive.
        SourceAwayError: if its store is away, or it changes while it is read.
    """
    with steady(file, name), _telling(name), file.open() as raw:
        packed = file.text.endswith(".gz")
        stream = io.BufferedReader(gzip.GzipFile(fileobj=raw)) if packed else raw
        yield Lines(stream)


@contextmanager
def _telling(name: str) -> Iterator[None]:
    try:
        yield
    except SourceError:
        raise
    except (OSError, EOFError, zlib.error) as error:
        raise SourceError(f"{name} cannot be read to its end: {error}") from error
