"""What goes of clusterings: files that no reader needs, whole clusterings, records out of one."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import numpy as np

from storage import disk, swaps
from storage.cluster_rows import literal, session
from storage.clusters import NOISE, find, forget, home, rows_file
from storage.database import fetch
from storage.model import StorageError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from pathlib import Path

    from storage.catalog import Catalog
    from storage.model import Version


def loose(catalog: Catalog, version: Version) -> list[Path]:
    """Files of clusterings that no reader needs: of a dropped version all, else all but one's."""
    folder = home(catalog) / version.table
    known = find(catalog, version)
    stays = "" if known is None or version.dropped_at is not None else known.clustering
    files = sorted(folder.iterdir()) if folder.is_dir() else []
    return [path for path in files if path.stem != stays]


def drop(catalog: Catalog, version: Version) -> None:
    """Forget how a version's records were grouped, and remove the files."""
    if find(catalog, version) is not None:
        with catalog.transaction() as con:
            forget(con, version)
    shutil.rmtree(home(catalog) / version.table, ignore_errors=True)


def count(catalog: Catalog, version: Version, ids: Collection[str]) -> int:
    """How many rows of a version's clusterings, the one before included, name these records.

    A file that cannot be read counts as one.
    """
    found = 0
    for file in sorted((home(catalog) / version.table).glob("*.parquet")):
        try:
            found += _count(file, version, ids)
        except StorageError:
            found += 1
    return found


def _count(file: Path, version: Version, ids: Collection[str]) -> int:
    with session(file, ids) as con:
        rows = con.sql(f"SELECT count(*) {_of_them(file, version, kept=False)}").fetchall()
    return int(rows[0][0])


def erase(catalog: Catalog, version: Version, ids: Collection[str]) -> int:
    """Take records out of a version's clustering; returns how many of its rows named them.

    What was said of its clusters may tell of them, so it is forgotten until records are assigned
    again. A centre that no other record has a part in goes as well. The rows go last: while they
    are there, a call that was broken off begins again. Where they cannot be read, nobody can tell
    whom they name, and all of the clustering goes; that counts as one.
    """
    known = find(catalog, version)
    for path in loose(catalog, version):
        path.unlink(missing_ok=True)
    if known is None:
        return 0
    file = rows_file(home(catalog), version.table, known.clustering)
    try:
        found = _count(file, version, ids)
    except disk.DiskError:
        raise  # the file is sound, for all that is known
    except StorageError:
        drop(catalog, version)
        return 1
    if not found:
        return 0
    fresh = file.with_suffix(".tmp")
    with session(file, ids) as con:
        left = _of_them(file, version, kept=True)
        con.execute(
            f"COPY (SELECT * {left}) TO {literal(fresh)} (FORMAT parquet, COMPRESSION zstd)"
        )
        sizes = dict(con.sql(f"SELECT cluster, count(*) {left} GROUP BY 1").fetchall())
    rows = sum(sizes.values())
    with catalog.transaction() as con:
        key = [version.feature, version.version]
        con.execute(
            "UPDATE clusterings SET rows = ?, noise = ? WHERE feature = ? AND version = ?",
            [rows, sizes.get(NOISE, 0), *key],
        )
        told = fetch(
            con, "SELECT cluster FROM clustering_groups WHERE feature = ? AND version = ?", *key
        )
        for cluster in [row["cluster"] for row in told]:
            size = sizes.get(cluster, 0)
            con.execute(
                "UPDATE clustering_groups SET size = ?, share = ?, words = [], kept_values = [], "
                "examples = [] WHERE feature = ? AND version = ? AND cluster = ?",
                [size, size / rows if rows else 0.0, *key, cluster],
            )
    _without_empty(file.with_suffix(".npz"), sizes)
    swaps.settle(fresh)
    fresh.replace(file)
    return found


def _without_empty(file: Path, sizes: Mapping[int, int]) -> None:
    """Put NaN in the place of centres that no record is left of: each is a record's own vector."""
    if not file.is_file():
        return
    with np.load(file, allow_pickle=False) as arrays:
        kept = dict(arrays)
    kept["centres"][[c for c in range(len(kept["centres"])) if not sizes.get(c)]] = np.nan
    with swaps.whole(file, ending=".npz") as fresh:
        np.savez(fresh, **kept)


def _of_them(file: Path, version: Version, *, kept: bool) -> str:
    """A statement that gives the rows of records in the table ``gone``, or with ``kept`` the rest.

    A row of a chunked version is a part of a record, and named by its id.
    """
    record = "regexp_replace(record_id, '#[0-9]+$', '')" if version.chunked else "record_id"
    return f"FROM read_parquet({literal(file)}) WHERE {record} {'NOT ' * kept}IN (FROM gone)"
