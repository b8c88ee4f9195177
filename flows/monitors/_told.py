"""Records in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

_MOST = 3


def quoted(record_id: str) -> str:
    """An id as texts of findings hold it: in quotes, where ``erase`` finds short ones too."""
    return f"'{record_id}'"


def named(ids: Sequence[str], rows: NDArray[np.intp], p: NDArray[np.float64]) -> str:
    """The first of some records, each with its p-value.

    Args:
        ids: of all records.
        rows: the places of those to name, the clearest first.
        p: p-values of all records.
    """
    told = [f"{quoted(ids[row])} (p = {p[row]:.2g})" for row in rows[:_MOST].tolist()]
    more = len(rows) - len(told)
    return ", ".join(told) + (f" and {more:,} more" if more else "")
