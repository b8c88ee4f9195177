"""Everything that is wrong with a configuration, not only the first thing.

Each table is checked by itself with what it names, by the code that a run checks it by; so that one
fault hides no other, and none is told twice.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from flows.config import configuration, layers
from flows.config.configuration import SECTIONS, Written
from flows.config.lines import line_of
from flows.config.settings import SettingsError
from flows.config.templates import TemplateError, fill
from flows.operations import schedules
from flows.output.redact import redact

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from flows.config.settings import Settings

_PLUGINS = ("sources", "encoders", "monitors", "alerts")
_NAMING = ("features", "schedules")  # what they name is checked first
_UNKNOWN = re.compile(r"unknown key '(?P<key>[^']*)' in \[(?P<table>[^\]]+)\]")
_KEYED = re.compile(r"\[[^\]]+\] (?P<key>\w+)(?: =|:)")
_NAMES = re.compile(r"names the (?P<what>source|encoder|monitor|alert channel) '")
_KEY_OF = {"monitor": "monitors", "alert channel": "alerts"}
_VARIABLE = re.compile(r"\$(?P<literal>\$)?\{(?P<name>[^}]*)\}")
_AT = re.compile(r" \(at line (?P<line>\d+), column \d+\)")


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong, or that somebody may want to know.

    Attributes:
        where: the table, such as ``encoders.minilm``; empty for a whole file.
        found: what is wrong, and what to do.
        file: the file to mend it in, where that is known.
        line: of that file, from 1.
        fault: whether a run would fail of it; a note is no more than that.
    """

    where: str
    found: str
    file: Path | None = None
    line: int | None = None
    fault: bool = True


@dataclass
class Checked:
    """What came of it.

    Attributes:
        faults: in the order of the sections.
        settings: of the tables that are right, with the features that need no others; None where
            the files cannot be read.
        variables: the environment variables that the files name, and whether each is set.
    """

    faults: list[Fault] = field(default_factory=list)
    settings: Settings | None = None
    variables: dict[str, bool] = field(default_factory=dict)


def check(conf: Path | None) -> Checked:
    """Check a configuration through and through, as far as its files tell.

    Raises:
        SettingsError: if there is no such file.
    """
    configuration.find(conf)
    unreadable = list(_unreadable(layers.layers(layers.named(conf).resolve())))
    if unreadable:
        return Checked(unreadable)
    return _Checker(configuration.read(conf)).run()


def _unreadable(files: tuple[Path, ...]) -> Iterator[Fault]:
    for file in files:
        try:
            configuration.read_file(file)
        except SettingsError as error:
            at = _AT.search(str(error))
            told = str(error).removeprefix(f"{file} is ")  # the file is told beside it
            yield Fault("", told, file, int(at["line"]) if at else None)


