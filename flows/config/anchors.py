"""Files that an encoder's parameters name: found from anywhere, and after the project has moved.

An anchored path is absolute, and ``/./`` in it marks where the project folder ends, as rsync has
it: ``/srv/project/./models/x``. It can be opened as it stands. Where the catalog remembers it and
the project has since moved, the part behind the mark is still right.
"""

from __future__ import annotations

from pathlib import Path, PurePosixPath

_MARK = "/./"


def anchored(value: str, root: Path) -> str:
    """A path that a configuration names, as an anchored one.

    Args:
        value: a path, absolute or from the home folder (``~``), else from the project folder; or
            a name that means something elsewhere, such as that of a model on a hub.
        root: the project folder.

    Returns:
        The absolute path if the value is surely a path (it begins with ``/``, ``~``, ``./`` or
        ``../``) or is there in the project folder; else the value, which is then a name.
    """
    try:
        path = Path(value).expanduser()
    except RuntimeError:  # there is no such user
        return value
    if path.is_absolute():
        return str(path)
    dotted = value.startswith(("./", "../")) or value in {".", ".."}
    if dotted or (value and _exists(root / path)):
        return f"{root}{_MARK}{path.as_posix()}"
    return value


def moved(value: str, root: Path) -> str:
    """An anchored path in the project folder of today, if it is there; else as it was."""
    _, mark, inside = value.partition(_MARK)
    here = f"{root}{_MARK}{inside}"
    return here if mark and _exists(Path(here)) else value


def inside(value: object) -> str | None:
    """Where an anchored path lies below the project folder; None for what lies elsewhere."""
    _, mark, found = str(value).partition(_MARK)
    path = PurePosixPath(found)
    return path.as_posix() if mark and path.parts and ".." not in path.parts else None


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):  # no name that a file could have
        return False
