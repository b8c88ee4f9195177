"""Recordings that are cut off in their samples, where libsndfile shortens them without a word."""

from __future__ import annotations

from io import SEEK_END, BytesIO
from typing import Literal, Protocol

_OGG_HEADER = 27
_OGG_TAIL = 2**20
"""A page has 65,307 bytes at most; what follows the last one, such as tags, seldom a megabyte."""
_MOST_CHUNKS = 10_000
"""Before the samples; libsndfile itself opens a WAV with 8,000, and none with 12,000."""
_STREAMED = 0x7FFF_F000
"""Sizes from here on are what programs write that cannot seek back to fill in the true one."""


class Seekable(Protocol):
    """What can be read from any place, as files can."""

    def read(self, n: int = -1, /) -> bytes:
        """So many bytes, or all that are left; fewer at the end."""
        ...

    def seek(self, offset: int, whence: int = 0, /) -> int:
        """Go to a place, and tell it."""
        ...

    def tell(self) -> int:
        """The place."""
        ...


class CutOffError(Exception):
    """A recording holds less than its container declares, or hides where its samples are."""


def complete(data: bytes) -> bytes:
    """Refuse a file cut off in its samples, where libsndfile shortens it without a word.

    That is so for WAV, RF64, AIFF and OGG. The others it refuses itself, but for MP3, which has
    no length to miss, and the rare AU, CAF and W64, which are not looked into.

    Raises:
        CutOffError: if less is there than is declared, or over 10,000 chunks precede the samples.

    Returns:
        the data, readable: a streamed WAV of declared size 0 gets the size that means "the rest".
    """
    place = unsized(BytesIO(data))
    return data if place is None else data[:place] + b"\xff\xff\xff\xff" + data[place + 4 :]


def unsized(file: Seekable) -> int | None:
    """Look into a file as `complete` does, without reading its samples.

    Returns:
        Where the size 0 of a streamed WAV stands, that means "the rest"; None in all others.

    Raises:
        CutOffError: as `complete`.
    """
    length = file.seek(0, SEEK_END)
    head = _at(file, 0, 12)
    if head[:4] == b"OggS":
        _check_last_page(_at(file, max(0, length - _OGG_TAIL), _OGG_TAIL), length)
        return None
    if head[:4] not in {b"RIFF", b"RF64", b"FORM"}:
        return None
    order: Literal["big", "little"] = "big" if head[:4] == b"FORM" else "little"
    long_size = None
    place, passed = 12, 0
    while place + 8 <= length:
        if (passed := passed + 1) > _MOST_CHUNKS:
            raise CutOffError(
                f"the recording has over {_MOST_CHUNKS:,} chunks before its samples, expected a "
                "few: its header is damaged, or made to waste time"
            )
        chunk = _at(file, place, 24)
        name, size = chunk[:4], int.from_bytes(chunk[4:8], order)
        place += 8
        if name == b"ds64":  # EBU Tech 3306: sizes over 4 GiB stand here
            long_size = int.from_bytes(chunk[16:24], order)
        if name in {b"data", b"SSND"}:
            there = length - place
            whole = int.from_bytes(head[4:8], order) == length - 8
            if name == b"data" and size == 0 and not whole:
                return place - 4
            declared = size if long_size is None else long_size
            if there < declared and (size < _STREAMED or long_size is not None):
                raise CutOffError(
                    f"the recording is cut off: it declares {declared} bytes of samples and "
                    f"holds {there}"
                )
            break
        place += size + size % 2
    return None


def _at(file: Seekable, place: int, size: int) -> bytes:
    file.seek(place)
    return file.read(size)


def _check_last_page(tail: bytes, length: int) -> None:
    """Refuse an OGG file whose last page is not whole, or not marked as the end (RFC 3533)."""
    page = tail[tail.rfind(b"OggS") :]
    segments = page[26] if len(page) > _OGG_HEADER else 0
    body = sum(page[_OGG_HEADER : _OGG_HEADER + segments])
    if len(page) < _OGG_HEADER + segments + body or not page[5] & 4:
        raise CutOffError(
            f"the recording is cut off: its {length} bytes do not close with a last OGG page"
        )
