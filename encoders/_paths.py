"""Which values of a parameter are places on this machine, and which are names elsewhere."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path


def as_path(value: str) -> Path | None:
    """The file or folder that a value means; None where it can only be a name.

    A relative path counts if it begins with a dot: whatever happens to lie in the directory that
    one stands in must not be taken for the published model of that name.
    """
    path = Path(value)
    if value.startswith("~"):
        with suppress(RuntimeError):  # there is no such user, and no such file then
            return path.expanduser()
        return path
    dotted = value.startswith(("./", "../")) or value in {".", ".."}
    return path if dotted or path.is_absolute() else None
