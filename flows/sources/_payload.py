"""What one file holds: a text, or bytes that are hashed without being held in memory."""

from __future__ import annotations

import hashlib
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING

from storage.ids import DIGEST_BYTES, hash_text

if TYPE_CHECKING:
    from pathlib import Path


class FileError(Exception):
    """A file that cannot be read; says why."""


@dataclass(frozen=True)
class Payload:
    """Content and hash of one file.

    Attributes:
        content: its text, or its absolute path where the encoder opens it.
        content_hash: of the text, or of the bytes.
        modified: microseconds since 1970 when it was last written.
    """

    content: str
    content_hash: str
    modified: int


def read_text(path: Path, max_bytes: int) -> Payload:
    """Read a file as UTF-8 text, without its byte order mark.

    Raises:
        FileError: if it is not a plain file that can be read, too large, blank or not UTF-8.
    """
    modified = _check(path)
    try:
        with path.open("rb") as file:
            raw = file.read(max_bytes + 1)
    except OSError as error:
        raise FileError(_cannot(error)) from error
    if len(raw) > max_bytes:
        raise FileError(f"larger than max_bytes = {max_bytes}; split it, or raise max_bytes")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise FileError(f"invalid UTF-8 at byte {error.start}; save the file as UTF-8") from error
    if not text.strip():
        raise FileError("the text is blank: only whitespace")
    return Payload(text, hash_text(text), modified)


def read_hash(path: Path) -> Payload:
    """Hash a file block by block; equals `storage.ids.hash_bytes` of all its bytes.

    Raises:
        FileError: if it is not a plain file that can be read.
    """
    modified = _check(path)
    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=DIGEST_BYTES))
    except OSError as error:
        raise FileError(_cannot(error)) from error
    return Payload(str(path), digest.hexdigest(), modified)


def size(path: Path) -> int:
    """Bytes of a file; 0 where it is gone, which reading it will report."""
    try:
        return path.stat().st_size
    except OSError:
        return 0


def leads_out(path: Path, folder: Path) -> bool:
    """Whether a path is a link to somewhere outside a folder."""
    if not path.is_symlink():
        return False
    try:
        return not path.resolve(strict=True).is_relative_to(folder.resolve())
    except (OSError, RuntimeError):
        # a link to nothing or to itself: reading it will report that
        return False


def _check(path: Path) -> int:
    try:
        status = path.stat()
    except OSError as error:
        raise FileError(_cannot(error)) from error
    # a pipe would block the reader for ever
    if not stat.S_ISREG(status.st_mode):
        raise FileError("not a plain file")
    if status.st_size == 0:
        raise FileError("the file is empty: 0 bytes")
    return status.st_mtime_ns // 1000


def _cannot(error: OSError) -> str:
    return f"cannot be read: {error.strerror}"
