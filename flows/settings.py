"""The configuration: TOML files merged, environment variables filled in, everything checked once.

``base.toml`` in the folder of the named file comes first, then the named file, then ``local.toml``.
Tables are merged key by key, except that a plug-in whose ``kind`` changes is replaced as a whole.
``${NAME}`` in a string is taken from the environment (``${NAME:-default}`` where it may be unset,
``$${`` for a literal ``${``), so that secrets stay out of the files.

Relative paths are taken from the project folder: the parent of the file's folder if that is called
``conf``, else the file's folder. A scheduled run therefore works from wherever it is started.
"""

from __future__ import annotations

import dataclasses
import difflib
import os
import re
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar, cast

import encoders.base
import flows.monitors.base
import flows.sources.base
from flows.anchors import anchored
from storage.names import CATALOG_TABLES, TAKEN

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

DEFAULT_CONF = "conf/base.toml"
_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")
_VERSIONED = re.compile(r".*_v\d+")
_VARIABLE = re.compile(r"\$(\$)?\{([^}]*)\}")
_MAX_RETRIES = 10
_CRON_FIELDS = 5
_SECTIONS = ("store", "engine", "sources", "encoders", "monitors", "features")

T = TypeVar("T")


class SettingsError(Exception):
    """The configuration cannot be used; the message says where and how to mend it."""


@dataclass(frozen=True)
class Store:
    """Where the store lies.

    Attributes:
        vectors: a folder, or an object-store URI that LanceDB takes (``s3://``, ``gs://``).
        catalog: the DuckDB file; staged work, fitted encoders and locks lie in its folder.
    """

    vectors: str = "data/vectors"
    catalog: str = "data/catalog.duckdb"


