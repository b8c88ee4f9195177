"""From the content cells that a source gives to the batch that an encoder takes."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from encoders.media import MediaError, decode_audio, decode_image
from storage.ids import hash_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import polars as pl

    from encoders.base import Modality

_THREADS = 4


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


def decode(modality: Modality, content: pl.Series, hashes: Sequence[str] | None = None) -> Decoded:
    """Decode a column of content cells (see `flows.sources.base.Chunk`).

    A cell that cannot be decoded is left out of the batch and told by its reason. So is a file
    that is no more what its content hash says, where hashes are given: its vector would stand for
    another content, and for every equal one.
    """
    rows = list(range(len(content)))
    if modality == "tabular":
        return Decoded(content.struct.unnest(), rows)
    if modality == "text":
        return Decoded(content.to_list(), rows)
    reader: Callable[[bytes], object] = decode_image if modality == "image" else decode_audio
    with ThreadPoolExecutor(_THREADS) as pool:
        expected: Sequence[str | None] = hashes or [None] * len(content)
        results = list(pool.map(partial(_read, reader), content.to_list(), expected))
    failed = {i: r for i, r in enumerate(results) if isinstance(r, _Failure)}
    alive = [i for i in rows if i not in failed]
    return Decoded(
        [results[i] for i in alive],
        alive,
        {i: failure.reason for i, failure in failed.items() if not failure.passes},
        {i: failure.reason for i, failure in failed.items() if failure.passes},
    )


@dataclass(frozen=True)
class _Failure:
    reason: str
    passes: bool = False


def _read(reader: Callable[[bytes], object], path: str, expected: str | None) -> object:
    try:
        data = Path(path).read_bytes()
        if expected is not None and hash_bytes(data) != expected:
            return _Failure(
                "the file changed while the run was under way; run again to take it", passes=True
            )
        return reader(data)
    except MediaError as error:
        return _Failure(str(error))
    except OSError as error:
        return _Failure(f"the file cannot be read: {error.strerror or error}", passes=True)
