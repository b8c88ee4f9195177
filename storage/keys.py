"""Keys that were met before, sorted on disk: which of some more are among them, and how often.

Sorted runs are merged as they grow (O'Neil et al. 1996, "The log-structured merge-tree"): a chunk
is looked up in a few runs by bisection, instead of in all that came before it, and each key is
written again some dozen times in a billion. Memory stays flat: runs are mapped, and what was looked
at is let go of.
"""

from __future__ import annotations

import mmap
import tempfile
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import pyarrow as pa
    from numpy.typing import NDArray

    Bytes16 = NDArray[np.bytes_]

_KEY = np.dtype("S16")
_HELD = 2**16
"""Keys of a run that is held in memory, at most: 1 MiB."""
_AT_ONCE = 2**13
"""Keys that are looked up before pages are let go of: far apart, each takes a page or more."""
_MERGED = 2**18
"""Keys of a run that are merged at a time."""
_TIMES = 4
"""A run is merged with one before it that is at most so many times as long."""


def key(*columns: str) -> str:
    """The key of values as a SQL expression: 128 bits of their SHA-256.

    Args:
        columns: VARCHAR expressions, none of them null, and none but the first with blanks in it.
    """
    told = " || ' ' || ".join(reversed(columns))
    return f"unhex(sha256({told})[1:{2 * _KEY.itemsize}])"


def keys_of(column: pa.ChunkedArray) -> Bytes16:
    """A binary column of keys as an array.

    Raises:
        ValueError: if a key is null, as that of a null is.
    """
    if column.null_count:
        raise ValueError(f"expected keys, got {column.null_count} nulls among {len(column)}")
    parts = [np.frombuffer(_values(chunk), _KEY) for chunk in column.chunks if len(chunk)]
    return np.concatenate(parts) if parts else np.empty(0, _KEY)


def _values(chunk: pa.Array) -> memoryview:
    width = _KEY.itemsize
    values = memoryview(chunk.buffers()[2])
    first, last = chunk.offset, chunk.offset + len(chunk)
    return values[first * width : last * width]


class Keys:
    """A collection of keys that only grows; a key that was added twice is in it twice.

    Args:
        folder: where runs that are too long for memory lie, in files without a name.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._runs: list[_Run] = []

    def __len__(self) -> int:
        """How many keys were added."""
        return sum(len(run.keys) for run in self._runs)

    def add(self, keys: Bytes16) -> None:
        """Add keys, in any order."""
        if not len(keys):
            return
        self._runs.append(_Run(np.sort(keys)))
        while len(self._runs) > 1 and self._close_in_length():
            last, before = self._runs.pop(), self._runs.pop()
            self._runs.append(self._merged(before, last))

    def count(self, keys: Bytes16) -> NDArray[np.int64]:
        """How often each of these was added."""
        found = np.zeros(len(keys), np.int64)
        if not self._runs:
            return found
        order = np.argsort(keys)
        for some in np.array_split(order, -(-len(keys) // _AT_ONCE)) if len(keys) else ():
            asked = keys[some]
            for run in self._runs:
                found[some] += run.count(asked)
        return found

    def _close_in_length(self) -> bool:
        before, last = self._runs[-2:]
        return len(before.keys) <= _TIMES * len(last.keys)

    def _merged(self, one: _Run, other: _Run) -> _Run:
        if len(one.keys) + len(other.keys) <= _HELD:
            return _Run(np.sort(np.concatenate([one.keys, other.keys]), kind="stable"))
        with tempfile.TemporaryFile(dir=self._folder) as file:
            for piece in _pieces(one, other):
                file.write(piece.data)
            file.flush()
            pages = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        return _Run(np.frombuffer(pages, _KEY), pages)


@dataclass(frozen=True)
class _Run:
    """Sorted keys.

    Attributes:
        pages: the file that they lie in; None where they are in memory.
    """

    keys: Bytes16
    pages: mmap.mmap | None = None

    def count(self, asked: Bytes16) -> NDArray[np.int64]:
        """How often each of these comes; sorted."""
        found = np.zeros(len(asked), np.int64)
        first = np.searchsorted(self.keys, asked)
        within = np.minimum(first, len(self.keys) - 1)
        there = (self.keys[within] == asked).nonzero()[0]
        found[there] = np.searchsorted(self.keys, asked[there], side="right") - first[there]
        self.release()
        return found

    def release(self) -> None:
        """Let pages go that were looked at: they stay in the system's cache, but count no more."""
        if self.pages is not None:
            self.pages.madvise(mmap.MADV_DONTNEED)


def _pieces(one: _Run, other: _Run) -> Iterator[Bytes16]:
    """Two runs merged, in pieces that follow one another, however many keys are equal."""
    at = [0, 0]
    while True:
        parts = [run.keys[i : i + _MERGED] for run, i in zip((one, other), at, strict=True)]
        if all(map(len, parts)):
            # What is yet to come of either run is no less than what stands last here of it.
            bound = min(part[-1] for part in parts)
            parts = [part[: np.searchsorted(part, bound, side="right")] for part in parts]
        if not any(map(len, parts)):
            return
        # Stable is timsort for these, which merges what is sorted already in one pass.
        yield np.sort(np.concatenate(parts), kind="stable")
        at = [i + len(part) for i, part in zip(at, parts, strict=True)]
        one.release()
        other.release()
