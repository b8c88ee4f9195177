"""What a run would fail of before it encodes anything: sources, columns, weights.

Sources are opened and weights looked for and digested, as a run does; no source is read through,
no model is loaded, and nothing is fetched or written.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

from encoders import registry
from encoders.base import EncoderError
from encoders.diagnose import missing_files
from flows.config.faults import Fault
from flows.config.lines import line_of
from flows.config.settings import SettingsError
from flows.config.stores import Stores
from flows.output.codes import reason
from flows.pipeline.versions import open_source
from flows.sources.base import SourceError
from flows.upkeep.unheld import unheld
from storage.model import StorageError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from flows.config.settings import Feature, Plugin, Settings

_OFFLINE = "HF_HUB_OFFLINE"
_UNASKED = re.compile(r"could not be fetched \(.*\);")
_NAMES = re.compile(r"which `(?P<key>\w+)` names|(?P<path>no file matches)")


def look(
    settings: Settings, stand_ins: Collection[tuple[str, str]] = frozenset()
) -> Iterator[Fault]:
    """Look at what the features of a configuration need, each source and encoder once.

    Args:
        settings: the configuration.
        stand_ins: what is not looked at, as `flows.config.checking.Checked` has it.
    """
    yield from _vectors(settings)
    ours = _OFFLINE not in os.environ
    # Read when the hub's client is imported, which nothing has done before in a command.
    os.environ.setdefault(_OFFLINE, "1")
    seen: set[tuple[str, str]] = set()
    for feature in settings.features.values():
        if not {("sources", feature.source.name), ("features", feature.name)} & {*stand_ins}:
            yield from _source(settings, feature, seen)
        encoder = feature.encoder
        if (
            ("encoders", encoder.name) not in stand_ins
            and ("encoders", encoder.name) not in seen
            and feature.over is None
        ):
            seen.add(("encoders", encoder.name))
            yield from _weights(settings, encoder, ours=ours)


def _vectors(settings: Settings) -> Iterator[Fault]:
    """Look whether the tables that the catalog knows are in the folder of [store]."""
    stores = Stores.of(settings)
    try:
        # To read a catalog of an earlier release would be to bring it up to date.
        if not settings.catalog.exists() or stores.catalog.is_outdated():
            return
        found = unheld(stores)
    except StorageError:
        return  # `vecmill doctor` says what of it is damaged
    if found is not None:
        yield _fault(settings, ("store",), found.told(), "vectors")


def _source(settings: Settings, feature: Feature, seen: set[tuple[str, str]]) -> Iterator[Fault]:
    """Open a source as this feature does; what is wrong with it for all features is told once."""
    if feature.over is not None:
        return
    table = ("sources", feature.source.name)
    try:
        open_source(settings, feature, None)
    except (SourceError, SettingsError, StorageError, EncoderError, OSError) as error:
        told = reason(error)
        if (feature.source.name, told) not in seen:
            seen.add((feature.source.name, told))
            yield _fault(settings, table, told)
    except Exception as error:  # noqa: BLE001 - one source must not hide the others
        yield _fault(settings, table, reason(error))


def _weights(settings: Settings, encoder: Plugin, *, ours: bool) -> Iterator[Fault]:
    """Look for an encoder's files; ``ours`` is that nobody but this look asked to be offline."""
    table = ("encoders", encoder.name)
    missing = missing_files(encoder.kind, encoder.params)
    for key, path in missing.items():
        told = f"{key} = {path!r} is not there; put it there, or name another"
        yield _fault(settings, table, told, key)
    if missing:
        return
    try:
        registry.quick_recipe(encoder.kind, encoder.params)
    except EncoderError as error:
        # A name on the hub that no cache has: a run fetches it, where it has a network.
        told = reason(error)
        fetched = "could not be fetched" in told
        if ours:
            told = _UNASKED.sub("is not asked for here; `vecmill plan` and a run fetch it:", told)
        yield _fault(settings, table, told, fault=not fetched)
    except Exception as error:  # noqa: BLE001 - as above
        yield _fault(settings, table, reason(error))


def _fault(
    settings: Settings,
    table: tuple[str, ...],
    message: str,
    key: str | None = None,
    *,
    fault: bool = True,
) -> Fault:
    named = _NAMES.search(message)
    key = (named["key"] or "path") if named and key is None else key
    file, line = line_of(settings.files, table, key) or (settings.conf, None)
    return Fault(".".join(table), message, file, line, fault)
