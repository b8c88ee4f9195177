"""A clustering as it is written: whole and under a new name, then put in the place of the last."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from storage import swaps
from storage.cluster_rows import literal, session
from storage.clusters import find, forget, home, rows_file
from storage.entries import insert
from storage.ids import new_run_id

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import pyarrow as pa
    from numpy.typing import NDArray

    from storage.catalog import Catalog
    from storage.clusters import Clustering, Group
    from storage.model import Version


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
        with session(self._file) as con:
            rows = f"read_parquet({literal(self._file)})"
            if old is None or not old.is_file():
                return int(con.sql(f"SELECT count(*) FROM {rows}").fetchall()[0][0]), 0
            found = con.sql(
                "SELECT count(*) FILTER (o.record_id IS NULL), count(*) FILTER (o.content_hash <> "
                f"n.content_hash) FROM {rows} n LEFT JOIN read_parquet({literal(old)}) o "
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
            forget(con, self._version)
            insert(con, "clusterings", row)
            for group in described:
                told = {name: _listed(value) for name, value in asdict(group).items()}
                insert(con, "clustering_groups", key | told | {"assigned_at": now})
        stays = {self._clustering, before.clustering if before else ""}
        for path in self._file.parent.iterdir():
            if path.stem not in stays:
                path.unlink(missing_ok=True)


def _listed(value: object) -> object:
    return list(value) if isinstance(value, tuple) else value
