"""Work on its way: contents that wait for the encoder, and vectors that wait to be committed.

A run first spools the contents to encode into *shards*. A task encodes one shard into one *staged*
file, or into several parts where that takes long. Each is written under a temporary name and
renamed when it is whole, so that a staged file is its own receipt: what it holds need not be
encoded again, whatever becomes of the run. Staged rows go by content hash, so the next run can use
them even if it cuts its shards otherwise.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

from storage import swaps
from storage.frames import apart
from storage.model import Cut
from storage.vectors import THUMBNAIL

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime
    from pathlib import Path

    import numpy as np
    import polars as pl
    from numpy.typing import NDArray

SPOOL_COLUMNS = ("record_id", "place", "content", "content_hash")
_UNREAD = "vecmill.unread"


@dataclass(frozen=True)
class Unread:
    """What an encoder did not read of the texts of staged files; add them up with ``+``.

    Attributes:
        texts: all of them.
        limit: tokens that it reads of a text at most; None where it does not say.
    """

    texts: int = 0
    cut: Cut = Cut()  # noqa: RUF009 - frozen, so that all may share it
    limit: int | None = None

    def __add__(self, other: Unread) -> Unread:
        one, two = self.cut, other.cut
        cut = Cut(
            one.cut_texts + two.cut_texts,
            one.cut_tokens + two.cut_tokens,
            one.text_tokens + two.text_tokens,
        )
        limit = other.limit if self.limit is None else self.limit
        return Unread(self.texts + other.texts, cut, limit)


@dataclass(frozen=True)
class Staged:
    """What one task made of one shard.

    Attributes:
        hashes: content hashes of the encoded records.
        vectors: ``(len(hashes), dim)`` float32.
        dead: content hash to reason, for the records that can never be encoded.
        passing: content hash to reason, for those that may be encoded the next time: their file
            was not there, or changed while it was read.
        unread: what the encoder did not read of the encoded records.
        thumbnails: small copies of images by content hash, for as many as have one.
    """

    hashes: list[str]
    vectors: NDArray[np.float32]
    dead: dict[str, str]
    encoded_at: datetime
    passing: dict[str, str] = field(default_factory=dict)
    unread: Unread = Unread()
    thumbnails: dict[str, bytes] = field(default_factory=dict)


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
        self._held.append(apart(records.select(SPOOL_COLUMNS)))
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
        # Whole or not there: `vecmill erase` reads what runs that ended early have left.
        with swaps.whole(path) as fresh:
            shard.write_parquet(fresh)
        self.shards.append(path)
        self._held, self._rows = ([rest] if len(rest) else []), len(rest)


def read_shard(path: Path) -> pl.DataFrame:
    """The records of a shard, columns `SPOOL_COLUMNS`."""
    import polars as pl

    return pl.read_parquet(path)


def staged_path(shard: Path, part: int = 1) -> Path:
    """Where the work on a shard is staged, or a later part of it."""
    name = shard.stem.replace("shard-", "staged-")
    return shard.with_name(
        f"{name}{shard.suffix}" if part == 1 else f"{name}-part{part:02d}{shard.suffix}"
    )


def staged_parts(shard: Path) -> list[Path]:
    """The staged files of a shard that are there, in the order in which they were written."""
    parts: list[Path] = []
    while (path := staged_path(shard, len(parts) + 1)).exists():
        parts.append(path)
    return parts


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
            THUMBNAIL: pa.array(
                [*map(staged.thumbnails.get, staged.hashes), *[None] * n_dead], pa.binary()
            ),
        }
    )
    table = table.replace_schema_metadata({_UNREAD: json.dumps(asdict(staged.unread))})
    with swaps.whole(path, durable=True) as fresh:
        # Floats from an encoder hardly compress; trying costs more than it saves.
        pq.write_table(table, fresh, compression="none", use_dictionary=False)


def staged_unread(files: Sequence[Path]) -> Unread:
    """What the encoder did not read of the texts that were encoded into staged files."""
    import polars as pl

    total = Unread()
    for file in files:
        found = pl.read_parquet_metadata(file).get(_UNREAD)
        if found is not None:  # one that an earlier release has staged does not say
            told = json.loads(found)
            total += Unread(told["texts"], Cut(**told["cut"]), told["limit"])
    return total


def forget_dead(files: Sequence[Path]) -> None:
    """Take the records that could not be encoded out of staged files; the vectors stay."""
    import polars as pl

    _forget(files, pl.col("reason").is_not_null())


def _forget(files: Sequence[Path], which: pl.Expr) -> None:
    import polars as pl

    for file in files:
        if pl.scan_parquet(file).select(which.any()).collect().item():
            alive = pl.read_parquet(file, memory_map=False).filter(~which)
            told = pl.read_parquet_metadata(file)
            with swaps.whole(file) as fresh:
                alive.write_parquet(fresh, metadata={k: told[k] for k in told if k == _UNREAD})


def clear_leftovers(folder: Path) -> None:
    """Remove what runs that ended early left behind, save what they have staged.

    Contents whose failure passes are to be tried anew, so they go from what is staged.

    Call it only while holding the feature's lock: what lies there is nobody's then.
    """
    import polars as pl

    for run in folder.glob("*/"):
        for file in [*run.glob("shard-*"), *run.glob("scratch.*"), *run.glob("*.tmp")]:
            if file.is_dir():
                shutil.rmtree(file, ignore_errors=True)
            else:
                file.unlink(missing_ok=True)
    _forget(staged_files(folder), ~pl.col("lasting").fill_null(value=True))


def drop_damaged(folder: Path) -> list[Path]:
    """Remove the staged files of a version that cannot be read, so that they are made anew.

    Call it only while holding the feature's lock.

    Returns:
        The files that were removed.
    """
    damaged = [file for file in staged_files(folder) if not _is_whole(file)]
    for file in damaged:
        file.unlink(missing_ok=True)
    return damaged


def _is_whole(file: Path) -> bool:
    import polars as pl

    try:
        pl.read_parquet(file, memory_map=False)
    except pl.exceptions.PolarsError:
        return False
    return True


def staged_files(folder: Path) -> list[Path]:
    """All whole staged files of a version, of whichever run."""
    return sorted(folder.glob("*/staged-*.parquet"))


def staged_hashes(files: Sequence[Path]) -> Iterator[pl.DataFrame]:
    """The content hashes that need no encoding, with the reason where they are dead."""
    import polars as pl

    for file in files:
        try:
            yield pl.read_parquet(file, columns=["content_hash", "reason", "lasting"])
        except (FileNotFoundError, pl.exceptions.ComputeError):
            # A run that ended just now took it away, or the next one will, since it is damaged; a
            # plan beside it may well miss it.
            continue
