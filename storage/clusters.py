"""The clusters of a version: how its records were grouped, what each group is, the model behind it.

A version has one clustering at most. What there is of it for each record lies in a Parquet file
beside the catalog, the model in an npz file; what is said of each cluster is in the catalog, which
names the files. They are written under a new name first, so that a reader sees a whole clustering
or the one before. That one's files stay until the next, for sessions that have begun. They
are read in `storage.cluster_rows`, written in `storage.cluster_drafts`, and removed in
`storage.cluster_removal`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from storage.model import StorageError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime
    from pathlib import Path

    import duckdb
    from numpy.typing import NDArray

    from storage.catalog import Catalog
    from storage.model import Version

NOISE = -1
"""The cluster of records that belong to none."""

VIEWS = ("clusters", "cluster_sizes")
"""Endings of the views that clusters are shown in."""


@dataclass(frozen=True)
class Clustering:
    """How the records of a version were grouped.

    Attributes:
        clustering: names its files.
        method: ``kmeans`` or ``hdbscan``.
        settings: what was asked for.
        figures: what was measured as the groups were found.
        run_id: of the state that was assigned last.
        rows: how many records are assigned, noise included.
        noise: how many of them belong to no cluster.
        made_at: when the clusters were found.
        assigned_at: when records were last assigned to them.
    """

    feature: str
    version: int
    method: str
    settings: Mapping[str, Any]
    figures: Mapping[str, Any]
    run_id: str
    rows: int = 0
    noise: int = 0
    clustering: str = ""
    made_at: datetime | None = None
    assigned_at: datetime | None = None


@dataclass(frozen=True)
class Group:
    """What is said of one cluster.

    Attributes:
        cluster: its number; -1 holds what belongs to none.
        size: records.
        share: of all that are assigned.
        words: that tell it from the others.
        kept_values: values of kept columns that it has more of than the others.
        examples: the records nearest its centre.
    """

    cluster: int
    size: int
    share: float
    words: Sequence[str] = ()
    kept_values: Sequence[str] = ()
    examples: Sequence[str] = ()


def home(catalog: Catalog) -> Path:
    """The folder of all clusterings; each version has one in it."""
    return catalog.path.parent / "clusters"


def rows_file(folder: Path, table: str, clustering: str) -> Path:
    """The file that says of each record to which cluster it belongs."""
    return folder / table / f"{clustering}.parquet"


def find(catalog: Catalog, version: Version) -> Clustering | None:
    """The clustering of a version, None where there is none."""
    rows = catalog.query(
        "SELECT * FROM clusterings WHERE feature = ? AND version = ?",
        version.feature,
        version.version,
    ).to_pylist()
    if not rows:
        return None
    read = {name: json.loads(rows[0][name]) for name in ("settings", "figures")}
    return Clustering(**rows[0] | read)


def groups(catalog: Catalog, version: Version) -> list[Group]:
    """What is said of each cluster of a version, by number."""
    rows = catalog.query(
        "SELECT cluster, size, share, words, kept_values, examples FROM clustering_groups "
        "WHERE feature = ? AND version = ? ORDER BY cluster",
        version.feature,
        version.version,
    ).to_pylist()
    return [Group(**row) for row in rows]


def model(catalog: Catalog, version: Version, clustering: str) -> dict[str, NDArray[Any]]:
    """The arrays that records are assigned by.

    Raises:
        StorageError: if their file is away or damaged.
    """
    file = rows_file(home(catalog), version.table, clustering).with_suffix(".npz")
    try:
        with np.load(file, allow_pickle=False) as arrays:
            return dict(arrays)
    except (OSError, ValueError) as error:
        raise StorageError(
            f"the clusters of {version.table} cannot be read from {file}: {error}; restore the "
            f"folder from a backup, or begin anew with `vecmill cluster {version.feature} --anew`"
        ) from error


def forget(con: duckdb.DuckDBPyConnection, version: Version) -> None:
    """Take out what the catalog says of a version's clustering, within a transaction."""
    for table in ("clusterings", "clustering_groups"):
        con.execute(
            f"DELETE FROM {table} WHERE feature = ? AND version = ?",
            [version.feature, version.version],
        )
