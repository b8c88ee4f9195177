"""Everything that is wrong with a configuration, not only the first thing.

Each table is checked by itself with what it names, by the code that a run checks it by. Where
something is wrong, it is told, taken out, and the rest is checked; in the place of a faulty plug-in
stands another one, so that the faults of the feature that names it are told as well.
"""

from __future__ import annotations

import os
import re
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from flows.config import configuration, features, layers, stand_ins
from flows.config.as_written import (
    at,
    named_features,
    named_plugins,
    strings,
    with_parts,
    without,
)
from flows.config.configuration import SECTIONS
from flows.config.faults import Fault, Faults
from flows.config.settings import SettingsError
from flows.config.templates import TemplateError, fill, is_template
from flows.config.written import find, read, read_file
from flows.monitors import base as monitors
from flows.operations import schedules

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from flows.config.settings import Settings
    from flows.config.written import Written

_PLUGINS = ("sources", "encoders", "monitors", "alerts")
_NAMING = ("features", "schedules")  # what they name is checked first
_NAMES = {
    *("source", "encoder", "monitors", "alerts", "over", "shares_space_with", "features"),
}
"""Keys of features and schedules that name other tables."""
_CALLED = {"sources": "source", "encoders": "encoder", "monitors": "monitor",
           "alerts": "alert channel"}  # fmt: skip
_VARIABLE = re.compile(r"\$(?P<literal>\$)?\{(?P<name>[^}]*)\}")
_AT = re.compile(r" \(at line (?P<line>\d+), column \d+\)")


@dataclass
class Checked:
    """What came of it.

    Attributes:
        faults: in the order of the sections.
        settings: of the features as far as they are right; None where no sense can be made of
            them together.
        stand_ins: sources and encoders of these settings that stand in for faulty ones, each with
            its section; and features whose source is not to be opened, since what their encoder
            reads is not known.
        variables: the environment variables that the files name, and whether each is set.
    """

    faults: list[Fault] = field(default_factory=list)
    settings: Settings | None = None
    stand_ins: set[tuple[str, str]] = field(default_factory=set)
    variables: dict[str, bool] = field(default_factory=dict)


def check(conf: Path | None) -> Checked:
    """Check a configuration through and through, as far as its files tell.

    Raises:
        SettingsError: if there is no such file.
    """
    find(conf)
    unreadable = list(_unreadable(layers.layers(layers.named(conf).resolve())))
    if unreadable:
        return Checked(unreadable)
    return _Checker(read(conf)).run()


def _unreadable(files: tuple[Path, ...]) -> Iterator[Fault]:
    for file in files:
        try:
            read_file(file)
        except SettingsError as error:
            at = _AT.search(str(error))
            told = str(error).removeprefix(f"{file} is ")  # the file is told beside it
            yield Fault("", told, file, int(at["line"]) if at else None)


