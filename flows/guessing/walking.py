"""The files below a folder or in an object store: so many, within so much time, and no more."""

from __future__ import annotations

import os
import time
from collections import deque
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from flows.sources import _glob, _remote
from flows.sources._where import Local

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from flows.sources._where import File

MOST = 20_000
SECONDS = 10.0
_PASSED = ("node_modules", "__pycache__", "site-packages")


@dataclass(frozen=True)
class Entry:
    """A file.

    Attributes:
        inner: its path below the folder, with ``/``.
        size: bytes; None where it cannot be looked at.
    """

    inner: str
    file: File
    size: int | None


@dataclass(frozen=True)
class Walked:
    """What was found.

    Attributes:
        whole: whether that is all there is.
        closed: folders that could not be listed.
    """

    entries: tuple[Entry, ...]
    whole: bool = True
    closed: tuple[str, ...] = ()


def walk(
    folder: Path,
    most: int = MOST,
    seconds: float = SECONDS,
    clock: Callable[[], float] = time.monotonic,
) -> Walked:
    """List a folder and those below it; hidden ones, links to folders and tables of Lance are not.

    So a source of files lists them. Of each folder a quarter of what may be listed at most, so that
    one of a million files hides none of the others.
    """
    until = clock() + seconds
    entries: list[Entry] = []
    closed: list[str] = []
    waiting, whole = deque([""]), True
    while waiting:
        inner = waiting.popleft()
        try:
            with os.scandir(folder / inner) as scanned:
                listed = list(islice(_shown(scanned), max(most // 4, 1) + 1))
        except OSError as error:
            closed.append(f"{folder / inner} ({error.strerror})")
            continue
        whole = whole and len(listed) <= most // 4
        for entry in listed[: max(most // 4, 1)]:
            if entry.is_dir(follow_symlinks=False):
                waiting.append(f"{inner}{entry.name}/")
            elif entry.is_file():
                entries.append(Entry(f"{inner}{entry.name}", Local(Path(entry.path)), _size(entry)))
        if len(entries) >= most or clock() > until:
            return Walked(_sorted(entries[:most]), whole=False, closed=tuple(closed))
    return Walked(_sorted(entries), whole, tuple(closed))


def _shown(scanned: Iterable[os.DirEntry[str]]) -> Iterator[os.DirEntry[str]]:
    for entry in scanned:
        if entry.name.startswith(".") or entry.name in _PASSED:
            continue
        if entry.is_dir(follow_symlinks=False) and _is_ours(entry.name, Path(entry.path)):
            continue
        yield entry


def _sorted(entries: Iterable[Entry]) -> tuple[Entry, ...]:
    return tuple(sorted(entries, key=lambda entry: entry.inner))


def _is_ours(name: str, path: Path) -> bool:
    """Whether a folder holds a configuration or tables of vectors, and no records."""
    return name.endswith(".lance") or (name == "conf" and (path / "base.toml").is_file())


def _size(entry: os.DirEntry[str]) -> int | None:
    try:
        return entry.stat().st_size
    except OSError:
        return None


def remote(uri: str, most: int = MOST) -> Walked:
    """List what lies below an address of an object store.

    Raises:
        SourceError: if it cannot be listed.
    """
    begin = len(uri.rstrip("/")) + 1
    found = [
        Entry(file.uri[begin:], file, file.look().size if file.listed is None else file.listed.size)
        for _, file in islice(_remote.listed(uri.rstrip("/")), most + 1)
        if file.uri.startswith(uri.rstrip("/") + "/") and not file.uri.endswith("/")
    ]
    return Walked(_sorted(found[:most]), whole=len(found) <= most)


def matching(path: str, root: Path, most: int = MOST) -> Walked:
    """List what a path with wildcards names.

    Raises:
        SourceError: if it names nothing, or cannot be listed.
    """
    found = list(islice(_glob.named(path, root), most + 1))
    entries = []
    for one in found[:most]:
        if one.problem is None:
            try:
                size: int | None = one.file.look().size
            except OSError:
                size = None
            entries.append(Entry(one.inner, one.file, size))
    return Walked(_sorted(entries), whole=len(found) <= most)


def total(entries: Sequence[Entry]) -> int | None:
    """The bytes that there are to read; None where it has to be fetched."""
    if any(not isinstance(entry.file, Local) for entry in entries):
        return None
    return sum(entry.size or 0 for entry in entries)
