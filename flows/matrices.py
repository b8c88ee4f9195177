"""Vectors out of Arrow columns, and made of norm 1."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray


def matrix(column: pa.ChunkedArray, dim: int) -> NDArray[np.float32]:
    """A column of vectors as ``(n, dim)`` float32."""
    flat = column.combine_chunks().flatten().to_numpy(zero_copy_only=False)
    return np.asarray(flat, np.float32).reshape(len(column), dim)


def unit(rows: NDArray[Any]) -> NDArray[Any]:
    """Rows of norm 1; a row of zeros stays one."""
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    found: NDArray[Any] = rows / np.where(norms > 0, norms, 1)
    return found


def comparable(rows: NDArray[np.float32], metric: str) -> NDArray[np.float32]:
    """Rows whose Euclidean distances rank as the metric does: of norm 1 unless it is ``l2``.

    An inner product is no distance, since a row may be nearer to another than to itself; there the
    direction counts, as with ``cosine``.
    """
    return rows if metric == "l2" else unit(rows)


def usable(rows: NDArray[np.float32], metric: str) -> NDArray[np.bool_]:
    """Which rows can be compared: finite, and not all zero where directions count."""
    finite = np.asarray(np.isfinite(rows).all(axis=1), np.bool_)
    if metric != "l2":
        finite[~rows.any(axis=1)] = False
    return finite
