"""The tables ``[features.NAME]``: their keys, and what they may name and be called."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from encoders import registry
from flows.config.nearest import hint
from flows.config.parsing import parse
from flows.config.settings import Feature, IndexPolicy, Over, PartOf, Plugin, SettingsError
from flows.lifecycle.gates import Gates
from flows.monitoring import references
from flows.operations.recurrence import check_cron
from flows.pipeline import kin
from flows.searching import spaces
from storage import clusters
from storage.names import CATALOG_TABLES, TAKEN

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from encoders.media import Limits
    from flows.config.plugins import Named

P = TypeVar("P", bound=Plugin)

_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")
_VERSIONED = re.compile(r".*_v\d+")
_OF_CLUSTERS = re.compile(rf"(?P<feature>.+?)(_v\d+)?_({'|'.join(clusters.VIEWS)})")
_OF_HISTORY = re.compile(r"(?P<feature>.+?)(_v\d+)?_(history|at)")
_SMALLEST, _LARGEST = 16, 512
"""Pixels of a thumbnail: beyond, tables hold more pictures than vectors."""
_MOST_CANARIES = 1000
_MOST_FALSE = 0.5
"""A larger chance of ever raising a false alarm is not worth a series."""


@dataclass(frozen=True)
class FeatureKeys:
    """The keys of ``[features.NAME]``, before names are resolved."""

    encoder: str
    source: str | None = None
    over: list[Any] = field(default_factory=list)
    require: Literal["all", "any"] = "all"
    monitors: list[str] = field(default_factory=list)
    vanished: Literal["remove", "keep"] = "remove"
    max_dead: float = 0.1
    max_deleted: float = 0.5
    history: bool = False
    update: Literal["configured", "live", "both"] = "configured"
    schedule: str | None = None
    reference: str = "previous"
    false_alarms: float = 0.05
    shares_space_with: str | list[str] = field(default_factory=list)
    gates: dict[str, Any] = field(default_factory=dict)
    thumbnails: int = 0
    canaries: int = 100
    alerts: list[str] | None = None
    index: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.thumbnails and not _SMALLEST <= self.thumbnails <= _LARGEST:
            raise ValueError(
                f"thumbnails is the longer side in pixels, {_SMALLEST} to {_LARGEST}, or 0 for "
                f"none, got {self.thumbnails}"
            )
        if not 0 <= self.canaries <= _MOST_CANARIES:
            raise ValueError(
                f"canaries is how many contents are kept, up to {_MOST_CANARIES:,}, or 0 for none, "
                f"got {self.canaries}"
            )
        references.check(self.reference)
        if not 0 < self.false_alarms <= _MOST_FALSE:
            raise ValueError(
                "false_alarms is the chance that a monitor ever raises a false alarm, above 0 and "
                f"at most {_MOST_FALSE:g}, got {self.false_alarms}; 0.05 is usual"
            )
        for name in ("max_dead", "max_deleted"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} is a share from 0 to 1, got {getattr(self, name)}")
        if (self.source is None) == (not self.over):
            raise ValueError(
                "a feature needs either a source, or over: the features whose vectors it is made of"
            )
        if self.over and self.history:
            raise ValueError(
                "history = true cannot be together with over: the parts of a record change at "
                "times of their own; keep the histories of the parts, and join them in SQL"
            )
        if self.schedule is not None:
            check_cron("schedule", self.schedule)
        doubled = [
            name for place, name in enumerate(self.monitors) if name in self.monitors[:place]
        ]
        if doubled:
            raise ValueError(f"monitors names {doubled[0]!r} more than once; leave one out")


def read(raw: Mapping[str, Any], named: Named, limits: Limits) -> dict[str, Feature]:
    """The features of a configuration, each with the plug-ins that it names.

    Args:
        raw: its tables, with their variables filled in.
        named: what they may name.
        limits: what a picture or a recording may cost.

    Raises:
        SettingsError: on the first thing that is wrong.
    """
    found = {
        name: _feature(name, keys, named, limits) for name, keys in raw.get("features", {}).items()
    }
    _refuse_clashes(found)
    spaces.check_names(found)
    kin.check(found)
    for feature in found.values():
        _check_reads(feature)
    return found


def _feature(name: str, table: object, there: Named, limits: Limits) -> Feature:
    keys, gates, index = feature_keys(name, table)
    return Feature(
        name=name,
        source=_source(keys, there.sources, name),
        encoder=_named(keys.encoder, there.encoders, name, "encoder"),
        monitors=tuple(_named(m, there.monitors, name, "monitor") for m in keys.monitors),
        vanished=keys.vanished,
        max_dead=keys.max_dead,
        max_deleted=keys.max_deleted,
        history=keys.history,
        update=keys.update,
        schedule=keys.schedule,
        reference=keys.reference,
        false_alarms=keys.false_alarms,
        shares_space_with=_listed(keys.shares_space_with),
        limits=limits,
        gates=gates,
        thumbnails=keys.thumbnails,
        canaries=keys.canaries,
        alerts=_channels(keys, there.channels, name),
        index=index,
    )


def feature_keys(
    name: str,
    table: Any,  # noqa: ANN401 - TOML
) -> tuple[FeatureKeys, Gates, IndexPolicy]:
    """What ``[features.NAME]`` says, before the plug-ins that it names are looked for.

    Raises:
        SettingsError: on the first thing that is wrong.
    """
    _check_feature_name(name)
    keys = parse(FeatureKeys, table, f"[features.{name}]")
    gates = parse(Gates, keys.gates, f"[features.{name}.gates]")
    return keys, gates, parse(IndexPolicy, keys.index, f"[features.{name}.index]")


def _source(parsed: FeatureKeys, sources: Mapping[str, Plugin], feature: str) -> Plugin:
    """Where a feature's records come from: a source, or other features."""
    if parsed.source is not None:
        return _named(parsed.source, sources, feature, "source")
    where = f"[features.{feature}] over"
    given = [{"feature": part} if isinstance(part, str) else part for part in parsed.over]
    parts = tuple(parse(PartOf, part, where) for part in given)
    names = [part.feature for part in parts]
    doubled = [name for place, name in enumerate(names) if name in names[:place]]
    if doubled:
        raise SettingsError(f"{where} names {doubled[0]!r} more than once; leave one out")
    return Plugin(" + ".join(names), "features", Over(parts, parsed.require))


