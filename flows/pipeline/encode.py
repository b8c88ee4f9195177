"""One shard through an encoder: each record becomes a vector, or a dead letter with its reason."""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from encoders import machine
from encoders.media import DEFAULT, Limits
from flows.output.stopping import is_ending
from flows.pipeline.batches import Batches, EncodingError, HangError, StoppedError
from flows.pipeline.deadline import Worker
from flows.pipeline.decode import cell_reader, size
from flows.pipeline.lookahead import Lookahead, Room
from flows.pipeline.retries import passes
from storage.staging import read_shard, staged_hashes, staged_parts, staged_path, write_staged

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    import polars as pl
    from PIL.Image import Image

    from encoders.base import Encoder
    from encoders.media import Audio
    from encoders.metering import Usage
    from flows.output.progress import Reporter
    from flows.pipeline.decode import Failure, Pictured
    from storage.staging import Staged

__all__ = ["Bounds", "EncodingError", "HangError", "Receipt", "encode_records", "encode_shard"]

_TEXTS = 32
"""Texts are small, so the encoder gets up to so many of its batches at once."""

_AHEAD = 256 * 2**20
"""Bytes of images or recordings that lie decoded for the batches to come."""
_LEAST_DECODERS = 4


@dataclass(frozen=True)
class Bounds:
    """What a shard's encoding may take, and how often it is made safe.

    Attributes:
        name: of the encoder, for errors.
        timeout: seconds that a call of the encoder may take; 0 for any time.
        stage_every: seconds after which what is encoded is staged, so that a killed run of a
            single shard does not begin anew.
        limits: of images and recordings.
        thumbnails: pixels of the longer side of the small copies that are kept of images; 0 for
            none.
        decoders: threads that decode them while the encoder works; 0 for one a core, and no fewer
            than four, since they wait for files as well.
        threads: that torch computes with; 0 for its own choice.
    """

    name: str = "encoder"
    timeout: float = 0.0
    stage_every: float = 30.0
    limits: Limits = DEFAULT
    decoders: int = 0
    thumbnails: int = 0
    threads: int = 0


@dataclass(frozen=True)
class Receipt:
    """What became of a shard.

    Attributes:
        staged: the files that hold its vectors.
        seconds: time spent decoding and encoding.
        used: what all attempts at it used, for encoders that count.
    """

    staged: tuple[Path, ...]
    encoded: int
    dead: int
    seconds: float
    used: Usage | None = None


def encode_shard(
    encoder: Encoder, shard: Path, reporter: Reporter, bounds: Bounds | None = None
) -> Receipt:
    """Encode the records of a shard file and stage the result, in parts where it takes long.

    What an earlier attempt at the same shard has staged is not encoded again.

    Args:
        encoder: a fitted encoder.
        shard: a file of `storage.staging.Spool`.
        reporter: told of records as they are done.
        bounds: what it may take.

    Raises:
        EncodingError: if the encoder returns the wrong shape, or fails on all it is given.
        HangError: if it does not return, here or in another task of the run.
        StoppedError: if the run is being ended; what is encoded is staged.
    """
    started = time.perf_counter()
    bounds = bounds or Bounds()
    machine.set_threads(bounds.threads)
    records = read_shard(shard)
    left = _left(records, shard)
    reporter.advance(len(records) - len(left))
    if encoder.modality == "text":
        left = _by_length(left, encoder.batch_size)
    with Worker(bounds.timeout) as worker, _decoded(encoder, left, bounds) as cells:
        batches = Batches(encoder, bounds.name, worker, cells)
        try:
            _encode(batches, left, shard, reporter, bounds.stage_every)
        except BaseException as error:
            if isinstance(error, HangError):
                _hung(shard).write_text(str(error), encoding="utf-8")
            if _may_keep(error):
                with contextlib.suppress(OSError):  # the first error is what counts
                    _stage(batches, shard, alone=True)
            raise
    _stage(batches, shard)
    parts = staged_parts(shard)
    seconds = time.perf_counter() - started
    dead = sum(int(rows["reason"].is_not_null().sum()) for rows in staged_hashes(parts))
    return Receipt(tuple(parts), len(records) - dead, dead, seconds)


