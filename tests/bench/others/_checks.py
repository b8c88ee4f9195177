"""Whether a store holds what it should, vectors and all."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

CLOSE = 0.999
"""The least cosine to the reference that a vector may have."""


@dataclass(frozen=True)
class Held:
    """What was found in a store.

    Attributes:
        rows: how many it holds.
        missing: records that it should hold and does not.
        left: records that are gone from the source and still there.
        stale: records that hold an earlier text.
        cosine: the least, of what it holds to the model's own vectors; nan where it holds nothing.
    """

    rows: int
    missing: int
    left: int
    stale: int
    cosine: float

    @property
    def right(self) -> bool:
        """Whether it is as the source is."""
        return not (self.missing or self.left or self.stale) and self.cosine >= CLOSE

    def __str__(self) -> str:
        """For a table."""
        if self.right:
            return f"{self.rows:,} rows, cosine {self.cosine:.6f}"
        faults = [
            f"{self.missing} missing",
            f"{self.left} not deleted",
            f"{self.stale} not changed",
        ]
        told = ", ".join(one for one in faults if not one.startswith("0 "))
        return f"{self.rows:,} rows, {told or f'cosine {self.cosine:.6f}'}"


def held(
    dump: Path, wanted: Mapping[str, str], reference: Mapping[str, NDArray[np.float32]]
) -> Held:
    """Compare a dump with what the source holds.

    Args:
        dump: arrays ``ids``, ``texts`` and ``vectors`` ``(n, dim)`` float32.
        wanted: texts by id.
        reference: the model's vectors by text, ``(dim,)`` float32.
    """
    with np.load(dump) as saved:
        ids, texts, vectors = saved["ids"].tolist(), saved["texts"].tolist(), saved["vectors"]
    stale = sum(wanted.get(one, text) != text for one, text in zip(ids, texts, strict=True))
    left = sum(one not in wanted for one in ids)
    pairs = [(one, reference.get(text)) for one, text in zip(vectors, texts, strict=True)]
    near = [_cosine(one, other) for one, other in pairs if other is not None]
    missing = len(wanted.keys() - {*ids})
    return Held(len(ids), missing, left, stale, min(near, default=float("nan")))


def _cosine(one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    return float(one @ other / (np.linalg.norm(one) * np.linalg.norm(other)))
