"""Maps: where the records of a version lie in two dimensions, kept so that they stay there.

A map is one Parquet file of record ids, content hashes and places, ``maps/TABLE/METHOD.parquet``
beside the catalog. It holds nothing else that was learned from records. Its texts lie in it as they
are, not compressed, so that who searches the store's files for an id byte by byte finds it.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from storage import cleaning, swaps
from storage.model import StorageError
from storage.parts import parent_of

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

_META = b"vecmill"


@dataclass(frozen=True)
class KeptMap:
    """A map as it is kept.

    Attributes:
        ids: of rows, each once.
        hashes: of their contents when they were put in their places.
        places: ``(n, 2)`` float32.
        added: ``(n,)`` bool, which were placed among others rather than laid out with them.
        meta: what else there is to know of it, plain values; names no record.
    """

    ids: list[str]
    hashes: list[str]
    places: NDArray[np.float32]
    added: NDArray[np.bool_]
    meta: Mapping[str, Any]

    def __len__(self) -> int:
        return len(self.ids)

    def where(self, stays: NDArray[np.bool_]) -> KeptMap:
        """The map of some of its rows."""
        chosen = np.flatnonzero(stays)
        return KeptMap(
            [self.ids[i] for i in chosen],
            [self.hashes[i] for i in chosen],
            self.places[chosen],
            self.added[chosen],
            self.meta,
        )


class Maps:
    """The maps of all versions, a folder each.

    Who changes one holds a lock of the feature's maps; reading needs none.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def load(self, table: str, method: str) -> KeptMap | None:
        """The map of a version; None where none is kept.

        Raises:
            StorageError: if its file is damaged.
        """
        path = self._path(table, method)
        return _read(path) if path.is_file() else None

    def save(self, table: str, method: str, kept: KeptMap) -> None:
        """Keep a map in the place of the one before, whole or not at all."""
        self._sweep(table)
        path = self._path(table, method)
        path.parent.mkdir(parents=True, exist_ok=True)
        _write(path, kept)

    def count(self, table: str, ids: Collection[str], *, chunked: bool) -> int:
        """How many rows of a version's maps are such records, or parts of them.

        A file that cannot be read counts as one.
        """
        found = 0
        for path in self._files(table):
            try:
                found += int(_of(_read(path), ids, chunked=chunked).sum())
            except StorageError:
                found += 1
        return found

    def erase(self, table: str, ids: Collection[str], *, chunked: bool) -> int:
        """Take records out of a version's maps; the others stay where they are.

        A file that cannot be read is removed: nobody can tell what it holds.

        Returns:
            How many rows, or unreadable files, there were.
        """
        self._sweep(table)
        found = 0
        for path in self._files(table):
            try:
                kept = _read(path)
            except StorageError:
                path.unlink()
                found += 1
                continue
            gone = _of(kept, ids, chunked=chunked)
            if gone.any():
                _write(path, kept.where(~gone))
            found += int(gone.sum())
        return found

    def drop(self, table: str) -> None:
        """Remove all maps of a version; none is no fault."""
        shutil.rmtree(self._folder / table, ignore_errors=True)

    def tables(self) -> list[str]:
        """The tables of the versions that have maps."""
        return sorted(folder.name for folder in self._folder.glob("*/"))

    def leftovers(self, table: str) -> list[Path]:
        """Files of maps whose writing was broken off."""
        return sorted((self._folder / table).glob("*.tmp"))

    def size(self, table: str) -> int:
        """The bytes that a version's maps take."""
        return cleaning.size_of(self._folder / table)

    def _sweep(self, table: str) -> None:
        for path in self.leftovers(table):
            path.unlink(missing_ok=True)

    def _files(self, table: str) -> list[Path]:
        return sorted((self._folder / table).glob("*.parquet"))

    def _path(self, table: str, method: str) -> Path:
        return self._folder / table / f"{method}.parquet"


def _of(kept: KeptMap, ids: Collection[str], *, chunked: bool) -> NDArray[np.bool_]:
    wanted = set(ids)
    named = (parent_of(i) in wanted if chunked else i in wanted for i in kept.ids)
    return np.fromiter(named, bool, len(kept.ids))


def _write(path: Path, kept: KeptMap) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.table(
        {
            "record_id": pa.array(kept.ids, pa.string()),
            "content_hash": pa.array(kept.hashes, pa.string()),
            "x": pa.array(kept.places[:, 0], pa.float32()),
            "y": pa.array(kept.places[:, 1], pa.float32()),
            "added": pa.array(kept.added, pa.bool_()),
        }
    ).replace_schema_metadata({_META: json.dumps(dict(kept.meta))})
    with swaps.whole(path, durable=True) as fresh:
        pq.write_table(table, fresh, compression="none", use_dictionary=False)


def _read(path: Path) -> KeptMap:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(path, memory_map=False)
        meta = json.loads((table.schema.metadata or {})[_META])
        columns = {name: table.column(name) for name in ("record_id", "content_hash", "added")}
        places = np.column_stack([table.column(axis).to_numpy() for axis in ("x", "y")])
    except (OSError, KeyError, ValueError, pa.ArrowException) as error:
        raise StorageError(
            f"the map {path} is damaged: {error}; delete it, and the next `vecmill map` lays out "
            "afresh"
        ) from error
    return KeptMap(
        columns["record_id"].to_pylist(),
        columns["content_hash"].to_pylist(),
        places.astype(np.float32),
        columns["added"].to_numpy(),
        meta,
    )
