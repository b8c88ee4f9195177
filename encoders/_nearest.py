"""What somebody may have meant by a name that is not there, as `storage.nearest` has it."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


def perhaps(name: str, known: Iterable[str]) -> str:
    """The end of an error: the names, up to three, that may be meant; nothing where none is."""
    near = get_close_matches(name, [*known])
    return f"; did you mean {' or '.join(map(repr, near))}?" if near else ""
