"""What somebody may have meant by a name that is not there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from storage.nearest import perhaps

if TYPE_CHECKING:
    from collections.abc import Collection


def hint(name: str, known: Collection[str]) -> str:
    """The end of an error: the nearest name that is known, or all of them."""
    all_of_them = f"; there are: {', '.join(sorted(known))}" if known else "; none is defined yet"
    return perhaps(name, known) or all_of_them
