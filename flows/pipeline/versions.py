"""Which version of a feature a run works on, and its source as that version reads it."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, cast

import flows.sources.base
from encoders import registry
from encoders.base import Learner
from flows.config.stores import Stores
from flows.output.redact import redact_all
from flows.pipeline import chunking, fitting, learning, over, unclaimed
from flows.sources.base import SourceUsageError
from storage import fits
from storage.ids import fingerprint
from storage.model import UsageError, Version
from storage.standings import no_version
from storage.vectors import SYSTEM_COLUMNS, THUMBNAIL
from storage.views import VALIDITY

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from encoders.base import Encoder, Modality
    from flows.config.settings import Feature, Settings
    from flows.output.progress import Reporter
    from flows.pipeline.scope import Target
    from flows.sources.base import Source

_LANCE_COLUMNS = frozenset({"_distance", "_rowaddr", "_rowid", "_score"})
"""Names under which Lance gives what it knows of a row."""


def open_source(
    settings: Settings,
    feature: Feature,
    version: Version | None,
    *,
    memory: Path | None = None,
) -> Source:
    """The feature's source, opened for what its encoder reads.

    Columns are read as they were when the version was made, where there is one.

    Args:
        settings: the configuration.
        feature: the feature.
        version: what the source is read for, None where that is yet to be made.
        memory: a folder where the source may keep what only saves time, such as hashes of files.

    Raises:
        SourceError: if it cannot be read.
        SourceUsageError: if its section asks for what cannot be, or for a kept column that a
            table could not hold.
        SettingsError: if its encoder cuts texts into chunks, and the feature keeps a history.
    """
    plugin, encoder = feature.source, feature.encoder
    modality = (
        cast("Modality", version.modality)
        if version
        else registry.modality(encoder.kind, encoder.params)
    )
    if feature.over is not None:
        source: Source = over.open_parts(feature, version, Stores.of(settings))
    else:
        source = flows.sources.base.open(
            plugin.kind,
            plugin.params,
            settings.root,
            modality,
            version.types if version else None,
            name=plugin.name,
            memory=memory,
        )
    # SQL does not tell upper from lower case in the names of columns.
    taken = set(SYSTEM_COLUMNS) | _LANCE_COLUMNS | (set(VALIDITY) if feature.history else set())
    taken |= {THUMBNAIL} if feature.thumbnails else set()
    for name in source.kept:
        if name.lower() in taken or not name or set(name) & set(".`"):
            raise SourceUsageError(
                f"the source {plugin.name!r} keeps a column {name!r}, which a vector table cannot "
                "hold: it must not be empty, have a dot or a backtick, or be, in whatever case, "
                f"another kept column or one of {', '.join(SYSTEM_COLUMNS)}, or in a history "
                f"{' or '.join(VALIDITY)}, or beside thumbnails {THUMBNAIL}; rename it in the "
                "source, or leave it out of keep"
            )
        taken.add(name.lower())
        _check_kept_type(plugin.name, name, str(source.kept[name]))
    if chunking.is_chunked(feature, version):
        chunking.check(feature, source)
    if version is None:
        learning.check_label(feature, source)
    return source


def _check_kept_type(source: str, column: str, dtype: str) -> None:
    """Refuse types that DuckDB and Lance cannot hand to each other, at least not to filter by."""
    if dtype.startswith(("Duration", "UInt64", "UInt128", "Int128", "Object")):
        raise SourceUsageError(
            f"the source {source!r} keeps a column {column!r} of type {dtype}, which SQL over "
            f'vectors cannot filter by; read it as another, types = {{ {column} = "int" }} or '
            '"str", write it as another, or leave it out of keep'
        )


def prepare(
    settings: Settings,
    feature: Feature,
    stores: Stores,
    reporter: Reporter,
    *,
    refit: bool = False,
    target: Target = "configured",
) -> Version:
    """The version that a run works on; a new one where the configured encoder is new.

    Raises:
        UsageError: if there is no such version, or its encoder is not here any more.
    """
    known = None if refit else known_version(feature, stores, target, settings.root)
    if known is None:
        known = _begin(settings, feature, stores, reporter, refit=refit)
    stores.catalog.set_params(known)
    if feature.history and not known.history:
        stores.catalog.keep_history(known)
    return replace(known, history=feature.history)


def _begin(
    settings: Settings, feature: Feature, stores: Stores, reporter: Reporter, *, refit: bool
) -> Version:
    """Register the version of the configured encoder, fitted first where it has to learn."""
    feature = over.resolved(feature, stores.catalog)
    unclaimed.check(feature.name, stores)
    source = open_source(settings, feature, None)
    state = None if refit else fitting.state_of(feature, stores.catalog, stores.states)
    if state is None:
        learned = learning.fit(feature, source, stores, reporter)
        state = None if learned is None else learned.state
    if refit and state is None:
        reporter.note(
            f"{feature.name}: there is nothing to refit: the encoder {feature.encoder.name!r} of "
            f"kind {feature.encoder.kind!r} does not learn from records"
        )
    return register(feature, state, source, stores)


def register(feature: Feature, state: str | None, source: Source, stores: Stores) -> Version:
    """Put down the version of the configured encoder with what it has learned, if it is new."""
    version = replace(_version(feature, state, stores.states), types=source.types)
    return replace(stores.catalog.add_version(version), params=version.params)


def known_version(
    feature: Feature, stores: Stores, target: Target = "configured", root: Path | None = None
) -> Version | None:
    """The version that a target names; None if it is that of an encoder as yet without one.

    Raises:
        UsageError: if there is no such version, its encoder is not here any more, or it keeps a
            history that the configuration does not ask for.
    """
    found = _targeted(feature, stores, target, root)
    if found is not None and found.history and not feature.history:
        raise UsageError(
            f"{found.table} keeps the history of its records, and history = false in "
            f"[features.{feature.name}] would throw it away; set history = true, or give the "
            "feature without a history another name"
        )
    return found


def _targeted(
    feature: Feature, stores: Stores, target: Target, root: Path | None
) -> Version | None:
    if target == "configured":
        return _configured(feature, stores)
    versions = [v for v in stores.catalog.versions(feature.name) if v.dropped_at is None]
    if isinstance(target, int):
        named = [v for v in versions if v.version == target]
    else:
        named = [v for v in versions if v.standing == target]
    if named:
        return _recorded(named[-1], stores, root)
    configured = _configured(feature, stores)
    if isinstance(target, int):
        raise UsageError(_no_version(feature.name, target, stores))
    if target == "candidate" and configured is not None:
        raise UsageError(
            f"{feature.name} has no candidate: the encoder as configured is that of "
            f"v{configured.version}, which is {configured.standing}; change the encoder, or name "
            "a version by its number"
        )
    return configured


def _no_version(name: str, number: int, stores: Stores) -> str:
    """That a version is not there, or not any more."""
    versions = {version.version: version for version in stores.catalog.versions(name)}
    gone = versions[number].dropped_at if number in versions else None
    if gone is not None:
        return (
            f"{name}_v{number} was dropped on {gone:%Y-%m-%d}, so its vectors are gone; a run with "
            f"the encoder that `vecmill recipe {name} {number}` shows makes a new version"
        )
    left = [other for other in versions if versions[other].dropped_at is None]
    return no_version(name, number, left)


def _configured(feature: Feature, stores: Stores) -> Version | None:
    """The version of the feature's encoder as configured and fitted now, None if it is new."""
    feature = over.resolved(feature, stores.catalog)
    recipe = fitting.recipe_of(feature, stores.catalog, stores.states)
    if recipe is None:
        return None
    mark = fingerprint(recipe)
    versions = stores.catalog.versions(feature.name)
    known = next((v for v in versions if v.fingerprint == mark and v.dropped_at is None), None)
    # What is no part of the fingerprint, as where weights lie, may have changed since.
    return known and replace(known, params=fitting.params_of(feature.encoder))


