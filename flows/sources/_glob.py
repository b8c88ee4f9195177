"""Which files a path with wildcards names, found without surprises.

``glob.glob`` follows links to folders, so a link to a parent makes it list files again and again,
and it passes silently over what it may not list. Here links to folders are not followed, and
all that matched but cannot be listed is handed on with the reason.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from flows.sources.base import SourceError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

MAGIC = re.compile(r"[*?\[]")


@dataclass(frozen=True)
class Found:
    """Something that a path named.

    Attributes:
        path: where it is, absolute.
        name: its path relative to the root, with ``/``; absolute where it lies outside the root.
        folder: the fixed part of the path with wildcards, absolute.
        problem: why it cannot be read; None for a plain file or a link to one.
    """

    path: Path
    name: str
    folder: Path
    problem: str | None = None

    @property
    def inner(self) -> str:
        """The path below `folder`, with ``/``."""
        return self.path.relative_to(self.folder).as_posix()


def find(paths: str | Sequence[str], root: Path) -> list[Found]:
    """All that the paths name, each once, sorted by name.

    Raises:
        SourceError: if a path matches nothing.
    """
    found: dict[str, Found] = {}
    for path in [paths] if isinstance(paths, str) else paths:
        matches = list(_matches(path, root))
        if not matches:
            raise SourceError(
                f"no file matches {path!r} in {root}; check the path (relative paths start there)"
            )
        for match in matches:
            found.setdefault(match.name, match)
    return [found[name] for name in sorted(found)]


def check_exists(paths: str | Sequence[str], root: Path) -> None:
    """Check that each path matches something, without listing it all.

    Raises:
        SourceError: if a path matches nothing.
    """
    for path in [paths] if isinstance(paths, str) else paths:
        if next(_matches(path, root), None) is None:
            raise SourceError(
                f"no file matches {path!r} in {root}; check the path (relative paths start there)"
            )


def _matches(path: str, root: Path) -> Iterator[Found]:
    root = Path(os.path.abspath(root))  # noqa: PTH100 - drops "..", and leaves links as they are
    whole = Path(os.path.abspath(root / path))  # noqa: PTH100 - as above
    if os.path.lexists(whole):
        yield _found(whole, root, whole.parent)
        return
    if not MAGIC.search(path):
        return
    parts = PurePosixPath(path).parts
    fixed = next(i for i, part in enumerate(parts) if MAGIC.search(part))
    folder = Path(os.path.abspath(root.joinpath(*parts[:fixed])))  # noqa: PTH100 - as above
    for match, problem in _walk(folder, parts[fixed:]):
        yield _found(match, root, folder, problem)


def _found(path: Path, root: Path, folder: Path, problem: str | None = None) -> Found:
    name = path.relative_to(root) if path.is_relative_to(root) else path
    if problem is None and _leads_to_folder(path):
        problem = "is a folder, not a file"
    return Found(path, name.as_posix(), folder, problem)


def _walk(folder: Path, parts: tuple[str, ...]) -> Iterator[tuple[Path, str | None]]:
    part, rest = parts[0], parts[1:]
    anywhere = part == "**"
    if anywhere and rest:
        yield from _walk(folder, rest)
    try:
        with os.scandir(folder) as scanned:
            entries = sorted(scanned, key=lambda entry: entry.name)
    except FileNotFoundError:
        return
    except OSError as error:
        yield folder, f"is a folder that cannot be listed ({error.strerror})"
        return
    for entry in _named(entries, part):
        if anywhere and entry.is_dir(follow_symlinks=False):
            yield from _walk(folder / entry.name, parts)
        elif rest and not anywhere and entry.is_dir(follow_symlinks=False):
            yield from _walk(folder / entry.name, rest)
        elif entry.is_symlink() and _leads_to_folder(folder / entry.name):
            yield folder / entry.name, "is a link to a folder, which is not followed"
        elif not rest and (part.strip("*?") or not entry.is_dir(follow_symlinks=False)):
            yield folder / entry.name, None


def _leads_to_folder(path: Path) -> bool:
    return os.path.isdir(path)  # noqa: PTH112 - Path.is_dir raises where a folder above is closed


def _named(entries: Iterable[os.DirEntry[str]], part: str) -> Iterator[os.DirEntry[str]]:
    """The entries that a piece of a path matches; hidden ones only where it starts with a dot."""
    wanted = "*" if part == "**" else part
    for entry in entries:
        hidden = entry.name.startswith(".") and not wanted.startswith(".")
        if not hidden and fnmatchcase(entry.name, wanted):
            yield entry
