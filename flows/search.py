"""Nearest records to a query, which is encoded with the version's own encoder and no other."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flows import nearest_chunks, spaces
from flows.queries import SearchError, encode_parts, note_gap
from flows.stores import Stores

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

    from flows.settings import Settings
    from storage.model import Manifest, Version


def search(
    settings: Settings,
    name: str,
    modality: str,
    query: str,
    k: int,
    *,
    per_record: bool = False,
    of: str | None = None,
) -> pa.Table:
    """The k records nearest to a query, nearest first.

    Where the query is of another modality than the records, whoever listens
    (`flows.progress.listener`) is told what its distances mean.

    Args:
        settings: the configuration.
        name: the feature.
        modality: what the query is: ``text``, ``image`` or ``audio`` (the path of a file),
            ``row`` (a JSON object), or ``id`` (a record of the feature, which is left out of the
            answer). Where rows are chunks, a record is as near as the nearest of its chunks is to
            the nearest of theirs; the id of a chunk searches by that chunk alone, and leaves out
            all of its record. Where rows are windows of recordings, one that is longer than a
            window is cut as they are, and a row is as near as it is to the nearest of its windows.
        query: the query.
        k: how many records, or chunks.
        per_record: where rows are chunks, of each record the nearest one alone.
        of: the feature that an ``id`` is a record of, where that is another one; the two must
            share a space (`flows.spaces`).

    Returns:
        record_id, distance, then the other columns of the feature's view but its vector. Of a
        feature that keeps a history only what its records are now is found.

    Raises:
        SearchError: if the feature has no live version, or the query does not fit it, or its
            feature shares no space with this one.
    """
    check_k(k)
    if of is not None and modality != "id":
        raise SearchError(
            f"a feature that the query is of goes with an id, got a query by {modality}"
        )
    stores = Stores.of(settings)
    version, manifest = live(settings, stores, name)
    if modality == "id" and of not in {None, name}:
        found = _like_other(settings, stores, (version, manifest), str(of), query, k, per_record)
    elif modality == "id":
        found = _like(stores, version, manifest, query, k, per_record=per_record)
    elif version.modality == "vector":
        from flows.search_parts import nearest_by_parts

        found = nearest_by_parts(settings, version, manifest, {modality: query}, k)
    else:
        vectors = encode_parts(settings, version, modality, query)
        found = _nearest(stores, version, manifest, vectors, k, per_record=per_record)
    rest = [c for c in found.column_names if c not in {"record_id", "distance"}]
    return found.select(["record_id", "distance", *rest])


def check_k(k: int) -> None:
    """Refuse to find fewer than one.

    Raises:
        SearchError: says what was asked.
    """
    if k < 1:
        raise SearchError(f"-k must be at least 1, got {k}")


def _like(
    stores: Stores,
    version: Version,
    manifest: Manifest,
    record_id: str,
    k: int,
    *,
    per_record: bool,
) -> pa.Table:
    if version.chunked:
        asked = nearest_chunks.of_record(stores, version, manifest, record_id)
        if asked is not None:
            queries, own = asked
            return nearest_chunks.nearest(
                stores, version, manifest, queries, k, but=own, per_record=per_record
            )
    vector = stores.vectors.vector(version.table, manifest.lance_version, record_id)
    if vector is None:
        raise no_record(version, record_id)
    found = _nearest(stores, version, manifest, [vector], k + 1)
    others = [i for i, other in enumerate(found["record_id"].to_pylist()) if other != record_id]
    return found.take(others[:k])


def live(settings: Settings, stores: Stores, name: str) -> tuple[Version, Manifest]:
    """A feature's live version and its published state.

    Raises:
        SearchError: if it has none.
    """
    settings.feature(name)
    version = stores.catalog.live(name)
    manifest = stores.catalog.published(version) if version else None
    if version is None or manifest is None:
        raise SearchError(f"{name} has no live version yet; run `vecmill run {name}` first")
    return version, manifest


def _like_other(
    settings: Settings,
    stores: Stores,
    searched: tuple[Version, Manifest],
    of: str,
    record_id: str,
    k: int,
    per_record: bool,  # noqa: FBT001 - as `search` has it
) -> pa.Table:
    """The records nearest to one of another feature that shares the space."""
    version, manifest = searched
    asked, state = live(settings, stores, of)
    apart = spaces.why_apart(settings, version, asked)
    if apart:
        raise SearchError(f"{version.feature} cannot be searched by a record of {of}: {apart}")
    vectors = _vectors(stores, asked, state, record_id)
    note_gap(version.modality, asked.modality)
    if len(vectors) == 1:
        return _nearest(stores, version, manifest, vectors, k, per_record=per_record)
    if version.history:
        raise SearchError(
            f"{record_id!r} of {of} has {len(vectors)} chunks, and {version.feature} keeps a "
            "history; search by one chunk, such as " + repr(f"{record_id}#0")
        )
    return nearest_chunks.nearest(stores, version, manifest, vectors, k, per_record=per_record)


def _vectors(
    stores: Stores, version: Version, manifest: Manifest, record_id: str
) -> list[NDArray[np.float32]]:
    """The vectors of a record: one, or where rows are chunks of records one a chunk."""
    if version.chunked:
        chunks = nearest_chunks.of_record(stores, version, manifest, record_id)
        found = chunks[0] if chunks else []
    else:
        vector = stores.vectors.vector(version.table, manifest.lance_version, record_id)
        found = [] if vector is None else [vector]
    if not found:
        raise no_record(version, record_id)
    return found


def no_record(version: Version, record_id: str) -> SearchError:
    """That a version has no record of this id."""
    return SearchError(
        f"{version.feature} has no record {record_id!r}; list some with "
        f"`vecmill sql 'FROM {version.feature} LIMIT 10'`"
    )


def _nearest(
    stores: Stores,
    version: Version,
    manifest: Manifest,
    vectors: Sequence[NDArray[np.float32]],
    k: int,
    *,
    per_record: bool = False,
) -> pa.Table:
    """The rows nearest to a vector; or, where rows are chunks, to any of several."""
    if version.chunked:
        return nearest_chunks.nearest(stores, version, manifest, vectors, k, per_record=per_record)
    state = (version.table, manifest.lance_version)
    (vector,) = vectors
    return stores.vectors.nearest(*state, vector, k, version.metric, history=version.history)
