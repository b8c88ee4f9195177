"""What somebody may have meant by a name that is not there."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_LIKE = 0.6
"""How like two names must be (`difflib.SequenceMatcher.ratio`) for one to be meant by the other."""


def alike(name: str, known: Iterable[str], most: int, least: float = _LIKE) -> list[str]:
    """The names that are most like one, whatever their case, the likest first.

    Args:
        name: the one.
        known: those that there are.
        most: how many are given.
        least: how like they must be, from 0 to 1.
    """
    lower = {one.lower(): one for one in known}
    return [lower[near] for near in get_close_matches(name.lower(), lower, most, least)]


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The name that is most like one; None where none is like it."""
    return next(iter(alike(name, known, 1)), None)


def perhaps(name: str, known: Iterable[str]) -> str:
    """The end of an error: which name may be meant; nothing where none is like it."""
    near = nearest(name, known)
    return "" if near is None else f"; did you mean {near!r}?"
