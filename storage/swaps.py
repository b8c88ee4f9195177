"""Putting a file or folder in the place of another, so that each is seen whole or not at all."""

from __future__ import annotations

import ctypes
import os
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_AT_FDCWD, _RENAME_EXCHANGE, _RENAME_SWAP = -100, 2, 2


@contextmanager
def whole(
    target: Path, *, durable: bool = False, hidden: bool = False, ending: str = ""
) -> Iterator[Path]:
    """A file beside another, to be written and then put in its place; removed if that fails.

    What a killed process leaves is called as the target, with the process's number and ``.tmp``.

    Args:
        target: the file's place; its folder must be there.
        durable: have it written to the disk, and not only to its cache, before it is seen.
        hidden: begin its name with a dot, where the folder is one that people look into.
        ending: of its name, for writers that tell the format by it.

    Yields:
        The file to write.
    """
    dot = "." if hidden else ""
    fresh = target.with_name(f"{dot}{target.name}.{os.getpid()}.tmp{ending}")
    try:
        yield fresh
        if durable:
            settle(fresh)
        fresh.replace(target)
    finally:
        if fresh.parent.is_dir():
            fresh.unlink(missing_ok=True)


def put(fresh: Path, target: Path, old: Path) -> None:
    """Put a file or folder in the place of another, or where there is none yet, in one go.

    The two must lie on one file system. Where the platform cannot exchange folders there is none
    for a moment: then what was there lies at ``old``.

    Args:
        fresh: what is to lie at ``target``.
        target: its place.
        old: where what was there before may be put; the caller removes it.
    """
    if not target.is_dir() or target.is_symlink():
        fresh.replace(target)
    elif not _exchange(fresh, target):
        target.rename(old)
        fresh.rename(target)


def settle(path: Path) -> None:
    """Have a file, or the files of a folder, written to the disk and not only to its cache."""
    for file in [*path.iterdir()] if path.is_dir() else [path]:
        with file.open("rb") as opened:
            os.fsync(opened.fileno())


def _exchange(one: Path, other: Path) -> bool:
    """Exchange two folders, whether that can be done or not: renameat2(2), and on macOS renamex_np.

    Returns:
        Whether it could.
    """
    libc = ctypes.CDLL(None)
    names = os.fsencode(one), os.fsencode(other)
    try:
        if sys.platform == "darwin":
            return bool(libc.renamex_np(*names, _RENAME_SWAP) == 0)
        here = ctypes.c_int(_AT_FDCWD)
        return bool(libc.renameat2(here, names[0], here, names[1], _RENAME_EXCHANGE) == 0)
    except AttributeError:
        return False
