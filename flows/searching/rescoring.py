"""Search in two steps: candidates by small vectors, their order by the whole ones.

What a version over one feature is made of is still there, so that a few of its vectors, those of
the candidates alone, give exact distances (Yamada, Asai and Hajishirzi 2021, section 3.2).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from flows.config.stores import Stores
from flows.output.progress import listener
from flows.searching.narrowing import ANY, Narrow
from flows.searching.queries import SearchError, own_encoder
from flows.searching.search import Searched, check_k, live, no_record
from flows.searching.search_parts import asked_of, fused, vector_of
from flows.searching.whole import whole_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pyarrow as pa
    from numpy.typing import NDArray

    from flows.config.settings import Settings
    from flows.searching.whole import Whole
    from storage.model import Manifest, Version


def search(
    settings: Settings,
    name: str,
    queries: Mapping[str, str],
    k: int,
    factor: int,
    narrow: Narrow = ANY,
) -> pa.Table:
    """The k records nearest to a query by whole vectors, among some candidates by smaller ones.

    Whoever listens (`flows.output.progress.listener`) is told which vectors the distances are of.

    Args:
        settings: the configuration.
        name: a feature over one other.
        queries: as `flows.searching.search_parts.search` takes them, or an ``id`` alone.
        k: how many records.
        factor: how many candidates for each of them.
        narrow: which rows may be found, and how.

    Returns:
        As `flows.searching.search.search`; the distances are those of the vectors that the version
        was made of. Candidates that are not there any more are left out.

    Raises:
        SearchError: if the feature has no live version, there is no such record, or the query does
            not fit.
        UsageError: if the version is not over one feature, or that can be read no more.
    """
    check_k(k)
    if factor < 1:
        raise SearchError(f"--rescore must be at least 1, got {factor}")
    stores = Stores.of(settings)
    version, manifest = live(settings, stores, name)
    whole = whole_of(settings, stores, version)
    own = queries.get("id")
    if own is None:
        small, wanted = _query(settings, stores, version, whole, queries)
    else:
        small, wanted = _record(stores, version, manifest, whole, own)
    searched = Searched(settings, stores, version, manifest, narrow)
    found = searched.nearest([small], k * factor + (own is not None))
    ids = [one for one in found["record_id"].to_pylist() if one != own][: k * factor]
    there = whole.vectors(stores, ids)
    listener().note(f"distances are those of {whole.version.table}, by {whole.version.metric}")
    return _ordered(found, there, wanted, whole.version.metric, k)


def _query(
    settings: Settings, stores: Stores, version: Version, whole: Whole, queries: Mapping[str, str]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The vector of a query, and that which it was made of."""
    asked = asked_of(settings, stores, version, queries)
    wanted = vector_of(settings, stores, whole.version, queries)
    if wanted is None:
        raise SearchError(f"{whole.version.feature} takes no such query; search by --id")
    return fused(own_encoder(settings, version), version, asked), wanted


def _record(
    stores: Stores, version: Version, manifest: Manifest, whole: Whole, record_id: str
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The vector of a record, and that which it was made of."""
    small = stores.vectors.vector(version.table, manifest.lance_version, record_id)
    wanted = whole.vectors(stores, [record_id]).get(record_id)
    if small is None:
        raise no_record(version, record_id)
    if wanted is None:
        raise no_record(whole.version, record_id)
    return small, wanted


def _ordered(
    found: pa.Table,
    there: Mapping[str, NDArray[np.float32]],
    wanted: NDArray[np.float32],
    metric: str,
    k: int,
) -> pa.Table:
    """The k candidates that are nearest by their whole vectors."""
    import pyarrow as pa

    ids = found["record_id"].to_pylist()
    places = [place for place, one in enumerate(ids) if one in there]
    rows = np.array([there[ids[place]] for place in places]).reshape(len(places), len(wanted))
    far = distances(rows, wanted, metric)
    order = np.argsort(far, kind="stable")[:k]
    rest = [name for name in found.column_names if name not in {"record_id", "distance"}]
    best = found.take(pa.array(np.array(places, np.int64)[order]))
    column = pa.array(far[order].astype(np.float32))
    best = best.set_column(best.schema.get_field_index("distance"), "distance", column)
    return best.select(["record_id", "distance", *rest])


def distances(
    rows: NDArray[np.float32], query: NDArray[np.float32], metric: str
) -> NDArray[np.float64]:
    """The distances of vectors from a query, as `storage.vectors.Vectors.nearest` gives them.

    Args:
        rows: ``(n, dim)``.
        query: ``(dim,)``.
        metric: ``cosine``, ``l2`` or ``dot``.
    """
    wide, one = rows.astype(np.float64), query.astype(np.float64)
    if metric == "l2":
        squares: NDArray[np.float64] = ((wide - one) ** 2).sum(axis=1)
        return squares
    products: NDArray[np.float64] = wide @ one
    if metric == "dot":
        return 1 - products
    norms = np.linalg.norm(wide, axis=1) * np.linalg.norm(one)
    return 1 - products / np.where(norms > 0, norms, 1.0)
