"""Files that are read for their bytes, and are to be nothing else."""

from __future__ import annotations

import os
import stat
from typing import BinaryIO

TOO_LARGE = "too large for the memory of this machine"
"""Why a file is not decoded that another machine may decode."""


def open_plain(path: str) -> BinaryIO:
    """Open a file to read.

    Raises:
        OSError: if it cannot be read, or is no plain file: a pipe in its place would block the
            reader for ever.
    """
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    try:
        file = os.fdopen(descriptor, "rb")
    except OSError:  # a folder; the descriptor is still open then
        os.close(descriptor)
        raise
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        file.close()
        raise OSError(f"{path} is not a plain file any more")
    return file
