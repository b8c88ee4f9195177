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

from typing import TYPE_CHECKING, Any

import flows.monitors.base
from encoders.media import Limits
from flows.config import features, layers, monitored_columns, plugins
from flows.config.parsing import parse, refuse_unknown
from flows.config.settings import Engine, Gc, Project, Reports, Settings, SettingsError, Store
from flows.config.templates import TemplateError, fill
from flows.config.written import read
from flows.operations import schedules
from flows.output.redact import redact

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from flows.config.written import Written

DEFAULT_CONF = layers.DEFAULT_CONF
SECTIONS = (
    *("project", "store", "engine", "gc", "limits", "reports"),
    *("sources", "encoders", "monitors", "alerts", "features", "schedules"),
)


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
    named = plugins.read(raw, written, root)
    found = features.read(raw, named, limits)
    store = parse(Store, raw.get("store", {}), "[store]")
    engine = parse(Engine, raw.get("engine", {}), "[engine]")
    gc = parse(Gc, raw.get("gc", {}), "[gc]")
    defaults = tuple(named.monitors[kind] for kind in flows.monitors.base.by_default())
    monitored_columns.check(found, defaults)
    reports = parse(Reports, raw.get("reports", {}), "[reports]")
    served = schedules.read(raw.get("schedules", {}), found)
    project = parse(Project, raw.get("project", {}), "[project]")
    return Settings(
        *(conf, root, files, store, engine, found, defaults, gc, reports, served, project)
    )