def _channels(
    parsed: FeatureKeys, channels: Mapping[str, Plugin], feature: str
) -> tuple[Plugin, ...]:
    """Those that a feature names; all where it names none."""
    names = channels if parsed.alerts is None else parsed.alerts
    return tuple(_named(name, channels, feature, "alert channel") for name in names)


def _listed(names: str | list[str]) -> tuple[str, ...]:
    return (names,) if isinstance(names, str) else tuple(names)


def _check_feature_name(name: str) -> None:
    if not _NAME.fullmatch(name) or _VERSIONED.fullmatch(name) or name in TAKEN:
        raise SettingsError(
            f"a feature cannot be called {name!r}: it becomes a SQL view, so it needs lower-case "
            "letters, digits and underscores, a letter first, no ending like _v3, and must not be "
            f"a word of SQL's or a table of the catalog ({', '.join(CATALOG_TABLES)})"
        )


def _refuse_clashes(features: Mapping[str, Feature]) -> None:
    """Refuse a feature that is called as a view of another's history or clusters is."""
    for name in features:
        told = _OF_CLUSTERS.fullmatch(name)
        if told and told["feature"] in features:
            raise SettingsError(
                f"a feature cannot be called {name!r} beside [features.{told['feature']}], whose "
                "clusters SQL shows under this name; call one of them otherwise"
            )
        told = _OF_HISTORY.fullmatch(name)
        owner = features.get(told["feature"]) if told else None
        if owner is not None and owner.history:
            raise SettingsError(
                f"a feature cannot be called {name!r} beside [features.{owner.name}], which keeps "
                "a history: SQL shows that history under this name; call one of them otherwise"
            )


def _check_reads(feature: Feature) -> None:
    """Refuse an encoder of vectors without features to be over, and any other with them."""
    plugin = feature.encoder
    reads = registry.modality(plugin.kind, plugin.params)
    if feature.thumbnails and reads != "image":
        raise SettingsError(
            f"[features.{feature.name}] asks for thumbnails, which only images have, and its "
            f"encoder {plugin.name!r} of kind {plugin.kind!r} reads {reads}; remove the key"
        )
    if (reads == "vector") != (feature.over is not None):
        what = "over features" if feature.over else f"of the source {feature.source.name!r}"
        kinds = " or ".join(map(repr, registry.reading("vector")))
        able = f"choose one of kind {kinds}, with reads = 'vector' where its kind takes that key"
        remedy = able if feature.over else "name features: over = [...]"
        raise SettingsError(
            f"[features.{feature.name}] is {what}, and its encoder {plugin.name!r} of kind "
            f"{plugin.kind!r} reads {'vectors' if reads == 'vector' else reads}; {remedy}"
        )
    strange = set(getattr(plugin.params, "weights", ())) if feature.over is not None else set()
    if feature.over is not None and (strange := strange - set(kin.parents(feature))):
        name = min(strange)
        raise SettingsError(
            f"[encoders.{plugin.name}] has a weight for {name!r}, which [features.{feature.name}] "
            f"is not over{hint(name, kin.parents(feature))}"
        )
    if reads == "vector" and plugin.params.parts:
        raise SettingsError(
            f"[encoders.{plugin.name}] names parts, which a run fills in from over in "
            f"[features.{feature.name}]; take them out"
        )


def refuse_undefined(name: str, known: Collection[str], feature: str, what: str) -> None:
    """Refuse a plug-in that a feature names, where there is none of that name.

    Raises:
        SettingsError: with the nearest name.
    """
    if name not in known:
        raise SettingsError(
            f"[features.{feature}] names the {what} {name!r}, which is not defined"
            f"{hint(name, known)}"
        )


def _named(name: str, known: Mapping[str, P], feature: str, what: str) -> P:
    refuse_undefined(name, known, feature, what)
    return known[name]
