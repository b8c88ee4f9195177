"""Rows through matrices, each as if it was alone.

A matrix product adds up in another order for another number of rows, so that a row's last digits
would hang on the batch around it. Here rows go through in blocks of one size.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import numpy as np
    import polars as pl
    from numpy.typing import NDArray

    Rows = NDArray[np.float64]

SIZE = 256
BLOCK = 4096
"""Rows of a sample that are looked at together while learning: so many fit in any memory."""

_LARGEST = 3e38
"""What a float32 holds, so that no finite record gives infinity."""


def each(rows: Rows, width: int, through: Callable[[Rows], Rows]) -> NDArray[np.float32]:
    """Rows ``(n, f)`` float64, in blocks of `SIZE`, the last filled up with zeros.

    Args:
        rows: the rows.
        width: of what comes out.
        through: gives ``(SIZE, width)`` for ``(SIZE, f)``.

    Returns:
        ``(n, width)`` float32, finite where the rows are.
    """
    import numpy as np

    out = np.empty((len(rows), width), np.float32)
    block = np.zeros((SIZE, rows.shape[1]))
    for at in range(0, len(rows), SIZE):
        part = rows[at : at + SIZE]
        block[: len(part)] = part
        block[len(part) :] = 0
        out[at : at + len(part)] = np.clip(through(block), -_LARGEST, _LARGEST)[: len(part)]
    return out


def blocks(sample: pl.DataFrame, size: int = BLOCK) -> Iterator[pl.DataFrame]:
    """A sample in parts of so many rows, in order; the last may have fewer."""
    for at in range(0, sample.height, size):
        yield sample[at : at + size]


def unit(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Rows of L2 norm 1; zero stays zero."""
    import numpy as np

    exact = rows.astype(np.float64)
    norms = np.sqrt((exact * exact).sum(axis=1, keepdims=True))
    return np.asarray(exact / np.where(norms > 0, norms, 1.0), dtype=np.float32)
