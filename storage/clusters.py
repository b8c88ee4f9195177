"""The clusters of a version: which record belongs to which, what each is, and the model behind it.

A version has one clustering at most. What there is of it for each record lies in a Parquet file
beside the catalog, the model in an npz file; what is said of each cluster is in the catalog, which
names the files. They are written under a new name first, so that a reader sees a whole clustering
or the one before. That one's files stay until the next, for sessions that have begun.
"""

from __future__ import annotations

import json
import shutil
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from storage import disk, swaps
from storage.database import fetch
from storage.entries import insert
from storage.ids import new_run_id
from storage.model import StorageError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence
    from pathlib import Path

    import duckdb
    import pyarrow as pa
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


def shown(file: Path, rows: str) -> str:
    """A statement that gives record_id, cluster and distance.

    Args:
        file: of `rows_file`.
        rows: a statement that gives the version's rows: a record that is gone since or has another
            content is not shown.
    """
    return (
        f"SELECT c.record_id, c.cluster, c.distance FROM read_parquet({_literal(file)}) c SEMI "
        f"JOIN ({rows}) r ON r.record_id = c.record_id AND r.content_hash = c.content_hash"
    )


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


def drawn(catalog: Catalog, version: Version, clustering: str) -> dict[str, tuple[str, int]]:
    """The records that the clusters were found among: content hash and cluster by id."""
    file = rows_file(home(catalog), version.table, clustering)
    sql = f"SELECT record_id, content_hash, cluster FROM read_parquet({_literal(file)}) WHERE drawn"
    with _session(file) as con:
        return {row[0]: (row[1], row[2]) for row in con.sql(sql).fetchall()}


class Draft:
    """A clustering that is being written; nobody sees it before `publish`.

    Args:
        catalog: the catalog.
        version: whose records are grouped. The caller holds the feature's lock.
    """

    def __init__(self, catalog: Catalog, version: Version) -> None:
        self._catalog = catalog
        self._version = version
        self._clustering = new_run_id()
        self._file = rows_file(home(catalog), version.table, self._clustering)
        self._file.parent.mkdir(parents=True, exist_ok=True)

    def write(self, blocks: Iterator[pa.Table], arrays: Mapping[str, NDArray[Any]]) -> None:
        """Write the rows (record_id, content_hash, cluster, distance, drawn) and the model."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        schema = pa.schema(
            [("record_id", pa.string()), ("content_hash", pa.string()), ("cluster", pa.int32()),
             ("distance", pa.float32()), ("drawn", pa.bool_())]
        )  # fmt: skip
        with pq.ParquetWriter(self._file, schema, compression="zstd") as writer:
            for block in blocks:
                writer.write_table(block.cast(schema))
        swaps.settle(self._file)
        np.savez(self._file.with_suffix(".npz"), **dict(arrays))  # type: ignore[arg-type]
        swaps.settle(self._file.with_suffix(".npz"))

    def changes(self, before: str | None) -> tuple[int, int]:
        """How many records are new since an earlier clustering of this version, and changed."""
        old = None if before is None else self._file.with_stem(before)
        with _session(self._file) as con:
            rows = f"read_parquet({_literal(self._file)})"
            if old is None or not old.is_file():
                return int(con.sql(f"SELECT count(*) FROM {rows}").fetchall()[0][0]), 0
            found = con.sql(
                "SELECT count(*) FILTER (o.record_id IS NULL), count(*) FILTER (o.content_hash <> "
                f"n.content_hash) FROM {rows} n LEFT JOIN read_parquet({_literal(old)}) o "
                "USING (record_id)"
            ).fetchall()[0]
        return int(found[0]), int(found[1])

    def publish(self, clustering: Clustering, described: Sequence[Group]) -> None:
        """Put it in the place of the version's clustering, and remove the one before that."""
        now = datetime.now(UTC)
        before = find(self._catalog, self._version)
        key = {"feature": self._version.feature, "version": self._version.version}
        row = asdict(clustering) | {"clustering": self._clustering, "assigned_at": now}
        row |= {"made_at": clustering.made_at or now}
        row |= {name: json.dumps(dict(row[name])) for name in ("settings", "figures")}
        with self._catalog.transaction() as con:
            _forget(con, self._version)
            insert(con, "clusterings", row)
            for group in described:
                told = {name: _listed(value) for name, value in asdict(group).items()}
                insert(con, "clustering_groups", key | told | {"assigned_at": now})
        stays = {self._clustering, before.clustering if before else ""}
        for path in self._file.parent.iterdir():
            if path.stem not in stays:
                path.unlink(missing_ok=True)


