"""Paths as they are given and as the configuration names them, and what a wrong one may mean."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from storage.nearest import nearest


@dataclass(frozen=True)
class Base:
    """A folder or prefix that files were found below.

    Attributes:
        said: how the configuration names it; empty for the project folder.
        name: what a feature may be called after.
    """

    said: str
    name: str

    def path(self, inner: str) -> str:
        """How the configuration names a file below it."""
        return f"{self.said.rstrip('/')}/{inner}" if self.said else inner


@dataclass(frozen=True)
class Places:
    """Where paths are taken from.

    Attributes:
        here: the folder that relative paths are taken from.
        root: the project folder.
    """

    here: Path
    root: Path

    def local(self, path: str) -> Path:
        """A path that was given, from the root of the file system."""
        joined = self.here / Path(path).expanduser()
        return Path(os.path.abspath(joined))  # noqa: PTH100 - drops "..", leaves links as they are

    def said(self, path: Path) -> str:
        """A path as the configuration names it: from the project folder if it lies there."""
        if path == self.root:
            return ""
        inside = path.is_relative_to(self.root)
        return (path.relative_to(self.root) if inside else path).as_posix()


def near(path: Path, here: Path | None = None) -> str:
    """What may have been meant by a path that is not there.

    Args:
        path: from the root of the file system.
        here: the folder to name others from, as somebody does who gave a relative path.
    """
    parent = path.parent
    while not parent.is_dir():
        path, parent = parent, parent.parent
    try:
        names = sorted(entry.name for entry in parent.iterdir() if not entry.name.startswith("."))
    except OSError:
        names = []
    near = nearest(path.name, names)
    if near is not None:
        meant = parent / near
        return f"; did you mean {meant if here is None else os.path.relpath(meant, here)}?"
    if not names:
        return f", and {parent} is empty"
    return f"; {parent} has {', '.join(names[:8])}{' …' if len(names) > 8 else ''}"  # noqa: PLR2004 - enough to know it by