class _Checker:
    def __init__(self, written: Written) -> None:
        self._written = written
        self._good: dict[str, dict[str, Any]] = {}
        self._usable: dict[str, dict[str, Any]] = {}  # the good ones, and others without a fault
        self._faults = Faults(written)
        self._found = Checked(self._faults.all)

    def run(self) -> Checked:
        values = self._written.values
        for section in values:
            if section not in SECTIONS or not isinstance(values[section], dict):
                self._faults.attempt({section: values[section]}, (section,), self._settings)
        for section in SECTIONS:
            table = values.get(section)
            if isinstance(table, dict) and section in _PLUGINS:
                for name, keys in table.items():
                    self._table({section: {name: keys}}, (section, name))
            elif isinstance(table, dict) and section not in _NAMING:
                self._table({section: table}, (section,))
        self._features(values.get("features"))
        due = values.get("schedules")
        for name, keys in due.items() if isinstance(due, dict) else ():
            self._schedule(name, keys)
        self._settle()
        return self._found

    def _settle(self) -> None:
        """Look whether all that is right goes together."""
        found = self._found
        try:
            found.settings = self._settings(self._good)
        except (SettingsError, TemplateError) as error:
            self._faults.tell(str(error), ("features",))
            return
        if self._usable.get("features") != self._good.get("features"):
            with suppress(SettingsError, TemplateError):  # what clashes with what is faulty
                found.settings = self._settings(self._usable)
        for name in self._usable.get("sources", {}).keys() - self._good.get("sources", {}).keys():
            if at(self._written.values, ("sources", name)) is not None:
                told = "is opened once this is mended; what it lacks then is not known yet"
                self._faults.add(told, ("sources", name), fault=False)
        for section in ("sources", "encoders"):
            faulty = self._usable.get(section, {}).keys() - self._good.get(section, {}).keys()
            found.stand_ins |= {(section, name) for name in faulty}

    def _features(self, table: Any) -> None:  # noqa: ANN401 - TOML
        features = {}
        if isinstance(table, dict):
            features = {name: _with_names(keys) for name, keys in table.items()}
        waiting, done = dict(features), 0
        while waiting and done != len(waiting):
            done = len(waiting)
            for name in list(waiting):
                others = named_features(waiting[name]) & {*features}
                if not others & {*waiting}:  # those that it is over come first
                    self._feature(name, waiting.pop(name), others)
        for name, keys in waiting.items():  # over one another, which checking all of them tells
            self._good.setdefault("features", {})[name] = keys

    def _feature(self, name: str, keys: Any, others: set[str]) -> None:  # noqa: ANN401 - TOML
        """Check a feature: what it names, its keys by themselves, and all of it together."""
        table = ("features", name)
        broken = others - {*self._usable.get("features", {})}
        if broken:  # it is over them, and nothing can stand in for a feature
            told = f"needs {', '.join(sorted(broken))}, which must be mended first"
            self._faults.add(told, table, fault=False)
        raw, is_whole = self._set_variables({"features": {name: keys}}, table)
        named = list(named_plugins(keys))
        defined = [self._is_defined(name, section, part) for section, part in named]
        alone, is_right = self._faults.attempt(raw, table, self._keys_alone, whole=is_whole)
        if alone is None or broken:
            return
        with_plugins, is_sound = self._with_stand_ins(name, alone["features"][name])
        usable = self._usable.get("features", {})
        parts = {other: usable[other] for other in with_parts(usable, others)}
        plugins = {
            section: self._usable[section] for section in _PLUGINS if section in self._usable
        }
        together = {**plugins, "features": {**parts, name: with_plugins}}
        found, fits = self._faults.attempt(together, table, self._settings)
        if found is None:
            return
        self._usable.setdefault("features", {})[name] = found["features"][name]
        good = self._good.get("features", {})
        if is_whole and all(defined) and is_right and is_sound and fits and others <= {*good}:
            self._good.setdefault("features", {})[name] = keys

    def _is_defined(self, feature: str, section: str, part: str) -> bool:
        """Whether there is what a feature names; tells where there is not."""
        if is_template(part):  # by a variable that is not set, which is told of by itself
            return False
        there = self._written.values.get(section, {})
        known = {*(there if isinstance(there, dict) else ())}
        known |= {*monitors.kinds()} if section == "monitors" else set()
        try:
            features.refuse_undefined(part, known, feature, _CALLED[section])
        except SettingsError as error:
            self._faults.tell(str(error), ("features", feature))
            return False
        return True

    def _with_stand_ins(self, name: str, keys: dict[str, Any]) -> tuple[dict[str, Any], bool]:
        """The keys of a feature with nothing faulty in them, and whether nothing was."""
        keys, faulty = dict(keys), False
        for section, part in named_plugins(keys):
            builtin = section == "monitors" and part in monitors.kinds()
            written = self._written.values.get(section)
            written = written if isinstance(written, dict) else {}
            if part in self._good.get(section, {}) or (builtin and part not in written):
                continue
            faulty = True
            usable = self._usable.setdefault(section, {})
            if section in {"monitors", "alerts"}:
                keys[section] = [one for one in keys[section] if one != part]
            elif section == "sources":
                usable.setdefault(part, stand_ins.SOURCE)
                keys.pop("monitors", None)  # they look at columns of the source
            else:
                table, knows = stand_ins.encoder(at(written, (part,)), over="over" in keys)
                keys["encoder"] = f"{part} of {name}"
                usable[keys["encoder"]] = table
                for key in ("thumbnails", "shares_space_with"):
                    keys.pop(key, None)
                self._found.stand_ins |= set() if knows else {("features", name)}
        return keys, not faulty

    def _schedule(self, name: str, keys: Any) -> None:  # noqa: ANN401 - TOML
        """Check a schedule beside the features that are written, whether they are right or not."""
        written = self._written.values.get("features")
        keys = _with_names(keys)
        listed = keys.get("features") if isinstance(keys, dict) else None
        named = [one for one in listed if isinstance(one, str)] if isinstance(listed, list) else []
        for one in dict.fromkeys(one for one in named if not is_template(one)):
            try:
                schedules.refuse_undefined(
                    name, [one], written if isinstance(written, dict) else {}
                )
            except SettingsError as error:
                self._faults.tell(str(error), ("schedules", name))
        alone = {k: v for k, v in keys.items() if k != "features"} if named else keys
        self._table({"schedules": {name: alone}}, ("schedules", name))

    def _table(self, raw: dict[str, Any], table: tuple[str, ...]) -> None:
        """Check one table of some, and keep what of it is right."""
        raw, is_whole = self._set_variables(raw, table)
        mended, is_right = self._faults.attempt(raw, table, self._settings, whole=is_whole)
        for keep, there in ((mended, self._usable), (mended if is_right else None, self._good)):
            section, *name = table
            if keep is not None and name:
                there.setdefault(section, {})[name[0]] = at(keep, table)
            elif keep is not None:
                there[section] = keep[section]

    def _set_variables(
        self, raw: dict[str, Any], table: tuple[str, ...]
    ) -> tuple[dict[str, Any], bool]:
        """Tell of variables that are not set; the tables without their keys, and if all are set."""
        is_whole = True
        for key in self._unset(at(self._written.values, table), table):
            is_whole = False
            raw = (without(raw, table, key) if key else None) or raw
        return raw, is_whole

    def _keys_alone(self, raw: Mapping[str, Any]) -> None:
        for name, keys in fill(dict(raw), "")["features"].items():
            features.feature_keys(name, keys)

    def _settings(self, raw: Mapping[str, Any]) -> Settings:
        return configuration.checked(fill(dict(raw), ""), self._written)

    def _unset(self, value: Any, table: tuple[str, ...]) -> list[str | None]:  # noqa: ANN401 - TOML
        """Tell of variables that are not set and have no default; the keys that want them."""
        found = []
        for key, text in strings(value):
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
                    self._faults.add(told, table, key)
                    found.append(key)
        return found


def _with_names(keys: Any) -> Any:  # noqa: ANN401 - TOML
    """The keys of a feature or schedule, with the names that the environment gives in place.

    A variable that is not set stays: that is told of by itself.
    """
    if not isinstance(keys, dict):
        return keys
    return {key: _filled(value) if key in _NAMES else value for key, value in keys.items()}


def _filled(names: Any) -> Any:  # noqa: ANN401 - TOML
    if isinstance(names, dict):
        return {key: _filled(inner) for key, inner in names.items()}
    if isinstance(names, list):
        return [_filled(inner) for inner in names]
    try:
        return names if "$${" in str(names) else fill(names, "")
    except TemplateError:
        return names
