"""How the pipeline tells what it is doing, without knowing who listens."""

from __future__ import annotations

from typing import Protocol


class Reporter(Protocol):
    """Hears of a run's stages. Called from one thread at a time a stage."""

    def stage(self, feature: str, name: str, total: int | None) -> None:
        """A stage begins; ``total`` is its number of records where that is known."""

    def advance(self, records: int) -> None:
        """Some records of the stage are done."""

    def note(self, message: str) -> None:
        """Something a person should know now, such as a wait."""


class Silent:
    """A reporter that tells nobody."""

    def stage(self, feature: str, name: str, total: int | None) -> None:
        """Say nothing."""

    def advance(self, records: int) -> None:
        """Say nothing."""

    def note(self, message: str) -> None:
        """Say nothing."""
