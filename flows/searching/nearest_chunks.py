"""The nearest rows of a version whose rows are chunks of records."""

from __future__ import annotations

from typing import TYPE_CHECKING

from storage.conditions import both, other_than
from storage.parts import PARTS, parent_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    import polars as pl
    import pyarrow as pa
    from numpy.typing import NDArray

    from flows.config.stores import Stores
    from storage.model import Manifest, Version
    from storage.vectors import Effort

    Vector = NDArray[np.float32]


def of_record(
    stores: Stores, version: Version, manifest: Manifest, named: str
) -> tuple[list[Vector], str] | None:
    """What to search by for a record or a chunk: vectors, and the record to leave out.

    Where an id is both that of a record and that of another's chunk, it means the record.
    """
    state = (version.table, manifest.lance_version)
    if found := stores.vectors.of(*state, PARTS.parent, named):
        return found, named
    chunk = stores.vectors.of(*state, "record_id", named)
    return (chunk, parent_of(named)) if chunk else None


def nearest(  # noqa: PLR0913 - one keyword a choice
    stores: Stores,
    version: Version,
    manifest: Manifest,
    queries: Sequence[Vector],
    k: int,
    *,
    but: str | None = None,
    per_record: bool = False,
    where: str | None = None,
    effort: Effort | None = None,
) -> pa.Table:
    """The k rows nearest to any of some vectors, nearest first.

    Args:
        stores: the stores.
        version: the version.
        manifest: its published state.
        queries: ``(dim,)`` each; a row is as far as the nearest of them.
        k: how many rows.
        but: the record whose chunks are left out.
        per_record: of each record the nearest chunk alone.
        where: a condition on rows, as Lance takes it.
        effort: as `storage.vectors.Vectors.nearest` has it.

    Returns:
        As `storage.vectors.Vectors.nearest`.
    """
    import polars as pl

    state, asked = (version.table, manifest.lance_version), k
    where = both(where, None if but is None else other_than(PARTS.parent, but))
    key = PARTS.parent if per_record else "record_id"
    while True:
        found = [
            stores.vectors.nearest(*state, q, asked, version.metric, where=where, effort=effort)
            for q in queries
        ]
        rows = pl.concat([pl.DataFrame(table) for table in found])
        best = rows.sort("distance", "record_id").unique(key, keep="first", maintain_order=True)
        # A query that has more rows to give may hide nearer ones than the farthest it gave.
        bounds = [table["distance"][-1].as_py() for table in found if len(table) == asked]
        if not bounds or (len(best) >= k and best["distance"][k - 1] <= min(bounds)):
            return _like(best[:k], found[0])
        asked *= 4


def _like(rows: pl.DataFrame, table: pa.Table) -> pa.Table:
    return rows.to_arrow().cast(table.schema)
