"""A query turned into vectors of a version's own space, by the encoder that made the version."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from encoders import registry
from encoders.abilities import Asked, Bridging
from encoders.base import EncoderError
from encoders.media import MediaError, decode_audio, decode_image
from encoders.registry import quick_recipe
from flows.config.parsing import parse_params
from flows.config.stores import Stores
from flows.config.templates import fill
from flows.output.progress import listener
from flows.output.redact import redact_all
from flows.pipeline import fitting
from flows.sources import _types
from storage.ids import fingerprint

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import polars as pl
    from numpy.typing import NDArray

    from encoders.base import Encoder, Modality
    from encoders.media import Audio, Limits
    from flows.config.settings import Settings
    from storage.model import Version


QUERIES = ("text", "image", "audio", "row")
"""What a query may be besides a record of the feature."""


class SearchError(Exception):
    """A search cannot be done as asked."""


def encode(
    settings: Settings, version: Version, modality: str, query: str, *, alone: bool = True
) -> NDArray[np.float32]:
    """The vector of a query that has but one.

    Args:
        settings: the configuration.
        version: what is searched.
        modality: of the query.
        query: a text, a path or a row.
        alone: whether nothing else is asked; a part that knows no word of a query says nothing.

    Raises:
        SearchError: if it is a recording longer than the windows that are the version's rows.
    """
    vectors = encode_parts(settings, version, modality, query, alone=alone)
    if len(vectors) > 1:
        raise SearchError(
            f"{query} is longer than a window of {version.feature}, so it has {len(vectors)} "
            "vectors where one is needed; cut it"
        )
    return vectors[0]


def encode_parts(
    settings: Settings, version: Version, modality: str, query: str, *, alone: bool = True
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
    given = modality, query, version.types, settings.feature(version.feature).limits
    # Before an encoder is loaded, which takes seconds: a file may not be there. Whether another
    # modality is taken at all, the encoder says first.
    batch = _batch(*given) if modality == expected else None
    encoder = own_encoder(settings, version)
    others = encoder.others if isinstance(encoder, Bridging) else ()
    if modality not in {expected, *others}:
        raise _other_space(version, modality, (expected, *others))
    batch = _batch(*given) if batch is None else batch
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
    if alone and version.metric == "cosine" and len(vectors) and not vectors.any():
        raise _no_direction(version, modality)
    return list(vectors)


def _no_direction(version: Version, modality: str) -> SearchError:
    """A query has a vector of length 0, which is at no angle to any other."""
    table, kind = version.table, version.kind
    if modality == "text":
        return SearchError(
            f"none of the query's words is known to {table} ({kind!r}), so it has no place among "
            "its vectors; search by other words, or with --words for what a kept text says"
        )
    return SearchError(
        f"{table} ({kind!r}) gives this query a vector of length 0, which has no direction and so "
        "no place among its vectors; search by another one"
    )


def _cut(version: Version, batch: Sequence[Audio]) -> Sequence[Audio]:
    """A recording as it would be cut if it were a record of the version."""
    params = parse_params(version.kind, fill(dict(version.params), f"v{version.version}"))
    window = registry.window(version.kind, params) if version.chunked else None
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
