"""How findings word what they found.

A summary says first what a person would ask first: why the verdict is what it is, what moved most
and how far; then a p-value and how many contents it rests on, and no other figures: those are in
``detail`` and in the parts. It does not name
its verdict, which stands before it wherever it is shown.

``p`` is the p-value of the whole finding, or of what is tested alone; ``adjusted p`` that of one
of several tests, made good for there being several.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from flows.monitors import _rows

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

_MOST = 3
_LEAST_P = 0.001
_WHOLE, _ALL = 9.95, 99.0


def p_value(p: float, *, adjusted: bool = False) -> str:
    """A p-value; how far one lies below 0.001 is no matter for a person."""
    name = "adjusted p" if adjusted else "p"
    return f"{name} < {_LEAST_P:g}" if p < _LEAST_P else f"{name} = {p:.2g}"


def share(part: float) -> str:
    """A share from 0 to 1 in per cent, to two digits; near all of it, to three."""
    percent = 100 * part
    if percent == 0 or _WHOLE <= percent < _ALL:
        return f"{percent:.0f} %"
    return f"{percent:.3g} %" if percent >= _ALL else f"{percent:.2g} %"


def moved(before: float, now: float) -> str:
    """A share before and now; one where both read alike."""
    told = share(before), share(now)
    return told[0] if told[0] == told[1] else " → ".join(told)


def sliced(name: str) -> str:
    """The name of a slice, such as ``label = Sports``, within a sentence."""
    return name.replace(" = ", " ", 1)


def sizes(n: int, m: int) -> str:
    """Of n contents of the reference and m current ones."""
    return f"{m:,} against {contents(n)}"


def contents(n: int) -> str:
    """So many contents."""
    return f"{n:,} {'content' if n == 1 else 'contents'}"


def quoted(record_id: str) -> str:
    """An id as texts of findings hold it: in quotes, where ``erase`` finds short ones too."""
    return f"'{record_id}'"


def named(ids: Sequence[str], rows: NDArray[np.intp]) -> str:
    """The first of some records.

    Args:
        ids: of all records.
        rows: the places of those to name, the clearest first.
    """
    told = [quoted(record_id) for record_id in _rows.ids_at(ids, rows[:_MOST])]
    more = len(rows) - len(told)
    return ", ".join(told) + (f" and {more:,} more" if more else "")
