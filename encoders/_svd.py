"""Singular values of more rows than fit into memory, exactly.

Rows are taken in block by block, and what is kept of them is the triangle R of their QR
decomposition, which has the singular values and right vectors of all of them. Triangles of two
halves make that of the whole (Demmel et al. 2012, "Communication-optimal parallel and sequential
QR and LU factorizations"); that the mean is not known before the end is put right by one row more
(Ross et al. 2008, "Incremental Learning for Robust Visual Tracking", who keep a part of it alone).
Unlike a sum of covariances, which squares them, it loses no digits of the weak directions.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from operator import add
from typing import TYPE_CHECKING

from encoders._repeatable import one_core

if TYPE_CHECKING:
    from collections.abc import Iterable

    import numpy as np
    from numpy.typing import NDArray

_NEARLY = 1 - 1e-6


@dataclass(frozen=True)
class Gathered:
    """What is known of some rows.

    Attributes:
        count: how many.
        mean: ``(f,)`` float64.
        triangle: ``(at most f, f)`` float64; ``triangle.T @ triangle`` is the sum of the outer
            products of rows less the mean.
    """

    count: int
    mean: NDArray[np.float64]
    triangle: NDArray[np.float64]

    @classmethod
    def of(cls, rows: NDArray[np.float64]) -> Gathered:
        """Of rows ``(n, f)`` float64, at least one."""
        mean = rows.mean(axis=0)
        return cls(len(rows), mean, _triangle(rows - mean))

    def __add__(self, other: Gathered) -> Gathered:
        """Of the rows of both."""
        import numpy as np

        count = self.count + other.count
        apart = other.mean - self.mean
        between = np.sqrt(self.count * other.count / count) * apart
        stacked = np.vstack([self.triangle, other.triangle, between[None]])
        return Gathered(count, self.mean + apart * other.count / count, _triangle(stacked))

    def directions(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Variances ``(k,)``, the largest first, and their directions as columns ``(f, k)``.

        Variances are of a sample (divided by one less than the rows); signs are those of `signed`.
        """
        import torch

        with one_core():
            _, strengths, across = torch.linalg.svd(
                torch.tensor(self.triangle), full_matrices=False
            )
        return strengths.numpy() ** 2 / max(self.count - 1, 1), signed(across.numpy().T)


def signed(directions: NDArray[np.float64]) -> NDArray[np.float64]:
    """Columns ``(f, k)`` turned so that the largest entry of each is positive.

    Of entries that are as large but for rounding it is the first, so that no column points the
    other way on another machine.
    """
    import numpy as np

    sizes = np.abs(directions)
    first = (sizes >= _NEARLY * sizes.max(axis=0)).argmax(axis=0)
    signs: NDArray[np.float64] = np.sign(directions[first, np.arange(directions.shape[1])])
    return directions * signs


def gathered(blocks: Iterable[NDArray[np.float64]]) -> Gathered:
    """Of the rows of all blocks, at least one, taken in one after the other."""
    return reduce(add, map(Gathered.of, blocks))


def _triangle(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    import torch

    with one_core():
        triangle: NDArray[np.float64] = torch.linalg.qr(torch.tensor(rows), mode="r").R.numpy()
    return triangle
