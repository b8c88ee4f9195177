"""From a configured encoder to one that can encode: built, and fitted where it has to learn."""

from __future__ import annotations

import dataclasses
import json
import threading
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

import encoders.base
from encoders.base import Learner, State
from flows.anchors import moved
from flows.decode import Decoded, decode
from flows.settings import parse_params
from storage.ids import fingerprint, hash_text, seed
from storage.model import StorageError
from storage.states import States

if TYPE_CHECKING:
    from pathlib import Path

    import polars as pl

    from encoders.base import Encoder, Json
    from flows.progress import Reporter
    from flows.settings import Feature, Plugin
    from flows.sources.base import Source
    from storage.catalog import Catalog
    from storage.model import Version


_KEPT = threading.Lock()


class FittingError(Exception):
    """There is nothing that an encoder could learn from."""


def built(kind: str, params: str, state: str | None, states: Path) -> Encoder:
    """An encoder from its recorded kind and parameters (JSON) and the digest of its state.

    Loaded once a process, however many threads ask for it: weights take seconds to read and check.
    """
    with _KEPT:  # lru_cache alone lets every thread that comes before the first is done load too
        return _built(kind, params, state, states)


def forget() -> None:
    """Let go of the encoders that `built` keeps."""
    with _KEPT:
        _built.cache_clear()


@lru_cache(maxsize=8)
def _built(kind: str, params: str, state: str | None, states: Path) -> Encoder:
    encoder = encoders.base.build(kind, parse_params(kind, json.loads(params)))
    if state is not None and isinstance(encoder, Learner):
        loaded = State(*States(states).load(state))
        found = encoders.base.digest(loaded)
        if found != state:
            raise StorageError(
                f"the fitted state {state} in {states} is damaged: its content has the digest "
                f"{found}; restore it from a backup, or refit the encoder (a new version) with "
                "`vecmill run --refit`"
            )
        encoder.restore(loaded)
    return encoder


def encoder_of(version: Version, states: Path, root: Path | None = None) -> Encoder:
    """The encoder that made a version, from what the catalog says of it.

    Args:
        version: as the catalog has it.
        states: the folder of fitted states.
        root: the project folder, where it may have moved since the catalog was written.
    """
    params = dict(version.params)
    for name in encoders.base.paths(version.kind):
        value = params.get(name)
        if root is not None and isinstance(value, str):
            params[name] = moved(value, root)
    return built(version.kind, params_json(params), version.state, states)


def params_of(plugin: Plugin) -> dict[str, Any]:
    """A plug-in's parameters as the catalog keeps them."""
    return dataclasses.asdict(plugin.params)


def params_json(params: object) -> str:
    """Parameters in the one form that `built` is cached by."""
    return json.dumps(params, sort_keys=True)


def unfitted(feature: Feature, states: Path) -> Encoder:
    """The feature's configured encoder, before it has learned anything."""
    return built(feature.encoder.kind, params_json(params_of(feature.encoder)), None, states)


def recipe_of(feature: Feature, catalog: Catalog, states: Path) -> dict[str, Json] | None:
    """The recipe of the feature's encoder as configured and fitted now.

    Returns:
        None where the encoder has yet to learn.
    """
    kind, params = feature.encoder.kind, feature.encoder.params
    quick = encoders.base.quick_recipe(kind, params)
    if quick is not None:
        return quick
    state = state_of(feature, catalog, states)
    if state is None and isinstance(unfitted(feature, states), Learner):
        return None
    return built(kind, params_json(params_of(feature.encoder)), state, states).recipe()


def state_of(feature: Feature, catalog: Catalog, states: Path) -> str | None:
    """The digest of what the feature's configured encoder has learned, None if it has not yet.

    Where it has learned more than once, what the live version learned goes before: runs keep up to
    date what readers see, before and after a version is promoted, and after it is rolled back.
    """
    encoder = unfitted(feature, states)
    if not isinstance(encoder, Learner):
        return None
    fits = catalog.fits(feature.name, fingerprint(encoder.recipe()))
    live = catalog.live(feature.name)
    if live is not None and live.state in fits:
        return live.state
    return fits[0] if fits else None


def fit(
    feature: Feature, source: Source, catalog: Catalog, states: Path, reporter: Reporter
) -> str | None:
    """Let the feature's encoder learn from a sample of its source, and keep what it learned.

    The sample is drawn evenly over the source, with a seed from the encoder's own recipe, so that
    the same source and recipe always give the same state.

    Returns:
        The digest of the state; None where the encoder has nothing to learn.

    Raises:
        FittingError: if the source has no record that can be decoded.
    """
    kind, params = feature.encoder.kind, feature.encoder.params
    encoder: Any = encoders.base.build(kind, params)  # a fresh one: `built` must stay unfitted
    if not isinstance(encoder, Learner):
        return None
    before = fingerprint(encoder.recipe())  # type: ignore[attr-defined] # every Learner is an Encoder
    rng = np.random.default_rng(seed(before))
    reporter.stage(feature.name, "sample", None)
    content = _sample(source, encoder.fit_size, rng, reporter)
    # A source without a record cannot tell the type of its content.
    nothing = Decoded([], [], {})
    decoded = decode(encoders.base.modality(kind), content) if len(content) else nothing
    if not decoded.rows:
        raise FittingError(
            f"the encoder {feature.encoder.name!r} must learn from records first, but none of the "
            f"{len(content)} drawn from the source {feature.source.name!r} can be read; see "
            f"`vecmill plan {feature.name}`"
        )
    reporter.stage(feature.name, "fit", None)
    encoder.fit(decoded.batch, rng)
    state = encoder.state()
    digest = encoders.base.digest(state)
    States(states).save(digest, state.arrays, state.meta)
    catalog.add_fit(feature.name, before, digest, len(decoded.rows))
    return digest


def _sample(source: Source, size: int, rng: np.random.Generator, reporter: Reporter) -> pl.Series:
    """An even sample without replacement of the source's contents, each content once.

    The draw hangs on the content, so that one that comes often has one chance as any other.
    """
    import polars as pl

    salt = rng.bytes(8).hex()
    kept: pl.DataFrame | None = None
    for chunk in source.scan():
        reporter.advance(len(chunk.records))
        hashes = chunk.records["content_hash"].to_list()
        drawn = chunk.records.select("content", "content_hash").with_columns(
            key=pl.Series([hash_text(salt + h) for h in hashes], dtype=pl.String)
        )
        both = drawn if kept is None else pl.concat([kept, drawn])
        kept = both.unique("content_hash", keep="first", maintain_order=True).bottom_k(
            size, by="key"
        )
    return pl.Series("content", []) if kept is None else kept.sort("key")["content"]