def _recorded(version: Version, stores: Stores, root: Path | None) -> Version:
    """A version as the catalog has it, its encoder proved to be what made its vectors.

    Raises:
        UsageError: if it is another now.
    """
    placed = replace(version, params=fitting.placed_params(version, root))
    found = fitting.recorded_recipe(placed, stores.states)
    if fingerprint(found) == version.fingerprint:
        return placed
    raise UsageError(
        f"{version.table} was made by an encoder that is not here any more: "
        f"{told_differences(version.recipe, found)}. Bring it back, or let the encoder as "
        f'configured go on: update = "configured" in [features.{version.feature}]'
    )


def told_differences(was: Mapping[str, object], now: Mapping[str, object]) -> str:
    """What differs between two recipes, in words."""
    told = [
        f"{key} was {json.dumps(was.get(key))}, is {json.dumps(now.get(key))}"
        for key in sorted({*was, *now})
        if was.get(key) != now.get(key)
    ]
    return "; ".join(told)


def targets(feature: Feature, stores: Stores) -> list[Target]:
    """The versions that a plain run brings up to date, by ``update`` of the feature.

    Beside a live version of the configured encoder, ``configured`` takes on what `vecmill fit` or
    ``--refit`` made of it since until that is complete, and ``both`` for as long as it is a
    candidate.
    """
    live = stores.catalog.live(feature.name)
    if live is None:
        return ["configured"]
    if feature.update == "live":
        return ["live"]
    feature = over.resolved(feature, stores.catalog)
    configured = _configured(feature, stores)
    candidate = _candidate(feature, stores, configured)
    if feature.update == "configured":
        unfinished = candidate is not None and not candidate.complete
        return ["configured", candidate.version] if candidate and unfinished else ["configured"]
    if configured is None or configured.version != live.version:
        return ["live", "configured"]
    return ["live"] if candidate is None else ["live", candidate.version]


