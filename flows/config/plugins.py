"""The tables of plug-ins, ``[sources.NAME]`` and their like, and the channels of alerts."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, get_args

import flows.monitors.base
import flows.sources.base
from encoders import registry
from flows.alerts import hooks
from flows.config.anchors import anchored
from flows.config.nearest import hint
from flows.config.parsing import parse
from flows.config.settings import Monitor, Plugin, SettingsError
from flows.config.templates import is_template, unfilled
from flows.output.redact import remember
from storage.model import Blocks

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from pathlib import Path

BLOCKS: tuple[str, ...] = get_args(Blocks)
_PLAIN_HEADERS = ("accept", "content-type", "user-agent")


@dataclass(frozen=True)
class Named:
    """All that features may name, by name.

    Attributes:
        monitors: those that are configured, and of each other kind one as it comes.
        channels: where alerts go.
    """

    sources: dict[str, Plugin]
    encoders: dict[str, Plugin]
    monitors: dict[str, Monitor]
    channels: dict[str, Plugin]


def read(raw: Mapping[str, Any], written: Mapping[str, Any], root: Path) -> Named:
    """The plug-ins of a configuration.

    Args:
        raw: its tables, with their variables filled in.
        written: its tables as they are written.
        root: the project folder, from which encoders find their files.

    Raises:
        SettingsError: on the first thing that is wrong.
    """
    coders = _plugins(raw, written, "encoders", registry)
    return Named(
        _plugins(raw, written, "sources", flows.sources.base),
        {name: _at_root(plugin, root) for name, plugin in coders.items()},
        _monitors(raw, written),
        _alerts(raw),
    )


def _plugins(
    raw: Mapping[str, Any],
    written: Mapping[str, Any],
    section: str,
    family: Any,  # noqa: ANN401 - a module with kinds and params_type
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
            raise SettingsError(f"{where} has no kind; choose from {', '.join(family.kinds())}")
        if kind not in family.kinds():
            near = hint(str(kind), family.kinds())
            raise SettingsError(f"{where} has an unknown kind {kind!r}{near}")
        params = parse(family.params_type(kind), keys, where, "kind", *also)
        given = _table(_table(written.get(section)).get(name))
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
        if not isinstance(kind, str) or kind not in hooks.KINDS:
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


def _table(value: object) -> Mapping[str, Any]:
    """What is written; empty where that is no table."""
    return value if isinstance(value, dict) else {}


def _values(table: object, but: Collection[str]) -> list[object]:
    if not isinstance(table, dict):
        return []
    return [value for key, value in table.items() if str(key).lower() not in but]


def _at_root(plugin: Plugin, root: Path) -> Plugin:
    """An encoder whose files are found wherever one stands; a default is no file of the project."""
    given = {
        field_.name: getattr(plugin.params, field_.name)
        for field_ in dataclasses.fields(plugin.params)
        if field_.name in registry.paths(plugin.kind)
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
