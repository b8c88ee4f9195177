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
from urllib.parse import unquote

from flows.sources._remote import exists, is_uri, listed
from flows.sources._where import Local
from flows.sources.base import SourceError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from flows.sources._where import File

_FILE = "file://"

MAGIC = re.compile(r"[*?\[]")


@dataclass(frozen=True)
class Found:
    """Something that a path named.

    Attributes:
        file: the file or object.
        name: its path relative to the root, with ``/``; absolute where it lies outside the root;
            the URI of an object.
        folder: the fixed part of the path with wildcards, absolute.
        free: where in the file's ``text`` begins what the fields of a pattern may take: below the
            fixed part, or at the beginning of what the path says where it has no ``**``.
        problem: why it cannot be read; None for a plain file or a link to one.
    """

    file: File
    name: str
    folder: str
    free: int = 0
    problem: str | None = None

    @property
    def inner(self) -> str:
        """The path below `folder`, with ``/``."""
        return self.file.text[len(self.folder.rstrip("/")) + 1 :]


def find(paths: str | Sequence[str], root: Path) -> list[Found]:
    """All that the paths name, each once, sorted by name.

    Raises:
        SourceError: if a path matches nothing.
    """
    found: dict[str, Found] = {}
    for path in [paths] if isinstance(paths, str) else paths:
        matches = list(_matches(path, root))
        if not matches:
            raise SourceError(f"no file matches {path!r}{_whence(path, root)}")
        for match in matches:
            found.setdefault(match.name, match)
    return [found[name] for name in sorted(found)]


def named_by(paths: str | Sequence[str], root: Path, name: str) -> Found | None:
    """What `find` would give by a name, without listing anything; None where it would give nothing.

    Args:
        paths: as of `find`.
        root: that they are relative to.
        name: as of `Found`.
    """
    for path in [paths] if isinstance(paths, str) else paths:
        is_object = is_uri(path) and not path.startswith(_FILE)
        if is_object != is_uri(name):
            continue
        found = _object_by(path, name) if is_object else _file_by(path, root, name)
        if found is not None:
            return found
    return None


def _file_by(path: str, root: Path, name: str) -> Found | None:
    path = unquote(path.removeprefix(_FILE)) if path.startswith(_FILE) else path
    root = Path(os.path.abspath(root))  # noqa: PTH100 - as in _matches
    file, whole = (Path(os.path.abspath(root / one)) for one in (name, path))  # noqa: PTH100 - as above
    if os.path.lexists(whole):
        return _found(whole, root, whole.parent) if file == whole else None
    parts = PurePosixPath(path).parts
    fixed = next((i for i, part in enumerate(parts) if MAGIC.search(part)), None)
    if fixed is None or not os.path.lexists(file):
        return None
    folder = Path(os.path.abspath(root.joinpath(*parts[:fixed])))  # noqa: PTH100 - as above
    if not file.is_relative_to(folder):
        return None
    inner = file.relative_to(folder).parts
    # Links to folders are not followed by `_walk`.
    linked = any(folder.joinpath(*inner[:depth]).is_symlink() for depth in range(1, len(inner)))
    return None if linked or not _fits(inner, parts[fixed:]) else _found(file, root, folder)


def _object_by(uri: str, name: str) -> Found | None:
    scheme, _, rest = uri.partition("://")
    parts = rest.split("/")
    fixed = next((i for i, part in enumerate(parts) if MAGIC.search(part)), len(parts) - 1)
    folder = f"{scheme}://{'/'.join(parts[:fixed])}"
    if not name.startswith(f"{folder}/"):
        return None
    inner = name[len(folder) + 1 :]
    if name != uri and not _fits(inner.split("/"), parts[fixed:]):
        return None
    known = exists(name)
    return None if known is None else Found(known, name, folder)


def check_exists(paths: str | Sequence[str], root: Path) -> None:
    """Check that each path matches something, without listing it all.

    Raises:
        SourceError: if a path matches nothing.
    """
    for path in [paths] if isinstance(paths, str) else paths:
        if next(_matches(path, root), None) is None:
            raise SourceError(f"no file matches {path!r}{_whence(path, root)}")


