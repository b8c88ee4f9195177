"""Recordings cut into windows, each a row of its own: planned by the headers of their files.

A window's content cell names its file and its span, so that it is the file's samples there that are
encoded, and no copy of them lies about meanwhile. Its content hash is made of the file's and the
span, so that a file is encoded again whole once it has changed, and never while it has not.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, BinaryIO

from encoders import excerpts
from encoders.media import LimitError, MediaError
from flows.pipeline.plain import TOO_LARGE, open_plain
from flows.sources._remote import Remote, is_uri
from flows.sources.base import Chunk, Reject
from storage.ids import hash_text
from storage.parts import TIMES

if TYPE_CHECKING:
    from encoders.media import Limits
    from encoders.windows import Span, Window
    from storage.parts import Parts

_READERS = 4
_MARK = "\0ms="
"""Between a path and a span. No path holds a NUL, so no file can be taken for a window."""


def cell(path: str, span: Span) -> str:
    """The content cell of a window, a span in ms."""
    return f"{path}{_MARK}{span[0]}-{span[1]}"


def parsed(content: str) -> tuple[str, Span | None]:
    """The path of a content cell, and the span where it is that of a window."""
    path, mark, span = content.partition(_MARK)
    if not mark:
        return path, None
    start, _, end = span.partition("-")
    return path, (int(start), int(end))


def content_hash(whole: str, span: Span) -> str:
    """The content hash of a window of a file of some hash."""
    return hash_text(f"{whole} {span[0]}-{span[1]} ms")


@dataclass(frozen=True)
class Windows:
    """Cuts the recordings of a source.

    Attributes:
        window: how.
        limits: of the recordings; a window of one that is beyond them is beyond them too.
        parts: the columns that tell a row's record and place.
    """

    window: Window
    limits: Limits
    parts: Parts = TIMES

    def cut(self, chunk: Chunk) -> Chunk:
        """Each recording as its windows, with the columns of `storage.parts.TIMES`.

        One whose header cannot be read becomes one reject, however long it says it is.
        """
        import polars as pl

        records = chunk.records
        paths: list[str] = records["content"].to_list()
        with ThreadPoolExecutor(_READERS) as pool:
            found = list(pool.map(partial(_length, self.limits), paths))
        rejects = [
            Reject(str(row["place"]), length.reason, str(row["record_id"]), length.passes)
            for row, length in zip(records.iter_rows(named=True), found, strict=True)
            if isinstance(length, _Unread)
        ]
        cut = [[] if isinstance(n, _Unread) else self.window.spans(n) for n in found]
        rows = [row for row, of in enumerate(cut) for _ in of]
        spans = [span for of in cut for span in of]
        numbers = pl.Series([n for of in cut for n in range(len(of))], dtype=pl.Int64)
        whole = records[rows]
        cells = [cell(paths[row], span) for row, span in zip(rows, spans, strict=True)]
        hashes = map(content_hash, whole["content_hash"], spans)
        own = {
            "record_id": whole["record_id"] + "#" + numbers.cast(pl.String),
            "content": pl.Series(cells, dtype=pl.String),
            "content_hash": pl.Series(list(hashes), dtype=pl.String),
            TIMES.parent: whole["record_id"],
            TIMES.whole: whole["content_hash"],
            TIMES.number: numbers,
            TIMES.start: pl.Series([start for start, _ in spans], dtype=pl.Int64),
            TIMES.end: pl.Series([end for _, end in spans], dtype=pl.Int64),
        }
        return Chunk(whole.with_columns(**own), [*chunk.rejects, *rejects])


@dataclass(frozen=True)
class _Unread:
    """Why a header cannot be read, and whether it may be the next time."""

    reason: str
    passes: bool


def _length(limits: Limits, path: str) -> int | _Unread:
    try:
        with _opened(path) as file:
            return excerpts.length(file, limits)
    except MediaError as error:
        return _Unread(str(error), passes=isinstance(error, LimitError))
    except MemoryError:  # a streamed WAV, which does not say its length, is read whole
        return _Unread(TOO_LARGE, passes=True)
    except OSError as error:
        return _Unread(f"the file cannot be read: {error.strerror or error}", passes=True)


def _opened(path: str) -> BinaryIO:
    return Remote(path).open() if is_uri(path) else open_plain(path)
