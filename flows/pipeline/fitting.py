"""From a configured encoder to one that can encode: built, and fitted where it has to learn."""

from __future__ import annotations

import dataclasses
import json
import threading
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from encoders import registry
from encoders.base import Learner, State, digest
from flows.config.anchors import moved
from flows.config.parsing import parse_params
from flows.config.settings import SettingsError
from flows.config.templates import TemplateError, fill, unfilled
from storage import fits
from storage.ids import fingerprint
from storage.model import StorageError
from storage.states import States

if TYPE_CHECKING:
    from pathlib import Path

    from encoders.base import Encoder, Json
    from flows.config.settings import Feature, Plugin
    from storage.catalog import Catalog
    from storage.model import Version


_KEPT = threading.Lock()


def built(kind: str, params: str, state: str | None, states: Path) -> Encoder:
    """An encoder from its recorded kind and parameters (JSON) and the digest of its state.

    Loaded once a process, however many threads ask for it: weights take seconds to read and check.

    Raises:
        SettingsError: if a parameter holds an environment variable that is not set.
    """
    try:
        params = params_json(fill(json.loads(params), f"an encoder of kind {kind!r}"))
    except TemplateError as error:
        raise SettingsError(str(error)) from error
    with _KEPT:  # lru_cache alone lets every thread that comes before the first is done load too
        return _built(kind, params, state, states)


def forget() -> None:
    """Let go of the encoders that `built` keeps."""
    with _KEPT:
        _built.cache_clear()


@lru_cache(maxsize=8)
def _built(kind: str, params: str, state: str | None, states: Path) -> Encoder:
    encoder = registry.build(kind, parse_params(kind, json.loads(params)))
    if state is not None and isinstance(encoder, Learner):
        loaded = State(*States(states).load(state))
        found = digest(loaded)
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
    params = placed_params(version, root)
    return built(version.kind, params_json(params), version.state, states)


def placed_params(version: Version, root: Path | None) -> dict[str, Any]:
    """A version's parameters, with the paths in the project folder where that lies now."""
    params = dict(version.params)
    for name in registry.paths(version.kind):
        value = params.get(name)
        if root is not None and isinstance(value, str):
            params[name] = moved(value, root)
    return params


def recorded_recipe(version: Version, states: Path) -> dict[str, Json]:
    """The recipe that a version's encoder has now, by its recorded parameters."""
    params = parse_params(version.kind, fill(dict(version.params), f"v{version.version}"))
    quick = registry.quick_recipe(version.kind, params)
    return encoder_of(version, states).recipe() if quick is None else quick


def params_of(plugin: Plugin) -> dict[str, Any]:
    """A plug-in's parameters as the catalog keeps them: ``${NAME}`` stays what it is."""
    values: dict[str, Any] = unfilled(dataclasses.asdict(plugin.params))
    return {**values, **plugin.templates}


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
    quick = registry.quick_recipe(kind, params)
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
    learned = fits.states(catalog, feature.name, fingerprint(encoder.recipe()))
    live = catalog.live(feature.name)
    if live is not None and live.state in learned:
        return live.state
    return learned[0] if learned else None
