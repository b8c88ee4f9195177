"""Nearest records to a query, which is encoded with the version's own encoder and no other."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from encoders.base import EncoderError
from encoders.media import MediaError, decode_audio, decode_image
from flows import fitting
from flows.sources import _types
from flows.stores import Stores
from storage.ids import fingerprint

if TYPE_CHECKING:
    from collections.abc import Mapping

    import polars as pl
    import pyarrow as pa
    from numpy.typing import NDArray

    from encoders.base import Encoder
    from flows.settings import Settings
    from storage.model import Manifest, Version


class SearchError(Exception):
    """A search cannot be done as asked."""


def search(settings: Settings, name: str, modality: str, query: str, k: int) -> pa.Table:
    """The k records nearest to a query, nearest first.

    Args:
        settings: the configuration.
        name: the feature.
        modality: what the query is: ``text``, ``image`` or ``audio`` (the path of a file),
            ``row`` (a JSON object), or ``id`` (a record of the feature, which is left out of the
            answer).
        query: the query.
        k: how many records.

    Returns:
        record_id, distance, then the other columns of the feature's view but its vector.

    Raises:
        SearchError: if the feature has no live version, or the query does not fit it.
    """
    if k < 1:
        raise SearchError(f"-k must be at least 1, got {k}")
    settings.feature(name)
    stores = Stores.of(settings)
    version = stores.catalog.live(name)
    manifest = stores.catalog.published(version) if version else None
    if version is None or manifest is None:
        raise SearchError(f"{name} has no live version yet; run `vecmill run {name}` first")
    if modality == "id":
        return _like(stores, version, manifest, query, k)
    vector = _encode(settings, version, modality, query)
    return _nearest(stores, version, manifest, vector, k)


def _like(stores: Stores, version: Version, manifest: Manifest, record_id: str, k: int) -> pa.Table:
    vector = stores.vectors.vector(version.table, manifest.lance_version, record_id)
    if vector is None:
        raise SearchError(
            f"{version.feature} has no record {record_id!r}; list some with "
            f"`vecmill sql 'FROM {version.feature} LIMIT 10'`"
        )
    found = _nearest(stores, version, manifest, vector, k + 1)
    others = [i for i, other in enumerate(found["record_id"].to_pylist()) if other != record_id]
    return found.take(others[:k])


def _nearest(
    stores: Stores, version: Version, manifest: Manifest, vector: NDArray[np.float32], k: int
) -> pa.Table:
    found = stores.vectors.nearest(version.table, manifest.lance_version, vector, k, version.metric)
    rest = [c for c in found.column_names if c not in {"record_id", "distance"}]
    return found.select(["record_id", "distance", *rest])


def _encode(settings: Settings, version: Version, modality: str, query: str) -> NDArray[np.float32]:
    expected = "row" if version.modality == "tabular" else version.modality
    if modality != expected:
        raise SearchError(
            f"{version.feature} holds {version.modality} vectors of {version.kind!r}; a query "
            f"by {modality} would be of another space. Search it with --{expected} or --id"
        )
    encoder = own_encoder(settings, version)
    batch = _batch(modality, query, version.types)
    try:
        vector: NDArray[np.float32] = encoder.encode(batch)[0]
    except EncoderError as error:
        raise SearchError(f"the query does not fit {version.table}: {error}") from error
    if not np.isfinite(vector).all():
        raise SearchError("the encoder returned NaN or infinity for this query")
    return vector


def _batch(modality: str, query: str, types: Mapping[str, str]) -> Any:  # noqa: ANN401 - as Encoder.encode takes it
    if modality == "text":
        if not query.strip():
            raise SearchError("the query text is empty")
        return [query]
    if modality == "row":
        return _row(query, types)
    path = Path(query)
    if not path.is_file():
        raise SearchError(f"there is no file {query}")
    try:
        data = path.read_bytes()
        return [decode_image(data) if modality == "image" else decode_audio(data)]
    except MediaError as error:
        raise SearchError(f"{query}: {error}") from error


def _row(query: str, types: Mapping[str, str]) -> pl.DataFrame:
    """A row, read as the source reads its columns: JSON has no dates."""
    import polars as pl

    try:
        row = json.loads(query)
    except ValueError as error:
        raise SearchError(f"--row takes a JSON object, got {query!r}: {error}") from error
    if not isinstance(row, dict):
        raise SearchError(f'--row takes a JSON object such as {{"age": 39}}, got {query!r}')
    return pl.DataFrame([_typed(pl.Series(k, [v]), types.get(k)) for k, v in row.items()])


def _typed(given: pl.Series, named: str | None) -> pl.Series:
    wanted = given.dtype if named is None else _types.dtype(named)
    if _types.can_cast(given.dtype, wanted):
        typed = _types.cast(given, wanted)
        if not _types.misfit(given, typed).any():
            return typed
    raise SearchError(f"--row: column {given.name!r} wants {named}, got {given[0]!r}")


def own_encoder(settings: Settings, version: Version) -> Encoder:
    """The encoder that made a version, proved by its fingerprint.

    Raises:
        SearchError: if weights, libraries or code have changed since, so that a query would be
            compared across two spaces.
    """
    states = Stores.of(settings).states
    encoder = fitting.encoder_of(version, states, settings.root)
    recipe = encoder.recipe()
    if fingerprint(recipe) == version.fingerprint:
        return encoder
    keys = sorted({*recipe, *version.recipe})
    told = [
        f"{key} was {json.dumps(version.recipe.get(key))}, is {json.dumps(recipe.get(key))}"
        for key in keys
        if recipe.get(key) != version.recipe.get(key)
    ]
    raise SearchError(
        f"{version.table} was made by an encoder that is not here any more: {'; '.join(told)}. "
        f"Bring it back, or run `vecmill run {version.feature}` to make a new version and "
        "`vecmill promote` it"
    )
