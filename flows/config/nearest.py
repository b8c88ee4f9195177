"""What somebody may have meant by a name that is not there."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection


def nearest(name: str, known: Collection[str]) -> str | None:
    """The name that is most like one; None where none is like it."""
    return next(iter(difflib.get_close_matches(name, known, n=1, cutoff=0.6)), None)


def hint(name: str, known: Collection[str]) -> str:
    """The end of an error: the nearest name that is known, or all of them."""
    near = nearest(name, known)
    if near is not None:
        return f"; did you mean {near!r}?"
    return f"; there are: {', '.join(sorted(known))}" if known else "; none is defined yet"
