"""From the content cells that a source gives to the batch that an encoder takes."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar, cast

from encoders.excerpts import Excerpts
from encoders.media import (
    DEFAULT,
    Audio,
    LimitError,
    Limits,
    MediaError,
    decode_audio,
    decode_image,
    too_many_bytes,
)
from encoders.thumbnail import thumbnail
from flows.pipeline.kept import Kept
from flows.pipeline.plain import TOO_LARGE, open_plain
from flows.pipeline.windows import content_hash, parsed
from flows.sources._remote import is_uri, read
from storage.ids import hash_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import polars as pl
    from PIL.Image import Image

    from encoders.base import Modality

T = TypeVar("T")

_ROWS = {"tabular", "vector", "graph", "interactions"}
"""Modalities whose cells are structs, a batch a frame of their fields."""
_THREADS = 4
_FILES = 2
"""Recordings that are kept open for their next windows: the one under way, and the next."""


@dataclass(frozen=True)
class Decoded:
    """A batch and the records that are in it.

    Attributes:
        batch: as `encoders.base.Encoder.encode` takes it.
        rows: the row numbers of the batch's records in the frame given, in order.
        dead: row number to reason, for the records that cannot be decoded.
        passing: row number to reason, for those that may be there the next time.
    """

    batch: Any
    rows: list[int]
    dead: dict[int, str] = field(default_factory=dict)
    passing: dict[int, str] = field(default_factory=dict)


def decode(
    modality: Modality,
    content: pl.Series,
    hashes: Sequence[str] | None = None,
    limits: Limits = DEFAULT,
) -> Decoded:
    """Decode a column of content cells (see `flows.sources.base.Chunk`).

    A cell that cannot be decoded is left out of the batch and told by its reason. So is a file
    that is no more what its content hash says, where hashes are given: its vector would stand for
    another content, and for every equal one. What is beyond the limits, or beyond the memory of
    this machine, passes: other limits or another machine let it in.
    """
    rows = list(range(len(content)))
    if modality in _ROWS:
        return Decoded(content.struct.unnest(), rows)
    if modality == "text":
        return Decoded(content.to_list(), rows)
    with ThreadPoolExecutor(_THREADS) as pool:
        expected: Sequence[str | None] = hashes or [None] * len(content)
        cells = content.to_list()
        # By their names, since windows of one file are told quicker one after another.
        order = sorted(rows, key=cells.__getitem__)
        given = ([cells[row] for row in order], [expected[row] for row in order])
        found = pool.map(cell_reader(modality, limits), *given)
        results = dict(zip(order, found, strict=True))
    failed = {i: r for i, r in sorted(results.items()) if isinstance(r, Failure)}
    alive = [i for i in rows if i not in failed]
    return Decoded(
        [results[i] for i in alive],
        alive,
        {i: failure.reason for i, failure in failed.items() if not failure.passes},
        {i: failure.reason for i, failure in failed.items() if failure.passes},
    )


@dataclass(frozen=True)
class Failure:
    """Why a cell is not decoded, and whether it may be the next time."""

    reason: str
    passes: bool = False


_CHANGED = Failure(
    "the file changed while the run was under way; run again to take it", passes=True
)


@dataclass(frozen=True)
class Pictured:
    """An image, and the small copy of it that is kept beside its vector."""

    image: Image
    thumbnail: bytes


def cell_reader(
    modality: Modality, limits: Limits = DEFAULT, thumbnails: int = 0
) -> Callable[[str, str | None], Image | Pictured | Audio | Failure]:
    """What decodes one cell of images or recordings, by its path and the hash it is to have.

    As `decode` does all of them; any number of threads may call it. Asked for the windows of a
    recording one after another, it reads and opens the file once.
    """
    if modality == "audio":
        return partial(_heard, Kept(partial(_file, limits), _FILES), limits)
    reader: object = partial(_pictured, thumbnails) if thumbnails else decode_image
    return partial(_read, cast("Callable[[bytes, Limits], Image | Audio]", reader), limits)


def _pictured(side: int, data: bytes, limits: Limits) -> Pictured:
    image = decode_image(data, limits)
    return Pictured(image, thumbnail(image, side))


def size(decoded: Image | Pictured | Audio | Failure) -> int:
    """Bytes of what `cell_reader` gave."""
    if isinstance(decoded, Failure):
        return 0
    if isinstance(decoded, Pictured):
        decoded = decoded.image
    if isinstance(decoded, Audio):
        return decoded.samples.nbytes
    return decoded.width * decoded.height * 3


def _read(
    reader: Callable[[bytes, Limits], Image | Audio],
    limits: Limits,
    path: str,
    expected: str | None,
) -> Image | Audio | Failure:
    def whole() -> Image | Audio | Failure:
        data = _bytes_of(path, limits)
        if expected is not None and hash_bytes(data) != expected:
            return _CHANGED
        return reader(data, limits)

    return _attempted(whole)


@dataclass(frozen=True)
class _File:
    """A recording that windows are cut from, and the hash of its bytes."""

    content_hash: str
    excerpts: Excerpts | Failure


def _file(limits: Limits, path: str) -> _File | Failure:
    def opened() -> _File:
        data = _bytes_of(path, limits)
        return _File(hash_bytes(data), _attempted(lambda: Excerpts(data, limits)))

    return _attempted(opened)


def _heard(
    files: Kept[_File | Failure], limits: Limits, content: str, expected: str | None
) -> Audio | Failure:
    """A recording, or a window of one."""
    path, span = parsed(content)
    if span is None:
        return cast("Audio | Failure", _read(decode_audio, limits, path, expected))
    file = files.get(path)
    if isinstance(file, Failure):
        return file
    # Asked first: what is wrong with another content says nothing of this one.
    if expected is not None and content_hash(file.content_hash, span) != expected:
        return _CHANGED
    excerpts = file.excerpts
    if isinstance(excerpts, Failure):
        return excerpts
    return _attempted(lambda: excerpts.part(span))


def _attempted(make: Callable[[], T]) -> T | Failure:
    """What is made of a file, or why that cannot be."""
    try:
        return make()
    except MediaError as error:
        return Failure(str(error), passes=isinstance(error, LimitError))
    except MemoryError:
        return Failure(TOO_LARGE, passes=True)
    except OSError as error:
        return Failure(f"the file cannot be read: {error.strerror or error}", passes=True)


def _bytes_of(path: str, limits: Limits) -> bytes:
    """A file's bytes, never more of them than are allowed, whatever it says of its size."""
    if is_uri(path):
        data = read(path, limits.max_bytes + 1)
    else:
        with open_plain(path) as file:
            data = file.read(limits.max_bytes + 1)
    if len(data) > limits.max_bytes:
        raise too_many_bytes("file", limits)
    return data
