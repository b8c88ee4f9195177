"""Work on its way: contents that wait for the encoder, and vectors that wait to be committed.

A run first spools the contents to encode into *shards*. A task encodes one shard into one *staged*
file, written under a temporary name and renamed when it is whole, so that a staged file is its own
receipt: what it holds need not be encoded again, whatever becomes of the run. Staged rows go by
content hash, so the next run can use them even if it cuts its shards otherwise.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime
    from pathlib import Path

    import numpy as np
    import polars as pl
    from numpy.typing import NDArray

SPOOL_COLUMNS = ("record_id", "place", "content", "content_hash")


@dataclass(frozen=True)
class Staged:
    """What one task made of one shard.

    Attributes:
        hashes: content hashes of the encoded records.
        vectors: ``(len(hashes), dim)`` float32.
        dead: content hash to reason, for the records that can never be encoded.
        passing: content hash to reason, for those that may be encoded the next time: their file
            was not there, or changed while it was read.
    """

    hashes: list[str]
    vectors: NDArray[np.float32]
    dead: dict[str, str]
    encoded_at: datetime
    passing: dict[str, str] = field(default_factory=dict)


class Spool:
    """Cuts the contents to encode into shard files of at most ``shard_size`` records."""

    def __init__(self, folder: Path, shard_size: int) -> None:
        self._folder = folder
        self._shard_size = shard_size
        self._held: list[pl.DataFrame] = []
        self._rows = 0
        self.shards: list[Path] = []

    def add(self, records: pl.DataFrame) -> None:
        """Take over records (columns `SPOOL_COLUMNS`), in order."""
        self._held.append(records.select(SPOOL_COLUMNS))
        self._rows += len(records)
        while self._rows >= self._shard_size:
            self._cut()

    def close(self) -> list[Path]:
        """Write what is left.

        Returns:
            All shard files, in order.
        """
        if self._rows:
            self._cut()
        return self.shards

    def _cut(self) -> None:
        import polars as pl

        rows = pl.concat(self._held)
        shard, rest = rows[: self._shard_size], rows[self._shard_size :]
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._folder / f"shard-{len(self.shards):06d}.parquet"
        shard.write_parquet(path)
        self.shards.append(path)
        self._held, self._rows = ([rest] if len(rest) else []), len(rest)


def read_shard(path: Path) -> pl.DataFrame:
    """The records of a shard, columns `SPOOL_COLUMNS`."""
    import polars as pl

    return pl.read_parquet(path)


def staged_path(shard: Path) -> Path:
    """Where the work on a shard is staged."""
    return shard.with_name(shard.name.replace("shard-", "staged-"))


def write_staged(path: Path, staged: Staged) -> None:
    """Write a staged file, whole or not at all, and durable before it can be seen."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    n, dim = staged.vectors.shape
    failed = staged.dead | staged.passing
    n_dead = len(failed)
    flat = pa.array(staged.vectors.reshape(-1))
    vectors = pa.LargeListArray.from_arrays(pa.array(np.arange(n + 1) * dim), flat)
    table = pa.table(
        {
            "content_hash": pa.array([*staged.hashes, *failed], pa.string()),
            "vector": pa.concat_arrays([vectors, pa.nulls(n_dead, vectors.type)]),
            "reason": pa.array([None] * n + list(failed.values()), pa.string()),
            "lasting": pa.array([None] * n + [h in staged.dead for h in failed], pa.bool_()),
            "encoded_at": pa.array(
                [staged.encoded_at] * (n + n_dead), pa.timestamp("us", tz="UTC")
            ),
        }
    )
    unfinished = path.with_suffix(f".{os.getpid()}.tmp")
    # Floats from an encoder hardly compress; trying costs more than it saves.
    pq.write_table(table, unfinished, compression="none", use_dictionary=False)
    with unfinished.open("rb") as file:
        os.fsync(file.fileno())
    unfinished.replace(path)


def forget_dead(files: Sequence[Path]) -> None:
    """Take the records that could not be encoded out of staged files; the vectors stay."""
    import polars as pl

    for file in files:
        rows = pl.read_parquet(file, memory_map=False)
        alive = rows.filter(rows["reason"].is_null())
        if len(alive) < len(rows):
            unfinished = file.with_suffix(f".{os.getpid()}.tmp")
            alive.write_parquet(unfinished)
            unfinished.replace(file)


def clear_leftovers(folder: Path) -> None:
    """Remove what runs that ended early left behind, save what they have staged.

    Call it only while holding the feature's lock: what lies there is nobody's then.
    """
    for run in folder.glob("*/"):
        for file in [*run.glob("shard-*"), *run.glob("scratch.*"), *run.glob("*.tmp")]:
            if file.is_dir():
                shutil.rmtree(file, ignore_errors=True)
            else:
                file.unlink(missing_ok=True)


def staged_files(folder: Path) -> list[Path]:
    """All whole staged files of a version, of whichever run."""
    return sorted(folder.glob("*/staged-*.parquet"))


def staged_hashes(files: Sequence[Path]) -> Iterator[pl.DataFrame]:
    """The content hashes that need no encoding, with the reason where they are dead."""
    import polars as pl

    for file in files:
        try:
            yield pl.read_parquet(file, columns=["content_hash", "reason", "lasting"])
        except FileNotFoundError:
            # A run that ended just now took it away; a plan beside it may well miss it.
            continue