def _candidate(feature: Feature, stores: Stores, configured: Version | None) -> Version | None:
    """What the configured encoder learned last, where that is a candidate beside the live version.

    None where the configured version is not live, since then it is that itself: what the live
    version learned goes before (`fitting.state_of`). None also for a candidate that the live
    version has overtaken: one that is older, and was not learned again since.
    """
    plugin = feature.encoder
    if configured is None or configured.standing != "live":
        return None
    if registry.quick_recipe(plugin.kind, plugin.params) is not None:
        return None  # asked first, since building such an encoder may load weights
    encoder = fitting.unfitted(feature, stores.states)
    if not isinstance(encoder, Learner):
        return None
    learned = fits.states(stores.catalog, feature.name, fingerprint(encoder.recipe()))
    ranks = {state: rank for rank, state in reversed(list(enumerate(learned)))}
    overtaken = ranks[str(configured.state)]
    found = [
        version
        for version in stores.catalog.versions(feature.name)
        if version.standing == "candidate"
        and version.dropped_at is None
        and version.state in ranks
        and (version.version > configured.version or ranks[version.state] < overtaken)
        # Encoders of other parameters may have learned the very same.
        and _but_for_state(version) == _but_for_state(configured)
    ]
    return min(found, key=lambda version: ranks[str(version.state)], default=None)


def _but_for_state(version: Version) -> dict[str, object]:
    return {key: value for key, value in version.recipe.items() if value != version.state}


def _version(feature: Feature, state: str | None, states: Path) -> Version:
    params = fitting.params_of(feature.encoder)
    kind = feature.encoder.kind
    encoder: Encoder = fitting.built(kind, fitting.params_json(params), state, states)
    recipe = encoder.recipe()
    return Version(
        history=feature.history,
        feature=feature.name,
        version=0,
        fingerprint=fingerprint(recipe),
        recipe=redact_all(recipe),
        kind=kind,
        params=params,
        modality=encoder.modality,
        metric=encoder.metric,
        dim=encoder.dim,
        state=state,
        types={},
        standing="candidate",
        chunked=chunking.cutter_of(feature, None) is not None,
    )
