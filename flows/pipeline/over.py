"""A feature over features: which versions of its parts it reads, at which states.

A version over parts names their fingerprints in its encoder's recipe, and reads the versions of
these fingerprints alone. So vectors of two versions of a part never meet in one table: when a part
has another live version, the feature as configured has another fingerprint, and begins a version of
its own; when the part is rolled back, the version that was there before is found again.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

from encoders import registry
from encoders.vectors import Part
from flows.config.nearest import hint
from flows.config.settings import SettingsError
from flows.pipeline import kin
from flows.pipeline.joined import Joined
from storage.aligned import Aligned, Side
from storage.model import UsageError
from storage.vectors import SYSTEM_COLUMNS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from encoders.base import Metric
    from flows.config.settings import Feature, PartOf, Settings
    from flows.config.stores import Stores
    from storage.catalog import Catalog
    from storage.model import Manifest, Version


class NotYetError(UsageError):
    """A feature is over some (``parts``) that no run has published anything of."""

    def __init__(self, feature: str, parts: Sequence[str]) -> None:
        have = "has" if len(parts) == 1 else "have"
        super().__init__(
            f"{feature} is over {' and '.join(parts)}, which {have} no live version yet; run "
            f"`vecmill run {' '.join(parts)} {feature}`, which brings parts up to date first"
        )
        self.parts = tuple(parts)


def resolved(feature: Feature, catalog: Catalog) -> Feature:
    """The feature, its encoder told which live versions it is over; others as they are.

    Raises:
        UsageError: if a part has no live version, or one whose rows are chunks.
    """
    if feature.over is None or feature.encoder.params.parts:
        return feature
    live = {part.feature: catalog.live(part.feature) for part in feature.over.parts}
    if missing := [name for name, version in live.items() if version is None]:
        raise NotYetError(feature.name, missing)
    parts = tuple(_part(feature, version) for version in live.values() if version is not None)
    params = replace(feature.encoder.params, parts=parts)
    return replace(feature, encoder=replace(feature.encoder, params=params))


def _part(feature: Feature, version: Version) -> Part:
    name = version.feature
    if version.chunked:
        raise UsageError(
            f"{feature.name} is over {name}, whose rows are chunks of records, so that a record "
            f"has several vectors there; let its encoder pool them: chunk = {{ ..., pool = "
            '"mean" }'
        )
    metric = cast("Metric", version.metric)
    nested = registry.nested(version.kind)
    return Part(name, version.dim, metric, version.fingerprint, _space(version), nested)


def _space(version: Version) -> str:
    """What is equal for versions whose vectors may be compared with each other."""
    found = version.recipe.get("space")
    if found is None:
        return version.fingerprint
    return found if isinstance(found, str) else json.dumps(found, sort_keys=True)


def parts_of(version: Version) -> list[Part]:
    """The parts that a version is over, in their order; none where it reads a source."""
    if version.modality != "vector":
        return []
    return [Part(**part) for part in cast("list[dict[str, Any]]", version.params["parts"])]


def version_of(part: Part, catalog: Catalog) -> Version | None:
    """The version of a part that has its fingerprint and can be read; None where it is gone."""
    return next(
        (
            version
            for version in catalog.versions(part.feature)
            if version.fingerprint == part.fingerprint and version.dropped_at is None
        ),
        None,
    )


def made_by(part: Part, catalog: Catalog) -> Version:
    """What the catalog says of the version of a part, be its table there or not.

    Raises:
        UsageError: if it knows none.
    """
    known = [v for v in catalog.versions(part.feature) if v.fingerprint == part.fingerprint]
    if not known:
        raise UsageError(
            f"the catalog has no version of {part.feature} with the fingerprint "
            f"{part.fingerprint[:12]}; restore it from a backup"
        )
    return known[-1]


def readers(version: Version, settings: Settings, catalog: Catalog) -> list[str]:
    """The tables of versions, live or to be, that are over this one."""
    return [
        other.table
        for name, feature in settings.features.items()
        if version.feature in kin.parents(feature)
        for other in catalog.versions(name)
        if other.standing != "retired" and other.dropped_at is None
        if any(_is_of(part, version) for part in parts_of(other))
    ]


def _is_of(part: Part, version: Version) -> bool:
    return (part.feature, part.fingerprint) == (version.feature, version.fingerprint)


def side_of(part: PartOf, version: Version, lance_version: int) -> Side:
    """A published state of a part, as it is joined."""
    return Side(
        name=version.feature,
        table=version.table,
        lance_version=lance_version,
        key=part.id or "record_id",
        kept=tuple(part.keep or ()),
        history=version.history,
    )


def open_parts(feature: Feature, version: Version | None, stores: Stores) -> Joined:
    """The published rows of a feature's parts, at their newest states.

    Args:
        feature: a feature over others.
        version: the version to read for; None for the feature as configured now.
        stores: where the parts are.

    Raises:
        UsageError: if a version that it is over is not to be had.
        SettingsError: if a column that is named is not there.
    """
    over = feature.over
    if over is None:
        raise TypeError(f"{feature.name} reads a source, not features")
    parts = (
        resolved(feature, stores.catalog).encoder.params.parts if version is None
        else parts_of(version)
    )  # fmt: skip
    named = {part.feature: part for part in over.parts}
    sides, marks = [], []
    for part in parts:
        if part.feature not in named:
            raise UsageError(
                f"{feature.name}_v{version.version if version else 0} is over {part.feature}, "
                f"which over in [features.{feature.name}] names no more; name it again, or let "
                'runs keep to the encoder as configured: update = "configured"'
            )
        own, manifest = _published(feature, part, stores)
        sides.append(side_of(named[part.feature], own, manifest.lance_version))
        marks.append(f"{own.table} {manifest.lance_version} {manifest.run_id}")
    tables = Aligned(stores.vectors, sides)
    kept = {side.name: tables.columns(side.name) for side in sides}
    for side in sides:
        _check_columns(feature, side, kept[side.name])
    first = sides[0]
    if named[first.name].keep is None:
        tables.sides = (replace(first, kept=tuple(kept[first.name])), *sides[1:])
    _check_clashes(feature, tables.sides)
    return Joined(tables, over.require == "all", marks)


def _published(feature: Feature, part: Part, stores: Stores) -> tuple[Version, Manifest]:
    version = version_of(part, stores.catalog)
    manifest = None if version is None else stores.catalog.published(version)
    if version is None or manifest is None:
        raise UsageError(
            f"{feature.name} is over the version of {part.feature} with the fingerprint "
            f"{part.fingerprint[:12]}, which can be read no more; a run over what is live now "
            f'makes a new version: update = "configured" in [features.{feature.name}]'
        )
    return version, manifest


def _check_columns(feature: Feature, side: Side, there: Mapping[str, object]) -> None:
    for name in (side.key, *side.kept):
        if name not in there and name != "record_id":
            raise SettingsError(
                f"[features.{feature.name}] over names the column {name!r} of {side.name}, which "
                f"keeps none of that name{hint(name, there)}; add it to keep in its source, and "
                f"`vecmill run {side.name}`"
            )


def _check_clashes(feature: Feature, sides: tuple[Side, ...]) -> None:
    owners: dict[str, str] = {}
    for side in sides:
        for name in side.kept:
            if name.lower() in owners:
                raise SettingsError(
                    f"[features.{feature.name}] over keeps {name!r} of {owners[name.lower()]} and "
                    f"of {side.name}; name in keep of each what is to be kept of it"
                )
            owners[name.lower()] = side.name
    if "record_id" in owners or set(owners) & set(SYSTEM_COLUMNS):
        raise SettingsError(
            f"[features.{feature.name}] over keeps a column that every feature has: "
            f"{', '.join(sorted(set(owners) & set(SYSTEM_COLUMNS)))}; leave it out of keep"
        )
