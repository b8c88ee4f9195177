"""What one file holds: a text, or bytes that are hashed without being held in memory."""

from __future__ import annotations

import hashlib
import stat
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from flows.sources._where import Local
from flows.sources.base import SourceAwayError
from storage.ids import DIGEST_BYTES, hash_text

if TYPE_CHECKING:
    from flows.sources._hashes import Hashes
    from flows.sources._where import File, Look


class FileError(Exception):
    """A file that cannot be read; says why.

    Attributes:
        passes: whether it may be readable the next time as it is.
    """

    passes = False


class AwayError(FileError):
    """A file that could not be read just now."""

    passes = True


@dataclass(frozen=True)
class Payload:
    """Content and hash of one file.

    Attributes:
        content: its text, or its absolute path or URI where the encoder opens it.
        content_hash: of the text, or of the bytes.
        modified: microseconds since 1970 when it was last written.
    """

    content: str
    content_hash: str
    modified: int


def read_text(file: File, max_bytes: int) -> Payload:
    """Read a file as UTF-8 text, without its byte order mark.

    Raises:
        FileError: if it is not a plain file that can be read, too large, blank, not UTF-8, or
            changes while it is read.
        SourceAwayError: if its store is away.
    """
    before = _look(file)
    try:
        with file.open() as stream:
            raw = stream.read(max_bytes + 1)
    except SourceAwayError:
        raise
    except OSError as error:
        raise AwayError(_cannot(error)) from error
    if len(raw) > max_bytes:
        raise FileError(f"larger than max_bytes = {max_bytes}; split it, or raise max_bytes")
    _check_same(before, file)
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise FileError(f"invalid UTF-8 at byte {error.start}; save the file as UTF-8") from error
    if not text.strip():
        raise FileError("the text is blank: only whitespace")
    return Payload(text, hash_text(text), before.modified // 1000)


def read_hash(file: File, hashes: Hashes) -> Payload:
    """Hash a file block by block; equals `storage.ids.hash_bytes` of all its bytes.

    A hash that is known is taken as it is, and the file not read.

    Raises:
        FileError: if it is not a plain file that can be read, or changes while it is read.
        SourceAwayError: if its store is away.
    """
    now = time.time_ns()
    before = _look(file)
    known = hashes.get(file.text, before.mark)
    content_hash = known or _hashed(file, before)
    if before.settled(now):
        hashes.put(file.text, before.mark, content_hash)
    return Payload(file.text, content_hash, before.modified // 1000)


def _hashed(file: File, before: Look) -> str:
    digest = hashlib.blake2b(digest_size=DIGEST_BYTES)
    try:
        with file.open() as stream:
            while block := stream.read(1024 * 1024):
                digest.update(block)
    except SourceAwayError:
        raise
    except OSError as error:
        raise AwayError(_cannot(error)) from error
    _check_same(before, file)
    return digest.hexdigest()


def size(file: File) -> int:
    """Bytes of a file; 0 where it is gone, which reading it will report."""
    try:
        return file.look().size
    except SourceAwayError:
        raise
    except OSError:
        return 0


def leads_out(file: File, folder: str) -> bool:
    """Whether a file is a link to somewhere outside a folder."""
    if not isinstance(file, Local) or not file.path.is_symlink():
        return False
    try:
        inside = file.path.resolve(strict=True).is_relative_to(Path(folder).resolve())
    except (OSError, RuntimeError):
        # a link to nothing or to itself: reading it will report that
        return False
    return not inside


def _look(file: File) -> Look:
    try:
        look = file.look()
        # a pipe would block the reader for ever
        plain = not isinstance(file, Local) or stat.S_ISREG(file.path.stat().st_mode)
    except SourceAwayError:
        raise
    except OSError as error:
        raise AwayError(_cannot(error)) from error
    if not plain:
        raise FileError("not a plain file")
    if look.size == 0:
        raise FileError("the file is empty: 0 bytes")
    return look


def _check_same(before: Look, file: File) -> None:
    if _look(file) != before:
        raise AwayError("the file changed while it was read; run again to take it")


def _cannot(error: OSError) -> str:
    return f"cannot be read: {error.strerror}"