class _Checker:
    def __init__(self, written: Written) -> None:
        self._written = written
        self._good: dict[str, dict[str, Any]] = {}
        self._found = Checked()

    def run(self) -> Checked:
        values = self._written.values
        for section in values:
            if section not in SECTIONS or not isinstance(values[section], dict):
                self._attempt({section: values[section]}, (section,))
        for section in SECTIONS:
            table = values.get(section)
            if isinstance(table, dict) and section in _PLUGINS:
                for name, keys in table.items():
                    self._plugin(section, name, keys)
            elif isinstance(table, dict) and section not in _NAMING:
                self._table({section: table}, (section,))
        self._features(values.get("features"))
        due = values.get("schedules")
        for name, keys in due.items() if isinstance(due, dict) else ():
            self._schedule(name, keys)
        try:
            self._found.settings = self._settings(self._good)
        except (SettingsError, TemplateError) as error:
            self._tell(str(error), ("features",))
        return self._found

    def _plugin(self, section: str, name: str, keys: Any) -> None:  # noqa: ANN401 - TOML
        self._table({section: {name: keys}}, (section, name))

    def _features(self, table: Any) -> None:  # noqa: ANN401 - TOML
        features = table if isinstance(table, dict) else {}
        waiting, done = dict(features), 0
        while waiting and done != len(waiting):
            done = len(waiting)
            for name in list(waiting):
                others = _named_features(waiting[name]) & {*features}
                if not others & {*waiting}:  # those that it is over come first
                    self._feature(name, waiting.pop(name), others)
        for name, keys in waiting.items():  # over one another, which checking all of them tells
            self._good.setdefault("features", {})[name] = keys

    def _feature(self, name: str, keys: Any, others: set[str]) -> None:  # noqa: ANN401 - TOML
        good = self._good
        missing = [
            part
            for section, part in _named_plugins(keys)
            if part in self._written.values.get(section, {}) and part not in good.get(section, {})
        ]
        broken = others - {*good.get("features", {})}
        if missing or broken:
            # What it names is told of already; of itself, its keys can be told.
            told = f"needs {', '.join([*missing, *sorted(broken)])}, which must be mended first"
            self._found.faults.append(self._fault(told, ("features", name), fault=False))
            return
        features = {other: good["features"][other] for other in _with_parts(good, others)}
        plugins = {section: good[section] for section in _PLUGINS if section in good}
        self._table({**plugins, "features": {**features, name: keys}}, ("features", name))

    def _schedule(self, name: str, keys: Any) -> None:  # noqa: ANN401 - TOML
        """Check a schedule beside the features that are written, whether they are right or not."""
        written = self._written.values.get("features")
        listed = keys.get("features") if isinstance(keys, dict) else None
        named = [one for one in listed if isinstance(one, str)] if isinstance(listed, list) else []
        try:
            schedules.refuse_undefined(name, named, written if isinstance(written, dict) else {})
        except SettingsError as error:
            self._tell(str(error), ("schedules", name))
        alone = {k: v for k, v in keys.items() if k != "features"} if named else keys
        self._table({"schedules": {name: alone}}, ("schedules", name))

    def _table(self, raw: dict[str, Any], table: tuple[str, ...]) -> None:
        """Check one table of some; once more without a key that nobody knows."""
        unset = self._unset(_at(self._written.values, table), table)
        if unset or not self._attempt(raw, table):
            return
        section, *name = table
        if name:
            self._good.setdefault(section, {})[name[0]] = _at(raw, table)
        else:
            self._good[section] = raw[section]

    def _attempt(self, raw: dict[str, Any], table: tuple[str, ...]) -> bool:
        told = False
        while True:
            try:
                self._settings(raw)
            except (SettingsError, TemplateError) as error:
                self._tell(str(error), table)
                told = True
                unknown = _UNKNOWN.match(str(error))
                rest = unknown and _without(raw, unknown["table"].split("."), unknown["key"])
                if not rest:
                    return False
                raw = rest
            else:
                return not told

    def _settings(self, raw: Mapping[str, Any]) -> Settings:
        return configuration.checked(fill(dict(raw), ""), self._written)

    def _unset(self, value: Any, table: tuple[str, ...]) -> bool:  # noqa: ANN401 - TOML
        """Tell of variables that are not set; whether there is one without a default."""
        found = False
        for key, text in _strings(value):
            for match in _VARIABLE.finditer(text):
                name, separator, _ = match["name"].partition(":-")
                if match["literal"]:
                    continue
                self._found.variables[name] = name in os.environ
                if name not in os.environ and not separator:
                    told = (
                        f"uses ${{{name}}}, but the environment variable {name} is not set; set "
                        f"it, or give a default with ${{{name}:-...}}"
                    )
                    self._found.faults.append(self._fault(told, table, key))
                    found = True
        return found

    def _tell(self, message: str, table: tuple[str, ...]) -> None:
        match = _UNKNOWN.match(message) or _KEYED.search(message)
        named = re.match(r"[^[]*\[([a-z_]+(?:\.[^\]\s]+)*)\]", message)
        if named and named[1].split(".")[0] in SECTIONS:
            table = tuple(named[1].split("."))
        key = match["key"] if match else None
        if names := _NAMES.search(message):
            key = _KEY_OF.get(names["what"], names["what"])
        self._found.faults.append(self._fault(redact(message), table, key))

    def _fault(
        self, message: str, table: tuple[str, ...], key: str | None = None, *, fault: bool = True
    ) -> Fault:
        place = line_of(self._written.files, table, key)
        file, line = place or (self._written.conf, None)
        return Fault(".".join(table), message, file, line, fault)


def _at(values: Any, table: tuple[str, ...]) -> Any:  # noqa: ANN401 - TOML
    for part in table:
        values = values.get(part) if isinstance(values, dict) else None
    return values


def _without(raw: Mapping[str, Any], table: list[str], key: str) -> dict[str, Any] | None:
    """The tables without one key; None where that is not there."""
    if not table:
        return {k: v for k, v in raw.items() if k != key} if key in raw else None
    inner = raw.get(table[0])
    rest = _without(inner, table[1:], key) if isinstance(inner, dict) else None
    return None if rest is None else {**raw, table[0]: rest}


def _named_plugins(keys: Any) -> Iterator[tuple[str, str]]:  # noqa: ANN401 - TOML
    """The plug-ins that a feature names, each with its section."""
    if isinstance(keys, dict):
        for key in ("source", "encoder"):
            if isinstance(keys.get(key), str):
                yield f"{key}s", keys[key]
        for section in ("monitors", "alerts"):
            names = keys.get(section)
            yield from ((section, n) for n in names or () if isinstance(n, str))


def _named_features(keys: Any) -> set[str]:  # noqa: ANN401 - TOML
    """The features that a feature is over, or shares a space with."""
    if not isinstance(keys, dict):
        return set()
    shared = keys.get("shares_space_with", [])
    found = [shared] if isinstance(shared, str) else shared
    over = keys.get("over", [])
    for part in over if isinstance(over, list) else ():
        found = [*found, part.get("feature") if isinstance(part, dict) else part]
    return {name for name in found if isinstance(name, str)}


def _with_parts(good: Mapping[str, Mapping[str, Any]], names: set[str]) -> set[str]:
    """Features with all those that they are over in turn."""
    found = set(names)
    for name in names:
        found |= _with_parts(good, _named_features(good["features"][name]) - found)
    return found


def _strings(value: Any, key: str | None = None) -> Iterator[tuple[str | None, str]]:  # noqa: ANN401 - TOML
    """All strings of a value, each with the key of the table that it stands at."""
    if isinstance(value, str):
        yield key, value
    elif isinstance(value, dict):
        for name, inner in value.items():
            yield from _strings(inner, key or name)
    elif isinstance(value, list):
        for inner in value:
            yield from _strings(inner, key)
