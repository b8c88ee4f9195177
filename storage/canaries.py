"""Canaries: a few contents of a version, kept with the vectors that they were given first.

Encoded again later they tell whether the encoder still is what it was. One file a version,
``canaries/TABLE.arrow`` beside the catalog, holds them as a shard does, so that they can be encoded
without their source. Its texts lie in it as they are, not compressed, so that who searches the
store's files for an id byte by byte finds it.
"""

from __future__ import annotations

import json
from bisect import bisect_right
from dataclasses import dataclass
from typing import TYPE_CHECKING

from storage import swaps
from storage.assembly import StagedRows
from storage.blotting import LEAST_ID, size, written
from storage.frames import apart
from storage.model import StorageError
from storage.parts import parent_of
from storage.staging import SPOOL_COLUMNS

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence
    from pathlib import Path

    import polars as pl

_READ = 1024
MAX_BYTES = 16 * 2**20
"""What the contents of a version's canaries take at most."""


class Canaries:
    """The canaries of all versions, a file each.

    Who changes one holds the feature's lock; reading needs none.

    A file has the columns of a shard and ``vector`` (list of float32), ``run_id`` and
    ``encoded_at``: null until the run that chose the content has encoded it.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def load(self, table: str) -> pl.DataFrame | None:
        """The canaries of a version that have a vector; None where there are none.

        Raises:
            StorageError: if the file is damaged.
        """
        kept = self._read(table)
        if kept is None:
            return None
        known = kept.filter(kept["vector"].is_not_null())
        return known if len(known) else None

    def choice(self, table: str, wanted: int) -> Choice:
        """What chooses among the contents that a run is to encode, until there are so many.

        A file that cannot be read is removed: what is in it could not be compared with any more.
        """
        try:
            kept = self._read(table)
        except StorageError:
            self.drop(table)
            kept = None
        return Choice(self, table, wanted, kept)

    def fill(self, table: str, staged: Sequence[Path], run_id: str) -> None:
        """Give the chosen contents the vectors that are staged for them; the others go.

        Done again it changes nothing: vectors that are there stay.

        Args:
            table: the version's.
            staged: its staged files.
            run_id: the run that is about to publish them.
        """
        import polars as pl

        kept = self._read(table)
        if kept is None or not kept["vector"].null_count():
            return
        known, new = (
            kept.filter(pl.col("vector").is_not_null()),
            kept.filter(pl.col("vector").is_null()),
        )
        found = _vectors(staged, new["content_hash"].to_list())
        given = (
            new.drop("vector", "run_id", "encoded_at")
            .join(found, on="content_hash", how="inner", maintain_order="left")
            .with_columns(run_id=pl.lit(run_id))
            .select(kept.columns)
        )
        self.keep(table, pl.concat([known, given.cast(kept.schema)]))

    def forget(self, table: str, run_id: str) -> None:
        """Take out those that a run was the first to encode: it publishes none of them."""
        kept = self._read(table)
        if kept is not None:
            self.keep(table, kept.filter(kept["run_id"].ne_missing(run_id)))

    def keep(self, table: str, rows: pl.DataFrame) -> None:
        """Keep these rows in the place of what was there, whole or not at all."""
        import polars as pl

        if not len(rows):
            self.drop(table)
            return
        self._sweep(table)
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._path(table)
        with swaps.whole(path, durable=True) as fresh:
            rows.write_ipc(fresh, compat_level=pl.CompatLevel.oldest())

    def count(self, table: str, ids: Collection[str], *, chunked: bool) -> int:
        """How many canaries are such records, or parts of them; a damaged file counts as one."""
        try:
            kept = self._read(table)
        except StorageError:
            return 1
        return 0 if kept is None else sum(_of(kept, ids, (), chunked=chunked))

    def erase(
        self, table: str, ids: Collection[str], hashes: Collection[str], *, chunked: bool
    ) -> int:
        """Take records out, and whatever has the content of one; a damaged file goes as a whole.

        Returns:
            How many canaries, or damaged files, there were.
        """
        self._sweep(table)
        try:
            kept = self._read(table)
        except StorageError:
            self.drop(table)
            return 1
        if kept is None:
            return 0
        gone = _of(kept, ids, hashes, chunked=chunked)
        if any(gone):
            self.keep(table, kept.filter([not goes for goes in gone]))
        return sum(gone)

    def drop(self, table: str) -> None:
        """Remove the canaries of a version; none is no fault."""
        self._path(table).unlink(missing_ok=True)
        self._sweep(table)

    def files(self, table: str) -> list[Path]:
        """What lies there of a version: its canaries, and files whose writing was broken off."""
        return sorted(self._folder.glob(f"{table}.arrow*"))

    def tables(self) -> list[str]:
        """The tables of the versions that have such files."""
        return sorted({path.name.partition(".")[0] for path in self._folder.glob("*.arrow*")})

    def _path(self, table: str) -> Path:
        return self._folder / f"{table}.arrow"

    def _sweep(self, table: str) -> None:
        for path in self._folder.glob(f"{table}.arrow.*.tmp"):
            path.unlink(missing_ok=True)

    def _read(self, table: str) -> pl.DataFrame | None:
        import polars as pl

        path = self._path(table)
        try:
            kept = pl.read_ipc(path.read_bytes())
            return kept.select(*SPOOL_COLUMNS, "vector", "run_id", "encoded_at")
        except FileNotFoundError:
            return None
        except (OSError, pl.exceptions.PolarsError) as error:
            raise StorageError(
                f"the canaries {path} are damaged: {error}; delete the file, and the next run that "
                "encodes anything chooses others"
            ) from error


@dataclass
class Choice:
    """Chooses among contents by the lowest hashes: whatever their order, the same ones."""

    canaries: Canaries
    table: str
    wanted: int
    kept: pl.DataFrame | None
    _held: pl.DataFrame | None = None

    @property
    def _left(self) -> int:
        return self.wanted - (0 if self.kept is None else len(self.kept))

    def add(self, records: pl.DataFrame) -> None:
        """Look at contents that are about to be encoded, columns `SPOOL_COLUMNS` at least."""
        import polars as pl

        if self._left <= 0 or not len(records):
            return
        rows = records.select(SPOOL_COLUMNS)
        if self.kept is not None:
            rows = rows.filter(~pl.col("content_hash").is_in(self.kept["content_hash"].implode()))
        held = rows if self._held is None else pl.concat([self._held, rows])
        self._held = apart(held.sort("content_hash").head(self._left))

    def close(self) -> None:
        """Keep what was chosen, without vectors yet. Call it before anything of it is encoded."""
        import polars as pl

        if self._held is None or not len(self._held):
            return
        vector = pl.lit(None, pl.List(pl.Float32))
        at = pl.lit(None, pl.Datetime("us", "UTC"))
        new = self._held.with_columns(vector=vector, run_id=pl.lit(None, pl.String), encoded_at=at)
        if self.kept is None:
            self.canaries.keep(self.table, _bounded(new))
        elif self.kept.schema == new.schema:
            self.canaries.keep(self.table, _bounded(pl.concat([self.kept, new])))


def _bounded(rows: pl.DataFrame) -> pl.DataFrame:
    """The first rows whose contents take no more than `MAX_BYTES`."""
    contents = rows.select("content")

    def taken(n: int) -> int:
        # Written out, since in memory a row may point into what all of them share.
        size: int = contents.head(n).rechunk().write_ipc(None).getbuffer().nbytes
        return size

    if taken(len(rows)) <= MAX_BYTES:
        return rows
    return rows.head(bisect_right(range(1, len(rows)), MAX_BYTES, key=taken))


def _vectors(staged: Sequence[Path], hashes: Sequence[str]) -> pl.DataFrame:
    """What is staged for these contents: columns content_hash, vector, encoded_at."""
    import numpy as np
    import polars as pl
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = {"content_hash": pa.string(), "vector": pa.large_list(pa.float32())}
    columns |= {"encoded_at": pa.timestamp("us", tz="UTC")}
    schema = pa.schema(columns)
    parts, left = [schema.empty_table()], set(hashes)
    for file in staged:
        if not left:
            break
        # A hundred vectors among millions: those of a file are read only where it has one of them.
        here = pq.read_table(file, columns=["content_hash", "reason"], use_threads=False)
        alive = here["content_hash"].to_pylist(), here["reason"].to_pylist()
        met = {name: n for n, (name, why) in enumerate(zip(*alive, strict=True)) if why is None}
        met = {name: met[name] for name in left.intersection(met)}
        if met:
            places = np.array(sorted(met.values()))
            parts.append(StagedRows([file], schema, _READ).take(places).cast(schema))
            left -= met.keys()
    return pl.DataFrame(pa.concat_tables(parts))


def _of(
    kept: pl.DataFrame, ids: Iterable[str], hashes: Iterable[str], *, chunked: bool
) -> list[bool]:
    """Which canaries are of these records, have one of these contents, or seem to tell of them.

    A long id within another text is taken to be told of, though it may be a part of another id: a
    canary more that goes is no loss, and a file in which the id still stands would prove nothing.
    """
    named, contents = set(ids), set(hashes)
    long = [one for one in named if size(one) >= LEAST_ID]
    telling = [form for one in long for form in written(one)]
    rows = kept.drop("vector").iter_rows(named=True)
    return [
        row["content_hash"] in contents
        or (parent_of(row["record_id"]) if chunked else row["record_id"]) in named
        or any(one in told for one in telling)
        for row, told in ((row, _told(row)) for row in rows)
    ]


def _told(row: Mapping[str, object]) -> str:
    """All that a canary says, as one text."""
    return " ".join(
        value if isinstance(value, str) else json.dumps(value, default=str, ensure_ascii=False)
        for value in row.values()
    )
