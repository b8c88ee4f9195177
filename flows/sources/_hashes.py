"""The hashes of files that have not been written since they were hashed.

One new image among a million should not cost reading the million again. What is kept here only
saves time: a file of it that is missing, damaged or another program's is as good as none, and
each line is checked before it is believed. A scan writes the hashes of the files that it met to a
new database, which takes the place of the old one when the scan is over; so no hash outlives its
file.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
import threading
from contextlib import suppress
from typing import TYPE_CHECKING
from uuid import uuid4

if TYPE_CHECKING:
    from pathlib import Path

_MAKE = (
    "CREATE TABLE hashes (path TEXT PRIMARY KEY, mark TEXT, hash TEXT, proof TEXT) WITHOUT ROWID"
)
_GET = "SELECT mark, hash, proof FROM hashes WHERE path = ?"
_PUT = "INSERT OR REPLACE INTO hashes VALUES (?, ?, ?, ?)"


class Hashes:
    """Hashes by path and mark (see `flows.sources._where.Look`); threads may share it."""

    def __init__(self, folder: Path | None, key: str) -> None:
        """Begin with what is known.

        Args:
            folder: where it is kept; None keeps nothing.
            key: what tells this source from others that keep theirs in the same folder.
        """
        name = hashlib.blake2b(key.encode(), digest_size=8).hexdigest()
        self._home = None if folder is None else folder / f"hashes-{name}.sqlite"
        self._lock = threading.Lock()
        self._old = self._opened()
        self._new: sqlite3.Connection | None = None
        self._draft: Path | None = None
        self._begin()

    def get(self, path: str, mark: str) -> str | None:
        """The hash of a file that looks like this, where it is known."""
        if self._old is None:
            return None
        with self._lock, suppress(sqlite3.Error, UnicodeError):
            row = self._old.execute(_GET, (path,)).fetchone()
            if row is not None and row[0] == mark and row[2] == _proof(path, *row[:2]):
                return str(row[1])
        return None

    def put(self, path: str, mark: str, content_hash: str) -> None:
        """Keep the hash of a file that would look otherwise if it were written again."""
        if self._new is None:
            return
        with self._lock, suppress(sqlite3.Error, UnicodeError):
            row = (path, mark, content_hash, _proof(path, mark, content_hash))
            self._new.execute(_PUT, row)

    def keep(self) -> None:
        """Take what this scan met for the next one."""
        if self._new is None or self._draft is None or self._home is None:
            return
        with suppress(sqlite3.Error, OSError):
            self._new.commit()
            self._new.close()
            with self._draft.open("rb") as file:
                os.fsync(file.fileno())
            self._draft.replace(self._home)

    def close(self) -> None:
        """Let go of it; what was not kept is dropped."""
        for connection in (self._old, self._new):
            if connection is not None:
                connection.close()
        if self._draft is not None:
            with suppress(OSError):
                self._draft.unlink(missing_ok=True)

    def _opened(self) -> sqlite3.Connection | None:
        if self._home is None or not self._home.is_file():
            return None
        with suppress(sqlite3.Error):
            uri = f"{self._home.absolute().as_uri()}?mode=ro&immutable=1"
            return sqlite3.connect(uri, uri=True, check_same_thread=False)
        return None

    def _begin(self) -> None:
        if self._home is None:
            return
        with suppress(sqlite3.Error, OSError):
            self._home.parent.mkdir(parents=True, exist_ok=True)
            self._draft = self._home.with_suffix(f".{uuid4().hex}.draft")
            new = sqlite3.connect(self._draft, check_same_thread=False)
            new.execute("PRAGMA journal_mode = OFF")
            new.execute("PRAGMA synchronous = OFF")
            new.execute(_MAKE)
            self._new = new


def _proof(path: str, mark: str, content_hash: str) -> str:
    """Tells a line that was written from one that a damaged disk gives back."""
    text = f"{path}\0{mark}\0{content_hash}"
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()
