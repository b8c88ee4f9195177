"""Watches of fits, for the tests of every encoder that learns."""

from __future__ import annotations

from encoders.learning import Quiet


class Told(Quiet):
    """Remembers what it is told."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, message: str) -> None:
        """Keep it."""
        self.notes.append(message)
