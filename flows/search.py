"""Nearest records to a query, which is encoded with the version's own encoder and no other."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

import encoders.base
from encoders.base import Asked, Bridging, EncoderError, quick_recipe
from encoders.media import MediaError, decode_audio, decode_image
from flows import fitting, nearest_chunks, spaces
from flows.parsing import parse_params
from flows.progress import listener
from flows.redact import redact_all
from flows.sources import _types
from flows.stores import Stores
from flows.templates import fill
from storage.ids import fingerprint

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import polars as pl
    import pyarrow as pa
    from numpy.typing import NDArray

    from encoders.base import Encoder, Modality
    from encoders.media import Audio, Limits
    from flows.settings import Settings
    from storage.model import Manifest, Version


QUERIES = ("text", "image", "audio", "row")
"""What a query may be besides a record of the feature."""


class SearchError(Exception):
    """A search cannot be done as asked."""


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
        vectors = _encode_parts(settings, version, modality, query)
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


def note_gap(first: str, second: str) -> None:
    """Tell whoever listens what distances between two modalities are worth.

    Liang et al. 2022, "Mind the Gap": each modality fills a narrow cone of its own.
    """
    if first != second:
        listener().note(
            f"distances between {first} and {second} rank what was found here, and mean nothing "
            f"else: hold them neither against a threshold nor against distances within {first} "
            "(docs/across.md)"
        )


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


def _encode(settings: Settings, version: Version, modality: str, query: str) -> NDArray[np.float32]:
    """The vector of a query that has but one.

    Raises:
        SearchError: if it is a recording longer than the windows that are the version's rows.
    """
    vectors = _encode_parts(settings, version, modality, query)
    if len(vectors) > 1:
        raise SearchError(
            f"{query} is longer than a window of {version.feature}, so it has {len(vectors)} "
            "vectors where one is needed; cut it"
        )
    return vectors[0]


def _encode_parts(
    settings: Settings, version: Version, modality: str, query: str
) -> list[NDArray[np.float32]]:
    """The vector of a query; where rows are windows of recordings, of each window of one."""
    if version.modality == "graph":
        raise SearchError(
            f"{version.feature} holds the vectors of nodes, and no query says what is around one; "
            "search it with --id"
        )
    expected = "row" if version.modality == "tabular" else version.modality
    if modality != expected and "space" not in version.recipe:
        raise _other_space(version, modality, (expected,))
    encoder = own_encoder(settings, version)
    others = encoder.others if isinstance(encoder, Bridging) else ()
    if modality not in {expected, *others}:
        raise _other_space(version, modality, (expected, *others))
    batch = _batch(modality, query, version.types, settings.feature(version.feature).limits)
    if modality == "audio":
        batch = _cut(version, batch)
    vectors: NDArray[np.float32]
    try:
        if isinstance(encoder, Bridging) and modality != expected:
            vectors = encoder.encode_other(cast("Modality", modality), batch)
            note_gap(version.modality, modality)
        else:
            asked = encoder.encode_query if isinstance(encoder, Asked) else encoder.encode
            vectors = asked(batch)
    except EncoderError as error:
        raise SearchError(f"the query does not fit {version.table}: {error}") from error
    if not np.isfinite(vectors).all():
        raise SearchError("the encoder returned NaN or infinity for this query")
    return list(vectors)


def _cut(version: Version, batch: Sequence[Audio]) -> Sequence[Audio]:
    """A recording as it would be cut if it were a record of the version."""
    params = parse_params(version.kind, fill(dict(version.params), f"v{version.version}"))
    window = encoders.base.window(version.kind, params) if version.chunked else None
    return batch if window is None else [piece for audio in batch for piece in window.cut(audio)]


def _other_space(version: Version, modality: str, taken: Sequence[str]) -> SearchError:
    options = [*(f"--{name}" for name in taken if name in QUERIES), "--id"]
    return SearchError(
        f"{version.feature} holds {version.modality} vectors of {version.kind!r}; a query "
        f"by {modality} would be of another space. Search it with "
        f"{' or '.join(filter(None, [', '.join(options[:-1]), options[-1]]))}"
    )


def _batch(modality: str, query: str, types: Mapping[str, str], limits: Limits) -> Any:  # noqa: ANN401 - as Encoder.encode takes it
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
        return [decode_image(data, limits) if modality == "image" else decode_audio(data, limits)]
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
    return pl.DataFrame([typed(pl.Series(k, [v]), types.get(k)) for k, v in row.items()])


def typed(given: pl.Series, named: str | None, where: str = "--row") -> pl.Series:
    """A column of a query, read as the source reads it.

    Raises:
        SearchError: if a value does not fit.
    """
    wanted = given.dtype if named is None else _types.dtype(named)
    misfits = [True] * len(given)
    if _types.can_cast(given.dtype, wanted):
        cast_ = _types.cast(given, wanted)
        misfits = _types.misfit(given, cast_).to_list()
        if not any(misfits):
            return cast_
    wrong = given[misfits.index(True)] if misfits else None
    raise SearchError(f"{where}: column {given.name!r} wants {named}, got {wrong!r}")


def own_encoder(settings: Settings, version: Version) -> Encoder:
    """The encoder that made a version, proved by its fingerprint.

    Raises:
        SearchError: if weights, libraries or code have changed since, so that a query would be
            compared across two spaces.
    """
    states = Stores.of(settings).states
    encoder = _as_configured(settings, version, states)
    encoder = encoder or fitting.encoder_of(version, states, settings.root)
    if fingerprint(encoder.recipe()) == version.fingerprint:
        return encoder
    recipe = redact_all(encoder.recipe())
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


def _as_configured(settings: Settings, version: Version, states: Path) -> Encoder | None:
    """The encoder as configured now, where it is the version's own.

    What decides no vector of a record, such as the prompt of queries, is no part of a fingerprint
    and may have changed since the version's last run.
    """
    plugin = settings.feature(version.feature).encoder
    params = fitting.params_of(plugin)
    if plugin.kind != version.kind or params == version.params:
        return None
    try:
        quick = quick_recipe(plugin.kind, plugin.params)
    except EncoderError:
        return None  # it is another, whose weights are not here
    if quick is None or fingerprint(quick) != version.fingerprint:
        return None
    return fitting.built(plugin.kind, fitting.params_json(params), version.state, states)
