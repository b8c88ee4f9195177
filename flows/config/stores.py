"""The places that a configuration names."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from flows.output.progress import listener
from storage.canaries import Canaries
from storage.catalog import Catalog
from storage.logs import Logs
from storage.maps import Maps
from storage.sketches import Sketches
from storage.vectors import Vectors

if TYPE_CHECKING:
    from pathlib import Path

    from flows.config.settings import Settings
    from flows.output.progress import Reporter


@dataclass(frozen=True)
class Stores:
    """The places that the configuration names.

    Attributes:
        catalog: what is known.
        vectors: the vector tables.
        staging: work on its way.
        states: what encoders have learned.
        locks: a file a feature, held by what changes it.
        memory: what sources keep to save time, a folder each; may be deleted.
        maps: where the records of versions lie in two dimensions.
        sketches: sums over what runs wrote; may be deleted.
        canaries: contents that tell whether an encoder has changed.
        logs: what runs said.
    """

    catalog: Catalog
    vectors: Vectors
    staging: Path
    states: Path
    locks: Path
    memory: Path
    maps: Maps
    sketches: Sketches
    canaries: Canaries
    logs: Logs

    @classmethod
    def of(cls, settings: Settings, reporter: Reporter | None = None) -> Stores:
        """The places of a configuration; nothing is opened or made yet.

        Args:
            settings: the configuration.
            reporter: told where a call has to wait for the catalog; whoever listens where none is
                given.
        """
        home = settings.catalog.parent
        on_wait = (reporter or listener()).note
        return cls(
            Catalog(settings.catalog, settings.engine.wait_seconds, on_wait),
            Vectors(settings.vectors),
            home / "staging",
            home / "states",
            home / "locks",
            home / "memory",
            Maps(home / "maps"),
            Sketches(home / "sketches"),
            Canaries(home / "canaries"),
            Logs(home / "logs"),
        )
