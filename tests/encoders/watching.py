"""Watches of fits, for the tests of every encoder that learns."""

from __future__ import annotations

from encoders.learning import Quiet


class Told(Quiet):
    """Remembers what it is told."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def stage(self, name: str, total: int | None) -> None:
        """Check that a stage has a name, and a size where it has one."""
        assert name
        assert total is None or total > 0

    def advance(self, steps: int) -> None:
        """Check that something came about."""
        assert steps > 0

    def note(self, message: str) -> None:
        """Keep it."""
        self.notes.append(message)
