"""Parts of files that lie elsewhere, as players ask for them (RFC 9110, section 14)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from starlette.responses import Response, StreamingResponse

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO

    from flows.sources._where import File

_ONE = re.compile(r"bytes=(\d{1,18})?-(\d{1,18})?", re.ASCII)
_PIECE = 262_144


def ranged(file: File, asked: str | None, kind: str) -> Response:
    """A file, or the part of it that is asked for.

    Args:
        file: may be an object of a store.
        asked: the header ``Range``; what is no single range of bytes is passed over.
        kind: the type of its content.

    Raises:
        OSError, SourceError: if it cannot be read.
    """
    size = file.look().size
    part = part_of(asked, size)
    headers = {"accept-ranges": "bytes"}
    if part is None:
        return Response(status_code=416, headers=headers | {"content-range": f"bytes */{size}"})
    headers["content-length"] = str(len(part))
    status = 200
    if len(part) < size:
        status = 206
        headers["content-range"] = f"bytes {part.start}-{part.stop - 1}/{size}"
    return StreamingResponse(_pieces(file.open(), part), status, headers, kind)


def part_of(asked: str | None, size: int) -> range | None:
    """The bytes that a header asks for, all where it asks for none; None where there are none such.

    Args:
        asked: as of `ranged`.
        size: of the file, in bytes.
    """
    found = None if asked is None else _ONE.fullmatch(asked.strip())
    if found is None or found[1] is found[2] is None:
        return range(size)
    if found[1] is None:
        last = int(found[2])
        return range(max(0, size - last), size) if last and size else None
    first = int(found[1])
    stop = min(size, size if found[2] is None else int(found[2]) + 1)
    return range(first, stop) if first < stop else None


def _pieces(file: BinaryIO, part: range) -> Iterator[bytes]:
    with file:
        file.seek(part.start)
        left = len(part)
        while left and (piece := file.read(min(left, _PIECE))):
            left -= len(piece)
            yield piece
