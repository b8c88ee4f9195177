"""Which version of a feature a run works on, and its source as that version reads it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import encoders.base
import flows.sources.base
from flows import fitting
from flows.sources.base import SourceError
from storage.ids import fingerprint
from storage.model import Version
from storage.vectors import SYSTEM_COLUMNS

if TYPE_CHECKING:
    from pathlib import Path

    from encoders.base import Encoder
    from flows.progress import Reporter
    from flows.settings import Feature, Settings
    from flows.sources.base import Source
    from flows.stores import Stores

_LANCE_COLUMNS = frozenset({"_distance", "_rowaddr", "_rowid", "_score"})
"""Names under which Lance gives what it knows of a row."""


def open_source(settings: Settings, feature: Feature, version: Version | None) -> Source:
    """The feature's source, opened for what its encoder reads.

    Columns are read as they were when the version was made, where there is one.

    Raises:
        SourceError: if it cannot be read, or has a kept column that a table could not hold.
    """
    plugin = feature.source
    modality = encoders.base.modality(feature.encoder.kind)
    source = flows.sources.base.open(
        plugin.kind, plugin.params, settings.root, modality, version.types if version else None
    )
    # SQL does not tell upper from lower case in the names of columns.
    taken = set(SYSTEM_COLUMNS) | _LANCE_COLUMNS
    for name in source.kept:
        if name.lower() in taken or not name or set(name) & set(".`"):
            raise SourceError(
                f"the source {plugin.name!r} keeps a column {name!r}, which a vector table cannot "
                "hold: it must not be empty, have a dot or a backtick, or be, in whatever case, "
                f"another kept column or one of {', '.join(SYSTEM_COLUMNS)}; rename it in the "
                "source, or leave it out of keep"
            )
        taken.add(name.lower())
        _check_kept_type(plugin.name, name, str(source.kept[name]))
    return source


def _check_kept_type(source: str, column: str, dtype: str) -> None:
    """Refuse types that DuckDB and Lance cannot hand to each other, at least not to filter by."""
    if dtype.startswith(("Duration", "UInt64", "UInt128", "Int128", "Object")):
        raise SourceError(
            f"the source {source!r} keeps a column {column!r} of type {dtype}, which SQL over "
            f'vectors cannot filter by; read it as another, types = {{ {column} = "int" }} or '
            '"str", write it as another, or leave it out of keep'
        )


def prepare(
    settings: Settings, feature: Feature, stores: Stores, reporter: Reporter, *, refit: bool
) -> Version:
    """The version that a run works on; a new one where the fingerprint is new."""
    known = None if refit else known_version(feature, stores)
    if known:
        stores.catalog.set_params(known)
        return known
    source = open_source(settings, feature, None)
    state = None if refit else fitting.state_of(feature, stores.catalog, stores.states)
    if state is None:
        state = fitting.fit(feature, source, stores.catalog, stores.states, reporter)
    version = replace(_version(feature, state, stores.states), types=source.types)
    known = replace(stores.catalog.add_version(version), params=version.params)
    stores.catalog.set_params(known)
    return known


def known_version(feature: Feature, stores: Stores) -> Version | None:
    """The version of the feature's encoder as configured and fitted now, None if it is new."""
    recipe = fitting.recipe_of(feature, stores.catalog, stores.states)
    if recipe is None:
        return None
    mark = fingerprint(recipe)
    versions = stores.catalog.versions(feature.name)
    known = next((v for v in versions if v.fingerprint == mark), None)
    # What is no part of the fingerprint, as where weights lie, may have changed since.
    return known and replace(known, params=fitting.params_of(feature.encoder))


def _version(feature: Feature, state: str | None, states: Path) -> Version:
    params = fitting.params_of(feature.encoder)
    kind = feature.encoder.kind
    encoder: Encoder = fitting.built(kind, fitting.params_json(params), state, states)
    recipe = encoder.recipe()
    return Version(
        feature=feature.name,
        version=0,
        fingerprint=fingerprint(recipe),
        recipe=recipe,
        kind=kind,
        params=params,
        modality=encoder.modality,
        metric=encoder.metric,
        dim=encoder.dim,
        state=state,
        types={},
        standing="candidate",
    )
