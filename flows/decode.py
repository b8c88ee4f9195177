"""From the content cells that a source gives to the batch that an encoder takes."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from encoders.media import MediaError, decode_audio, decode_image

if TYPE_CHECKING:
    from collections.abc import Callable

    import polars as pl

    from encoders.base import Modality

_THREADS = 4


@dataclass(frozen=True)
class Decoded:
    """A batch and the records that are in it.

    Attributes:
        batch: as `encoders.base.Encoder.encode` takes it.
        rows: the row numbers of the batch's records in the frame given, in order.
        dead: row number to reason, for the records that could not be decoded.
    """

    batch: Any
    rows: list[int]
    dead: dict[int, str]


def decode(modality: Modality, content: pl.Series) -> Decoded:
    """Decode a column of content cells (see `flows.sources.base.Chunk`).

    A cell that cannot be decoded is left out of the batch and told by its reason.
    """
    rows = list(range(len(content)))
    if modality == "tabular":
        return Decoded(content.struct.unnest(), rows, {})
    if modality == "text":
        return Decoded(content.to_list(), rows, {})
    reader: Callable[[bytes], object] = decode_image if modality == "image" else decode_audio
    with ThreadPoolExecutor(_THREADS) as pool:
        results = list(pool.map(partial(_read, reader), content.to_list()))
    dead = {i: r.reason for i, r in enumerate(results) if isinstance(r, _Failure)}
    alive = [i for i in rows if i not in dead]
    return Decoded([results[i] for i in alive], alive, dead)


@dataclass(frozen=True)
class _Failure:
    reason: str


def _read(reader: Callable[[bytes], object], path: str) -> object:
    try:
        return reader(Path(path).read_bytes())
    except MediaError as error:
        return _Failure(str(error))
    except OSError as error:
        return _Failure(f"the file cannot be read: {error.strerror or error}")
