"""One published state of a feature, found once and read from then on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from flows.config import configuration
from flows.config.stores import Stores
from storage import moments, query, views
from storage.places import Reader

if TYPE_CHECKING:
    from flows.config.settings import Settings
    from storage.model import Version


@dataclass(frozen=True)
class Pinned:
    """A state of a version.

    Attributes:
        version: as the catalog has it.
        run_id: the run that left the state.
        reader: reads it.
    """

    version: Version
    run_id: str
    reader: Reader


def pin(
    settings: Settings, name: str, number: int | None = None, as_of: str | None = None
) -> Pinned:
    """Find the state of a feature that readers see, or saw.

    Args:
        settings: the configuration.
        name: the feature.
        number: the version; the one that is, or was, live where none is given.
        as_of: a run or a time (UTC where it has no zone), to read what readers saw then.

    Raises:
        UsageError: if there is nothing to be read.
    """
    stores = Stores.of(settings)
    moment = None if as_of is None else moments.moment_of(stores.catalog, as_of)
    with query.connect(stores.catalog, stores.vectors, moment) as con:
        shown = views.choose(con, name, number)
    version = next(v for v in stores.catalog.versions(name) if v.version == shown.version)
    reader = Reader(stores.vectors, version.table, shown.lance_version, version.history)
    return Pinned(version, shown.run_id, reader)


def settings_of(conf: str | Path | None) -> Settings:
    """The configuration in a file; `vecmill`'s own choice of one where none is named."""
    return configuration.load(None if conf is None else Path(conf))