def unassigned(
    catalog: Catalog, version: Version, clustering: Clustering, con: duckdb.DuckDBPyConnection
) -> int:
    """How many rows of a version belong to no cluster yet, noise not counted.

    Args:
        catalog: the catalog.
        version: the version.
        clustering: its clustering.
        con: a session (`storage.query.connect`) that shows the version.
    """
    from storage.views import current

    rows = current(version.table) if version.history else f"FROM {version.table}"
    file = rows_file(home(catalog), version.table, clustering.clustering)
    if (why := why_away(file)) is not None:
        raise StorageError(why)
    found = con.sql(
        f"SELECT count(*) FROM ({rows}) r ANTI JOIN read_parquet({_literal(file)}) c "
        "ON r.record_id = c.record_id AND r.content_hash = c.content_hash"
    ).fetchall()
    return int(found[0][0])


def why_away(file: Path) -> str | None:
    """Why the file of a clustering's rows cannot be read, None where it can."""
    try:
        with _session(file) as con:
            con.sql(f"SELECT count(*) FROM read_parquet({_literal(file)})").fetchall()
    except StorageError as error:
        return str(error)
    return None


# --- what goes ------------------------------------------------------------------------------------


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
            _forget(con, version)
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
    with _session(file, ids) as con:
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
    with _session(file, ids) as con:
        left = _of_them(file, version, kept=True)
        con.execute(
            f"COPY (SELECT * {left}) TO {_literal(fresh)} (FORMAT parquet, COMPRESSION zstd)"
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


def _forget(con: duckdb.DuckDBPyConnection, version: Version) -> None:
    for table in ("clusterings", "clustering_groups"):
        con.execute(
            f"DELETE FROM {table} WHERE feature = ? AND version = ?",
            [version.feature, version.version],
        )


def _of_them(file: Path, version: Version, *, kept: bool) -> str:
    """A statement that gives the rows of records in the table ``gone``, or with ``kept`` the rest.

    A row of a chunked version is a part of a record, and named by its id.
    """
    record = "regexp_replace(record_id, '#[0-9]+$', '')" if version.chunked else "record_id"
    return f"FROM read_parquet({_literal(file)}) WHERE {record} {'NOT ' * kept}IN (FROM gone)"


@contextmanager
def _session(file: Path, ids: Collection[str] = ()) -> Iterator[duckdb.DuckDBPyConnection]:
    """A DuckDB of its own to read such a file in, with a table ``gone`` of ids.

    Raises:
        StorageError: if the file is damaged or away.
    """
    import duckdb
    import pyarrow as pa

    with duckdb.connect() as con:
        con.register("gone", pa.table({"record_id": pa.array(sorted(ids), pa.string())}))
        try:
            yield con
        except (duckdb.OutOfMemoryException, duckdb.InterruptException):
            raise  # which say nothing of the file
        except duckdb.Error as error:
            raise disk.told(error) or StorageError(
                f"{file}, which says which record belongs to which cluster, cannot be read: "
                f"{str(error).splitlines()[0]}; restore it from a backup, or begin anew with "
                "`vecmill cluster FEATURE --anew`"
            ) from error


def _listed(value: object) -> object:
    return list(value) if isinstance(value, tuple) else value


def _literal(file: Path) -> str:
    return "'" + str(file).replace("'", "''") + "'"