@dataclass(frozen=True)
class Engine:
    """How a run is carried out.

    Attributes:
        shard_size: records that one task encodes.
        workers: tasks that encode at once. An encoder already uses every core, so 1 is best
            unless reading is slow.
        retries: how often a step that failed for a passing reason is tried again, at most 10: the
            pauses double from one second.
        wait_seconds: how long to wait for another run of the feature, or for the catalog.
    """

    shard_size: int = 2048
    workers: int = 1
    retries: int = 2
    wait_seconds: float = 600.0

    def __post_init__(self) -> None:
        for name in ("shard_size", "workers"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if not 0 <= self.retries <= _MAX_RETRIES:
            raise ValueError(f"retries must be 0 to {_MAX_RETRIES}, got {self.retries}")
        if not self.wait_seconds >= 0:  # so that NaN is refused too
            raise ValueError(f"wait_seconds must be 0 or more, got {self.wait_seconds}")


@dataclass(frozen=True)
class Plugin:
    """A source, encoder or monitor as configured: its name, its kind (a file) and its keys."""

    name: str
    kind: str
    params: Any


@dataclass(frozen=True)
class Feature:
    """Source x encoder x policy, under the name that readers use.

    Attributes:
        vanished: what becomes of vectors whose record is gone from the source.
        max_dead: the share of dead letters above which a run fails and publishes nothing.
        schedule: a cron line of five fields. It is checked and kept for the scheduler that is to
            serve it; until then cron, or a Prefect deployment of `flows.run.embed`, starts runs.
        reference: what monitors compare a run with: the state published before it, or the first.
    """

    name: str
    source: Plugin
    encoder: Plugin
    monitors: tuple[Plugin, ...] = ()
    vanished: Literal["remove", "keep"] = "remove"
    max_dead: float = 0.1
    schedule: str | None = None
    reference: Literal["previous", "first"] = "previous"


@dataclass(frozen=True)
class Settings:
    """The whole configuration, checked.

    Attributes:
        conf: the file that was named.
        root: the project folder, from which relative paths are taken.
        files: the files it was read from, in the order they were merged.
        default_monitors: one of each kind, for features that name no monitors of their own.
    """

    conf: Path
    root: Path
    files: tuple[Path, ...]
    store: Store
    engine: Engine
    features: dict[str, Feature]
    default_monitors: tuple[Plugin, ...]

    @property
    def catalog(self) -> Path:
        """The catalog's file."""
        return self.root / self.store.catalog

    @property
    def vectors(self) -> str:
        """The folder or URI of the vector tables."""
        where = self.store.vectors
        return where if "://" in where else str(self.root / where)

    def feature(self, name: str) -> Feature:
        """The feature of that name.

        Raises:
            SettingsError: if there is none.
        """
        if name not in self.features:
            raise SettingsError(f"no feature {name!r}{_hint(name, self.features)}")
        return self.features[name]


@dataclass(frozen=True)
class _FeatureKeys:
    """The keys of ``[features.NAME]``, before names are resolved."""

    source: str
    encoder: str
    monitors: list[str] = field(default_factory=list)
    vanished: Literal["remove", "keep"] = "remove"
    max_dead: float = 0.1
    schedule: str | None = None
    reference: Literal["previous", "first"] = "previous"

    def __post_init__(self) -> None:
        if not 0 <= self.max_dead <= 1:
            raise ValueError(f"max_dead is a share from 0 to 1, got {self.max_dead}")
        if self.schedule is not None and len(self.schedule.split()) != _CRON_FIELDS:
            raise ValueError(
                f"schedule must be a cron line of {_CRON_FIELDS} fields such as '0 * * * *', got "
                f"{self.schedule!r}"
            )
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
    path = conf or Path(os.environ.get("VECMILL_CONF") or DEFAULT_CONF)
    if not path.is_file():
        raise SettingsError(
            f"no configuration file {path}; name one with --conf, or write a starter with "
            "`vecmill init`"
        )
    return path


def load(conf: Path | None = None) -> Settings:
    """Read and check the configuration.

    Raises:
        SettingsError: on the first thing that is wrong, with the nearest valid name where there
            is one.
    """
    path = find(conf).resolve()
    layers = (path.parent / "base.toml", path, path.parent / "local.toml")
    files = tuple(dict.fromkeys(layer for layer in layers if layer.is_file()))
    merged: dict[str, Any] = {}
    for file in files:
        merged = _merge(merged, _read(file))
    root = path.parent.parent if path.parent.name == "conf" else path.parent
    return _check(_expand(merged, "", os.environ), path, root, files)


def parse_params(kind: str, keys: Mapping[str, Any]) -> object:
    """The parameters of an encoder kind from plain values, checked as those of a file are."""
    return _parse(encoders.base.params_type(kind), dict(keys), f"the encoder {kind!r}")


def _read(file: Path) -> dict[str, Any]:
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


def _expand(value: Any, where: str, environment: Mapping[str, str]) -> Any:  # noqa: ANN401 - TOML
    if isinstance(value, dict):
        return {k: _expand(v, f"{where}.{k}".lstrip("."), environment) for k, v in value.items()}
    if isinstance(value, list):
        return [_expand(item, where, environment) for item in value]
    if not isinstance(value, str):
        return value

    def fill(match: re.Match[str]) -> str:
        if match[1]:
            return match[0][1:]
        name, separator, default = match[2].partition(":-")
        if name in environment:
            return environment[name]
        if separator:
            return default
        raise SettingsError(
            f"{where} uses ${{{name}}}, but the environment variable {name} is not set; "
            f"set it, or give a default with ${{{name}:-...}}"
        )

    return _VARIABLE.sub(fill, value)


def _check(raw: Mapping[str, Any], conf: Path, root: Path, files: tuple[Path, ...]) -> Settings:
    _refuse_unknown(raw, _SECTIONS, "the configuration")
    for section in _SECTIONS:
        if not isinstance(raw.get(section, {}), dict):
            raise SettingsError(f"[{section}] must be a table, got {raw[section]!r}")
    sources = _plugins(raw, "sources", flows.sources.base)
    encoder_plugins = {
        name: _anchored(plugin, root)
        for name, plugin in _plugins(raw, "encoders", encoders.base).items()
    }
    monitors = _plugins(raw, "monitors", flows.monitors.base)
    for kind in flows.monitors.base.kinds():
        if kind not in monitors:
            monitors[kind] = Plugin(kind, kind, flows.monitors.base.params_type(kind)())
    features = {}
    for name, keys in raw.get("features", {}).items():
        _check_feature_name(name)
        parsed = _parse(_FeatureKeys, keys, f"[features.{name}]")
        features[name] = Feature(
            name=name,
            source=_named(parsed.source, sources, name, "source"),
            encoder=_named(parsed.encoder, encoder_plugins, name, "encoder"),
            monitors=tuple(_named(m, monitors, name, "monitor") for m in parsed.monitors),
            vanished=parsed.vanished,
            max_dead=parsed.max_dead,
            schedule=parsed.schedule,
            reference=parsed.reference,
        )
    store = _parse(Store, raw.get("store", {}), "[store]")
    engine = _parse(Engine, raw.get("engine", {}), "[engine]")
    defaults = tuple(monitors[kind] for kind in flows.monitors.base.kinds())
    return Settings(conf, root, files, store, engine, features, defaults)


def _plugins(raw: Mapping[str, Any], section: str, registry: Any) -> dict[str, Plugin]:  # noqa: ANN401 - one of the three base modules
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
            near = _hint(str(kind), registry.kinds())
            raise SettingsError(f"{where} has an unknown kind {kind!r}{near}")
        plugins[name] = Plugin(name, kind, _parse(registry.params_type(kind), keys, where, "kind"))
    return plugins


def _anchored(plugin: Plugin, root: Path) -> Plugin:
    """An encoder whose files are found wherever one stands; a default is no file of the project."""
    given = {
        field_.name: getattr(plugin.params, field_.name)
        for field_ in dataclasses.fields(plugin.params)
        if field_.name in encoders.base.paths(plugin.kind)
        and getattr(plugin.params, field_.name) not in {field_.default, None}
    }
    found = {name: anchored(value, root) for name, value in given.items()}
    return dataclasses.replace(plugin, params=dataclasses.replace(plugin.params, **found))


def _check_feature_name(name: str) -> None:
    if not _NAME.fullmatch(name) or _VERSIONED.fullmatch(name) or name in TAKEN:
        raise SettingsError(
            f"a feature cannot be called {name!r}: it becomes a SQL view, so it needs lower-case "
            "letters, digits and underscores, a letter first, no ending like _v3, and must not be "
            f"a word of SQL's or a table of the catalog ({', '.join(CATALOG_TABLES)})"
        )


def _named(name: str, known: Mapping[str, Plugin], feature: str, what: str) -> Plugin:
    if name not in known:
        raise SettingsError(
            f"[features.{feature}] names the {what} {name!r}, which is not defined"
            f"{_hint(name, known)}"
        )
    return known[name]


def _parse(kind: type[T], keys: Any, where: str, *also: str) -> T:  # noqa: ANN401 - TOML
    from pydantic import TypeAdapter, ValidationError

    if not isinstance(keys, dict):
        raise SettingsError(f"{where} must be a table, got {keys!r}")
    fields = dataclasses.fields(cast("Any", kind))
    _refuse_unknown(keys, [*also, *(f.name for f in fields)], where)
    for field_ in fields:
        # Numbers may come as strings, from the environment; but true is no number.
        if isinstance(keys.get(field_.name), bool) and "bool" not in str(field_.type):
            value = str(keys[field_.name]).lower()
            raise SettingsError(f"{where} {field_.name} = {value}: expected {field_.type}")
    try:
        return TypeAdapter(kind).validate_python(keys)
    except ValidationError as error:
        raise SettingsError(_describe(error.errors(include_url=False), keys, where)) from error


def _describe(errors: Iterable[Mapping[str, Any]], keys: Mapping[str, Any], where: str) -> str:
    """One clause a key; a key that may be of several types has an error for each of them."""
    clauses: dict[str, list[str]] = {}
    for error in errors:
        message = error["msg"].removeprefix("Value error, ").removeprefix("Input should be ")
        name = str(error["loc"][0]) if error["loc"] else ""
        if error["type"] == "missing":
            clauses[f"{where} needs the key {name!r}"] = []
        elif not name:
            clauses[f"{where}: {message}"] = []
        else:
            clause = clauses.setdefault(f"{where} {name} = {keys[name]!r}: expected ", [])
            clause.extend([message] if message not in clause else [])
    return "; ".join(clause + " or ".join(messages) for clause, messages in clauses.items())


def _refuse_unknown(keys: Iterable[str], known: Collection[str], where: str) -> None:
    for key in keys:
        if key not in known:
            raise SettingsError(f"unknown key {key!r} in {where}{_hint(key, known)}")


def _hint(name: str, known: Collection[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    if near:
        return f"; did you mean {near[0]!r}?"
    return f"; there are: {', '.join(sorted(known))}" if known else "; none is defined yet"
