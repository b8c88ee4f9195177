"""Which features share a space, so that the vectors of one may be held against those of another.

Encoders whose recipes have an equal ``space`` (`encoders.abilities.Bridging`) share one, and so do
those of equal fingerprint. Whether two features are meant to is said in the configuration, by
``shares_space_with``; that they do is checked here, by their encoders as configured before a run
and by their live versions in a search.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from encoders import registry
from flows.config.settings import SettingsError
from flows.pipeline.over import NotYetError, resolved
from storage.ids import fingerprint

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flows.config.settings import Feature, Settings
    from flows.config.stores import Stores
    from flows.output.progress import Reporter
    from storage.catalog import Catalog
    from storage.model import Version


def check_names(features: Mapping[str, Feature]) -> None:
    """Refuse a feature that is to share its space with none, with itself, or with another kind.

    Raises:
        SettingsError: names the feature.
    """
    from flows.config.nearest import hint

    for feature in features.values():
        where = f"[features.{feature.name}] shares_space_with"
        for name in feature.shares_space_with:
            if name == feature.name:
                raise SettingsError(f"{where} names the feature itself; name another")
            if name not in features:
                raise SettingsError(f"{where} names {name!r}, no feature{hint(name, features)}")
            kinds = feature.encoder.kind, features[name].encoder.kind
            if len({*kinds}) > 1:
                raise SettingsError(
                    f"{where} names {name!r}, but their encoders are of kinds {kinds[0]!r} and "
                    f"{kinds[1]!r}, whose vectors have no space in common; give both features an "
                    "encoder of one model"
                )


def check_configured(settings: Settings, feature: Feature, catalog: Catalog) -> None:
    """Refuse a feature whose encoder as configured has not the space of those that it names.

    Of features over others, once these have versions to be over.

    Raises:
        SettingsError: says how they differ.
    """
    for name in feature.shares_space_with:
        other = settings.feature(name)
        try:
            ours, theirs = (_configured(resolved(one, catalog)) for one in (feature, other))
        except NotYetError:
            continue
        apart = differences(ours, theirs)
        if apart:
            raise SettingsError(
                f"[features.{feature.name}] shares_space_with = {name!r}, but their encoders "
                f"{feature.encoder.name!r} and {other.encoder.name!r} have no space in common: "
                f"{apart}; name one model in both, or take shares_space_with out"
            )


def note_apart(settings: Settings, feature: Feature, stores: Stores, reporter: Reporter) -> None:
    """Say where the live versions of features that share a space do so no more, as after a run."""
    for name in sorted({*feature.shares_space_with, *_naming(settings, feature.name)}):
        first, second = stores.catalog.live(feature.name), stores.catalog.live(name)
        if first is not None and second is not None and (apart := _apart(first, second)):
            reporter.note(
                f"{first.table} and {second.table}, which are live, share no space, so a search "
                f"across them is refused: {apart}; promote versions of one model in both"
            )


def declared(settings: Settings, first: str, second: str) -> bool:
    """Whether one of two features is said to share its space with the other."""
    names = settings.feature(first).shares_space_with
    return second in names or first in settings.feature(second).shares_space_with


def why_apart(settings: Settings, first: Version, second: Version) -> str | None:
    """Why the vectors of two live versions may not be held together, None where they may.

    Raises:
        SettingsError: if one of the features is not configured.
    """
    if not declared(settings, first.feature, second.feature):
        return (
            f"nothing says that {first.feature} and {second.feature} share a space; if one model "
            f'made both, add shares_space_with = "{second.feature}" to '
            f"[features.{first.feature}]"
        )
    apart = _apart(first, second)
    return apart and (
        f"{first.table} and {second.table} share no space: {apart}; promote versions of one model "
        "in both"
    )


def differences(first: Mapping[str, Any], second: Mapping[str, Any]) -> str | None:
    """What keeps the encoders of two recipes from sharing a space; None where they share one."""
    space = first.get("space")
    if (space is not None and space == second.get("space")) or _same(first, second):
        return None
    kinds = [recipe.get("kind") for recipe in (first, second)]
    if kinds[0] != kinds[1]:
        return f"one is of kind {kinds[0]!r}, the other of kind {kinds[1]!r}"
    if space is None:
        return f"encoders of kind {kinds[0]!r} share a space only if they are equal throughout"
    told = []
    if files := _other_files(first, second):
        told.append(f"their files {', '.join(files)} differ")
    if first.get("normalize") != second.get("normalize"):
        told.append(f"normalize is {first.get('normalize')} and {second.get('normalize')}")
    return ", ".join(told) or "they were made by different releases of Vecmill"


def _apart(first: Version, second: Version) -> str | None:
    # The recipes of versions are kept redacted, so their own fingerprints are what is compared.
    if first.fingerprint == second.fingerprint:
        return None
    return differences(first.recipe, second.recipe)


def _same(first: Mapping[str, Any], second: Mapping[str, Any]) -> bool:
    return bool(first) and fingerprint(dict(first)) == fingerprint(dict(second))


def _other_files(first: Mapping[str, Any], second: Mapping[str, Any]) -> list[str]:
    """The files that make the space, where they differ: not those of one tower's preprocessing."""
    ours, theirs = first.get("files") or {}, second.get("files") or {}
    return [
        name
        for name in sorted({*ours, *theirs})
        if ours.get(name) != theirs.get(name)
        and (name == "config.json" or name.endswith((".safetensors", ".bin")))
    ]


def _naming(settings: Settings, name: str) -> list[str]:
    return [f.name for f in settings.features.values() if name in f.shares_space_with]


def _configured(feature: Feature) -> dict[str, Any]:
    plugin = feature.encoder
    recipe = registry.quick_recipe(plugin.kind, plugin.params)
    # A kind that learns has other vectors in each feature, whatever its parameters are.
    return recipe or {"kind": plugin.kind, "learned for": feature.name}