def named(path: str, root: Path) -> Iterator[Found]:
    """What one path names, as it is found: in no order, and something perhaps twice.

    Raises:
        SourceError: if an object store cannot be listed.
    """
    return _matches(path, root)


def _whence(path: str, root: Path) -> str:
    if is_uri(path):
        return "; check the address, and that what is in the environment may list it"
    return f" in {root}{_gone(path, root)}; check the path (relative paths start there)"


def _gone(path: str, root: Path) -> str:
    """That the folder a path looks into is not there; nothing where it is."""
    path = unquote(path.removeprefix(_FILE)) if path.startswith(_FILE) else path
    parts = PurePosixPath(path).parts
    fixed = next((i for i, part in enumerate(parts) if MAGIC.search(part)), len(parts) - 1)
    inside = parts[:fixed]
    if not inside or root.joinpath(*inside).is_dir():
        return ""
    return f": the folder {PurePosixPath(*inside)} is not there"


def _matches(path: str, root: Path) -> Iterator[Found]:
    if is_uri(path) and not path.startswith(_FILE):
        yield from _objects(path)
        return
    if path.startswith(_FILE):
        path = unquote(path.removeprefix(_FILE))
    root = Path(os.path.abspath(root))  # noqa: PTH100 - drops "..", and leaves links as they are
    whole = Path(os.path.abspath(root / path))  # noqa: PTH100 - as above
    if os.path.lexists(whole):
        yield _found(whole, root, whole.parent, _beginning(path, root))
        return
    if not MAGIC.search(path):
        return
    parts = PurePosixPath(path).parts
    fixed = next(i for i, part in enumerate(parts) if MAGIC.search(part))
    folder = Path(os.path.abspath(root.joinpath(*parts[:fixed])))  # noqa: PTH100 - as above
    free = len(folder.as_posix()) + 1 if "**" in parts else _beginning(path, root)
    for match, problem in _walk(folder, parts[fixed:]):
        yield _found(match, root, folder, free, problem)


def _beginning(path: str, root: Path) -> int:
    """Where what the path says begins in the absolute path."""
    relative = not PurePosixPath(path).is_absolute() and ".." not in PurePosixPath(path).parts
    return len(root.as_posix()) + 1 if relative else 0


def _found(
    path: Path, root: Path, folder: Path, free: int = 0, problem: str | None = None
) -> Found:
    name = path.relative_to(root) if path.is_relative_to(root) else path
    if problem is None and _leads_to_folder(path):
        problem = "is a folder, not a file"
    return Found(Local(path), name.as_posix(), folder.as_posix(), free, problem)


def _objects(uri: str) -> Iterator[Found]:
    """What a URI names; a listing knows no folders, links or permissions."""
    known = exists(uri)
    if known is not None:
        yield Found(known, uri, uri.rpartition("/")[0])
        return
    scheme, _, rest = uri.partition("://")
    bucket, *parts = rest.split("/")
    fixed = next((i for i, part in enumerate(parts) if MAGIC.search(part)), None)
    if fixed is None:
        return
    folder = "/".join([f"{scheme}://{bucket}", *parts[:fixed]])
    free = len(folder) + 1 if "**" in parts else 0
    begin = len("/".join(parts[:fixed])) + 1 if fixed else 0
    for key, file in listed(folder):
        if _fits(key[begin:].split("/"), parts[fixed:]):
            yield Found(file, file.uri, folder, free)


def _fits(path: Sequence[str], parts: Sequence[str]) -> bool:
    """Whether a path is as the parts of a pattern say, by the rules of `_walk`."""
    if not path or not parts:
        return not path and not parts
    named = _is_named(path[0], parts[0])
    if parts[0] != "**":
        return named and _fits(path[1:], parts[1:])
    last = len(path) == 1 and len(parts) == 1
    return (named and (last or _fits(path[1:], parts))) or _fits(path, parts[1:])


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
    return (entry for entry in entries if _is_named(entry.name, part))


def _is_named(name: str, part: str) -> bool:
    wanted = "*" if part == "**" else part
    hidden = name.startswith(".") and not wanted.startswith(".")
    return not hidden and fnmatchcase(name, wanted)
