"""The places that a configuration names."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from storage.catalog import Catalog
from storage.vectors import Vectors

if TYPE_CHECKING:
    from pathlib import Path

    from flows.settings import Settings


@dataclass(frozen=True)
class Stores:
    """The places that the configuration names."""

    catalog: Catalog
    vectors: Vectors
    staging: Path
    states: Path
    locks: Path

    @classmethod
    def of(cls, settings: Settings) -> Stores:
        """The places of a configuration; nothing is opened or made yet."""
        home = settings.catalog.parent
        return cls(
            Catalog(settings.catalog, settings.engine.wait_seconds),
            Vectors(settings.vectors),
            home / "staging",
            home / "states",
            home / "locks",
        )