def encode_records(encoder: Encoder, records: pl.DataFrame, bounds: Bounds) -> Staged:
    """Encode a few records as those of a shard are, and write nothing.

    Args:
        encoder: a fitted encoder.
        records: columns `storage.staging.SPOOL_COLUMNS`.
        bounds: what it may take.

    Raises:
        EncodingError: as for `encode_shard`.
        HangError: if the encoder does not return.
    """
    with Worker(bounds.timeout) as worker, _decoded(encoder, records, bounds) as cells:
        batches = Batches(encoder, bounds.name, worker, cells)
        for start in range(0, len(records), encoder.batch_size):
            batches.encode(records[start : start + encoder.batch_size])
        return batches.take(datetime.now(UTC))


def _encode(
    batches: Batches, records: pl.DataFrame, shard: Path, reporter: Reporter, stage_every: float
) -> None:
    """Hand the records over, as many at once as can be staged in time."""
    least = batches.encoder.batch_size
    most = least * (_TEXTS if batches.encoder.modality == "text" else 1)
    step, start, staged = least, 0, time.perf_counter()
    while start < len(records):
        _refuse_hung(shard)
        if is_ending():  # in a thread, which no signal reaches
            raise StoppedError("the run is being stopped")
        begun = time.perf_counter()
        rows = records[start : start + step]
        batches.encode(rows)
        reporter.advance(len(rows))
        start += len(rows)
        now = time.perf_counter()
        if now - begun < stage_every / 8:
            step = min(step * 2, most)
        elif now - begun > stage_every / 2:
            step = max(step // 2, least)
        if now - staged >= stage_every and batches.encoded:
            _stage(batches, shard)
            staged = now


def _decoded(
    encoder: Encoder, records: pl.DataFrame, bounds: Bounds
) -> AbstractContextManager[Iterator[Image | Pictured | Audio | Failure] | None]:
    """The images or recordings of all records, decoded ahead; None where there are none."""
    if encoder.modality not in {"image", "audio"}:
        return contextlib.nullcontext()
    read = cell_reader(encoder.modality, bounds.limits, bounds.thumbnails)
    cells = zip(records["content"], records["content_hash"], strict=True)
    threads = bounds.decoders or max(_LEAST_DECODERS, machine.cores())
    # The next batch, and work for every thread while that is handed over.
    room = Room(threads, encoder.batch_size + threads, _AHEAD)
    return Lookahead((partial(read, *cell) for cell in cells), size, room)


def _left(records: pl.DataFrame, shard: Path) -> pl.DataFrame:
    """The records that no staged part of the shard has an answer for."""
    import polars as pl

    parts = [rows["content_hash"] for rows in staged_hashes(staged_parts(shard))]
    if not parts:
        return records
    return records.filter(~pl.col("content_hash").is_in(pl.concat(parts).implode()))


def _by_length(records: pl.DataFrame, first: int) -> pl.DataFrame:
    """The longest texts first: a batch then has little padding, however few it holds.

    Before them comes one batch of all lengths, so that an encoder that fails on long texts alone
    is not taken for one that fails on everything.
    """
    import polars as pl

    by_length = pl.col("content").str.len_bytes()
    rows = records.sort(by_length, descending=True, maintain_order=True).with_row_index("at")
    spread = np.linspace(0, len(rows) - 1, min(first, len(rows))).astype(np.uint32)
    is_first = pl.col("at").is_in(spread.tolist())
    return pl.concat([rows.filter(is_first), rows.filter(~is_first)]).drop("at")


def _stage(batches: Batches, shard: Path, *, alone: bool = False) -> None:
    """Write what is encoded; ``alone`` leaves out the dead, where the encoder may be the cause."""
    parts = len(staged_parts(shard))
    staged = batches.take(datetime.now(UTC), alone=alone)
    if staged.hashes or staged.dead or staged.passing or not (parts or alone):
        write_staged(staged_path(shard, parts + 1), staged)


def _may_keep(error: BaseException) -> bool:
    """Whether what was encoded before an error is good: the encoder, if it fell ill, only then."""
    good = isinstance(error, HangError | StoppedError)
    return good or not isinstance(error, Exception) or passes(error)


def _hung(shard: Path) -> Path:
    # One name for all shards: there may be very many, and to list them at each batch takes long.
    # `clear_leftovers` takes it away with the shards.
    return shard.with_name("shard-any.hung")


def _refuse_hung(shard: Path) -> None:
    """Not every task of a run is to wait until the same encoder is overdue."""
    mark = _hung(shard)
    if mark.exists():
        raise HangError(mark.read_text(encoding="utf-8"))
