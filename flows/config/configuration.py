"""The configuration: TOML files merged, environment variables filled in, everything checked once.

``base.toml`` in the folder of the named file comes first, then the named file, then ``local.toml``.
Tables are merged key by key, except that a plug-in whose ``kind`` changes is replaced as a whole.
``${NAME}`` in a string is taken from the environment (``${NAME:-default}`` where it may be unset,
``$${`` for a literal ``${``), so that secrets stay out of the files. They stay out of the store as
well: a plug-in remembers what its keys said before they were filled in, and `flows.output.redact`
keeps the values out of all that is written down.

Relative paths are taken from the project folder: the parent of the file's folder if that is called
``conf``, else the file's folder. A scheduled run therefore works from wherever it is started.
"""

from __future__ import annotations

import dataclasses
import re
import tomllib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeVar, get_args

import encoders.base
import flows.monitors.base
import flows.sources.base
from encoders.media import Limits
from flows.alerts import hooks
from flows.config import layers, monitored_columns
from flows.config.anchors import anchored
from flows.config.nearest import hint
from flows.config.parsing import parse, refuse_unknown
from flows.config.settings import (
    Engine,
    Feature,
    Gc,
    IndexPolicy,
    Monitor,
    Over,
    PartOf,
    Plugin,
    Project,
    Reports,
    Settings,
    SettingsError,
    Store,
)
from flows.config.templates import TemplateError, fill, is_template, unfilled
from flows.lifecycle.gates import Gates
from flows.monitoring import references
from flows.operations import schedules
from flows.operations.recurrence import check_cron
from flows.output.redact import redact, remember
from flows.pipeline import kin
from flows.searching import spaces
from storage import clusters
from storage.model import Blocks
from storage.names import CATALOG_TABLES, TAKEN

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from pathlib import Path

P = TypeVar("P", bound=Plugin)

DEFAULT_CONF = layers.DEFAULT_CONF
_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")
_VERSIONED = re.compile(r".*_v\d+")
_OF_CLUSTERS = re.compile(rf"(?P<feature>.+?)(_v\d+)?_({'|'.join(clusters.VIEWS)})")
_OF_HISTORY = re.compile(r"(?P<feature>.+?)(_v\d+)?_(history|at)")
_SMALLEST, _LARGEST = 16, 512
"""Pixels of a thumbnail: beyond, tables hold more pictures than vectors."""
_MOST_CANARIES = 1000
BLOCKS: tuple[str, ...] = get_args(Blocks)
_PLAIN_HEADERS = ("accept", "content-type", "user-agent")
_MOST_FALSE = 0.5
"""A larger chance of ever raising a false alarm is not worth a series."""
SECTIONS = (
    *("project", "store", "engine", "gc", "limits", "reports"),
    *("sources", "encoders", "monitors", "alerts", "features", "schedules"),
)


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


def find(conf: Path | None) -> Path:
    """The configuration file to read: the one named, ``$VECMILL_CONF``, or ``conf/base.toml``.

    Raises:
        SettingsError: if it is not there.
    """
    path = layers.named(conf)
    if not path.is_file():
        raise SettingsError(
            f"no configuration file {path}; name one with --conf, or begin here: "
            "`vecmill init PATH` writes one for your records"
        )
    return path


def load(conf: Path | None = None) -> Settings:
    """Read and check the configuration.

    Raises:
        SettingsError: on the first thing that is wrong, with the nearest valid name where there
            is one.
    """
    written = read(conf)
    try:
        return checked(fill(written.values, ""), written)
    except (SettingsError, TemplateError) as error:
        # Without its cause, which tells of the values too.
        raise SettingsError(redact(str(error))) from None


@dataclass(frozen=True)
class Written:
    """What files of a configuration say, merged; nothing is filled in or checked yet.

    Attributes:
        conf: the file that was named.
        root: the project folder.
        files: all that were read, in the order they were merged.
        values: the tables.
    """

    conf: Path
    root: Path
    files: tuple[Path, ...]
    values: dict[str, Any]


def read(conf: Path | None = None) -> Written:
    """Read the files of a configuration.

    Raises:
        SettingsError: if the one named is not there, or one is not valid TOML.
    """
    path = find(conf).resolve()
    files = layers.layers(path)
    merged: dict[str, Any] = {}
    for file in files:
        merged = _merge(merged, read_file(file))
    return Written(path, layers.project_root(path), files, merged)


