"""Columns that monitors are told to look at, held against those that sources keep."""

from __future__ import annotations

from typing import TYPE_CHECKING

import flows.monitors.base
import flows.sources.base
from flows.config.nearest import hint
from flows.config.settings import SettingsError
from flows.monitors._profile import EVENT_TIME
from storage.parts import PARTS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from flows.config.settings import Feature, Monitor


def check(features: Mapping[str, Feature], defaults: Sequence[Monitor]) -> None:
    """Refuse monitors of columns that there are none of, as far as that can be told by now.

    A column of `records`, which a feature may have without each of them, must be in one of those
    that the monitor looks at; one of any other monitor in all of them.

    Args:
        features: as configured.
        defaults: the monitors of a feature that names none.

    Raises:
        SettingsError: with the nearest column that there is.
    """
    shared: dict[tuple[str, str, str], list[Feature]] = {}
    for feature in features.values():
        for plugin in feature.monitors or defaults:
            for key, names in flows.monitors.base.columns(plugin.kind, plugin.params).items():
                for name in names:
                    if flows.monitors.base.of_vectors(plugin.kind):
                        _refuse(plugin.name, key, name, [feature], features)
                    else:
                        shared.setdefault((plugin.name, key, name), []).append(feature)
    for (monitor, key, name), those in shared.items():
        _refuse(monitor, key, name, those, features, also=True)


def kept(feature: Feature, features: Mapping[str, Feature]) -> list[str] | None:
    """The columns that are kept beside a feature's vectors; None where only the source knows."""
    if feature.over is None:
        return flows.sources.base.keeps(feature.source.params)
    found: list[str] = []
    for place, part in enumerate(feature.over.parts):
        # Of the first part all that it keeps is handed on, of the others what is named.
        names = [] if place else kept(features[part.feature], features)
        names = names if part.keep is None else part.keep
        if names is None:
            return None
        found += names
    return found


def _refuse(
    monitor: str,
    key: str,
    name: str,
    those: Iterable[Feature],
    features: Mapping[str, Feature],
    *,
    also: bool = False,
) -> None:
    """Refuse a column that none of these features has; ``also`` one of their contents will do."""
    known: list[str] = []
    for feature in those:
        names = kept(feature, features)
        content = _content(feature) if also else []
        if names is None or content is None:
            return
        known += [*names, *content]
    if name in {*known, *PARTS.names, *([EVENT_TIME] if also else [])}:
        return
    where = " and ".join(f"[features.{feature.name}]" for feature in those)
    remedy = hint(name, dict.fromkeys(known)) if known else "; name it as keep in the source"
    raise SettingsError(
        f"[monitors.{monitor}] {key}: there is no kept column {name!r} in {where}{remedy}"
    )


def _content(feature: Feature) -> list[str] | None:
    """The columns that contents are made of; None where only the source knows."""
    if feature.over is not None:
        return []
    found = getattr(feature.source.params, "content", None)
    return [found] if isinstance(found, str) else list(found) if found else None