def read_file(file: Path) -> dict[str, Any]:
    """The tables of one file.

    Raises:
        SettingsError: if it cannot be read, or is not valid TOML.
    """
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(f"cannot read {file}: {error.strerror}; check its rights") from error
    except (ValueError, RecursionError) as error:
        # tomllib lets int's own error through for thousands of digits, and recurses into brackets
        raise SettingsError(f"{file} is not valid TOML: {error}; mend it there") from error


def _merge(under: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(under)
    for key, value in over.items():
        old = merged.get(key)
        if isinstance(old, dict) and isinstance(value, dict) and _same_kind(old, value):
            merged[key] = _merge(old, value)
        else:
            merged[key] = value
    return merged


def _same_kind(old: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
    return bool(new.get("kind", old.get("kind")) == old.get("kind"))


def checked(raw: Mapping[str, Any], source: Written) -> Settings:
    """The settings that tables give, once their variables are filled in.

    Args:
        raw: the tables, which may be some of those that are written.
        source: where they were read.

    Raises:
        SettingsError: on the first thing that is wrong.
    """
    written, conf, root, files = source.values, source.conf, source.root, source.files
    refuse_unknown(raw, SECTIONS, "the configuration")
    for section in SECTIONS:
        if not isinstance(raw.get(section, {}), dict):
            raise SettingsError(f"[{section}] must be a table, got {raw[section]!r}")
    limits = parse(Limits, raw.get("limits", {}), "[limits]")
    sources = _plugins(raw, written, "sources", flows.sources.base)
    encoder_plugins = {
        name: _anchored(plugin, root)
        for name, plugin in _plugins(raw, written, "encoders", encoders.base).items()
    }
    monitors = _monitors(raw, written)
    channels = _alerts(raw)
    features = {}
    for name, keys in raw.get("features", {}).items():
        parsed, gates, index = feature_keys(name, keys)
        features[name] = Feature(
            name=name,
            source=_source(parsed, sources, name),
            encoder=_named(parsed.encoder, encoder_plugins, name, "encoder"),
            monitors=tuple(_named(m, monitors, name, "monitor") for m in parsed.monitors),
            vanished=parsed.vanished,
            max_dead=parsed.max_dead,
            max_deleted=parsed.max_deleted,
            history=parsed.history,
            update=parsed.update,
            schedule=parsed.schedule,
            reference=parsed.reference,
            false_alarms=parsed.false_alarms,
            shares_space_with=_listed(parsed.shares_space_with),
            limits=limits,
            gates=gates,
            thumbnails=parsed.thumbnails,
            canaries=parsed.canaries,
            alerts=_channels(parsed, channels, name),
            index=index,
        )
    _refuse_clashes(features)
    spaces.check_names(features)
    kin.check(features)
    for feature in features.values():
        _check_reads(feature)
    store = parse(Store, raw.get("store", {}), "[store]")
    engine = parse(Engine, raw.get("engine", {}), "[engine]")
    gc = parse(Gc, raw.get("gc", {}), "[gc]")
    defaults = tuple(monitors[kind] for kind in flows.monitors.base.by_default())
    monitored_columns.check(features, defaults)
    reports = parse(Reports, raw.get("reports", {}), "[reports]")
    served = schedules.read(raw.get("schedules", {}), features)
    project = parse(Project, raw.get("project", {}), "[project]")
    return Settings(
        *(conf, root, files, store, engine, features, defaults, gc, reports, served, project)
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


def _plugins(
    raw: Mapping[str, Any],
    written: Mapping[str, Any],
    section: str,
    registry: Any,  # noqa: ANN401 - one of the three base modules
    *also: str,
) -> dict[str, Plugin]:
    plugins = {}
    for name, table in raw.get(section, {}).items():
        where = f"[{section}.{name}]"
        if not isinstance(table, dict):
            raise SettingsError(f"{where} must be a table, got {table!r}")
        keys = dict(table)
        kind = keys.pop("kind", name if section == "monitors" else None)
        if kind is None:
            raise SettingsError(f"{where} has no kind; choose from {', '.join(registry.kinds())}")
        if kind not in registry.kinds():
            near = hint(str(kind), registry.kinds())
            raise SettingsError(f"{where} has an unknown kind {kind!r}{near}")
        params = parse(registry.params_type(kind), keys, where, "kind", *also)
        given = written.get(section, {}).get(name, {})
        templates = {key: given[key] for key in keys if is_template(given.get(key))}
        plugins[name] = Plugin(name, kind, params, templates)
    return plugins


def _monitors(raw: Mapping[str, Any], written: Mapping[str, Any]) -> dict[str, Monitor]:
    """The monitors that are configured, and of each other kind one as it comes."""
    kinds, blocks = flows.monitors.base.kinds(), {}
    bare: dict[str, Any] = {}
    for name, table in raw.get("monitors", {}).items():
        bare[name] = table
        if isinstance(table, dict):
            blocks[name] = table.get("blocks", "promotion")
            bare[name] = {key: value for key, value in table.items() if key != "blocks"}
            if blocks[name] not in BLOCKS:
                raise SettingsError(
                    f"[monitors.{name}] blocks must be one of {', '.join(BLOCKS)}, got "
                    f"{blocks[name]!r}{hint(str(blocks[name]), BLOCKS)}"
                )
    plugins = _plugins({"monitors": bare}, written, "monitors", flows.monitors.base, "blocks")
    as_they_come = {
        kind: Plugin(kind, kind, flows.monitors.base.params_type(kind)())
        for kind in kinds
        if kind not in plugins
    }
    return {
        name: Monitor(p.name, p.kind, p.params, p.templates, blocks.get(name, "promotion"))
        for name, p in (plugins | as_they_come).items()
    }


def _alerts(raw: Mapping[str, Any]) -> dict[str, Plugin]:
    """The channels that alerts go to; what their addresses and headers say is told nowhere."""
    channels = {}
    for name, table in raw.get("alerts", {}).items():
        where = f"[alerts.{name}]"
        if not isinstance(table, dict):
            raise SettingsError(f"{where} must be a table")
        kind = table.get("kind")
        if kind not in hooks.KINDS:
            given = "no kind" if kind is None else f"an unknown kind {kind!r}"
            raise SettingsError(f"{where} has {given}; there are: {', '.join(hooks.KINDS)}")
        # Headers may be keys too; but to black out "application/json" would help nobody.
        hidden = _values(table.get("headers"), but=_PLAIN_HEADERS)
        for value in (table.get("url"), *hidden):
            if isinstance(value, str):
                remember(f"{where} url or header", value)
        keys = {key: value for key, value in table.items() if key != "kind"}
        channels[name] = Plugin(name, kind, parse(hooks.KINDS[kind], keys, where, "kind"))
    return channels


def _values(table: object, but: Collection[str]) -> list[object]:
    if not isinstance(table, dict):
        return []
    return [value for key, value in table.items() if str(key).lower() not in but]


def _channels(
    parsed: FeatureKeys, channels: Mapping[str, Plugin], feature: str
) -> tuple[Plugin, ...]:
    """Those that a feature names; all where it names none."""
    names = channels if parsed.alerts is None else parsed.alerts
    return tuple(_named(name, channels, feature, "alert channel") for name in names)


def _anchored(plugin: Plugin, root: Path) -> Plugin:
    """An encoder whose files are found wherever one stands; a default is no file of the project."""
    given = {
        field_.name: getattr(plugin.params, field_.name)
        for field_ in dataclasses.fields(plugin.params)
        if field_.name in encoders.base.paths(plugin.kind)
        and getattr(plugin.params, field_.name) not in {field_.default, None}
    }
    found = {name: anchored(value, root) for name, value in given.items()}
    # Filled in again, a template must give the same path, from wherever one stands.
    templates = {
        name: template
        if found.get(name) in {None, given.get(name)}
        else f"{unfilled(str(root))}/./{template}"
        for name, template in plugin.templates.items()
    }
    params = dataclasses.replace(plugin.params, **found)
    return dataclasses.replace(plugin, params=params, templates=templates)


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


def _check_reads(feature: Feature) -> None:
    """Refuse an encoder of vectors without features to be over, and any other with them."""
    plugin = feature.encoder
    reads = encoders.base.modality(plugin.kind, plugin.params)
    if feature.thumbnails and reads != "image":
        raise SettingsError(
            f"[features.{feature.name}] asks for thumbnails, which only images have, and its "
            f"encoder {plugin.name!r} of kind {plugin.kind!r} reads {reads}; remove the key"
        )
    if (reads == "vector") != (feature.over is not None):
        what = "over features" if feature.over else f"of the source {feature.source.name!r}"
        kinds = " or ".join(map(repr, encoders.base.reading("vector")))
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


def _listed(names: str | list[str]) -> tuple[str, ...]:
    return (names,) if isinstance(names, str) else tuple(names)


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
