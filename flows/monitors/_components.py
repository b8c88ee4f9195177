"""The principal components of a pool, without a dim by dim matrix."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_OVERSAMPLED = 10
_ROUNDS = 3
# of the first component's variance: below it there is only rounding
_NOTHING = 1e-12


@dataclass(frozen=True)
class Components:
    """The directions along which rows spread most, and where each row lies along them.

    Attributes:
        directions: ``(k, dim)`` unit vectors, by falling variance.
        coordinates: ``(rows, k)``
        share: of the variance that lies along them, 0 to 1; 1 where there is none.
    """

    directions: NDArray[np.float64]
    coordinates: NDArray[np.float64]
    share: float

    def along(self, shift: NDArray[np.float64]) -> NDArray[np.float64]:
        """What a shift ``(dim,)`` adds to each coordinate, ``(k,)``."""
        added: NDArray[np.float64] = self.directions @ shift
        return added


def fit(pool: NDArray[np.float64], most: int, rng: np.random.Generator) -> Components:
    """At most so many components of centred ``(rows, dim)``; at least one, even of equal rows.

    By subspace iteration from random directions (Halko, Martinsson & Tropp 2011, "Finding structure
    with randomness"), in time linear in rows and dim. Whatever it leaves unfinished is chance that
    knows nothing of which sample a row belongs to.
    """
    wanted = min(most, len(pool), pool.shape[1])
    tried = min(wanted + _OVERSAMPLED, len(pool), pool.shape[1])
    basis = np.linalg.qr(rng.standard_normal((pool.shape[1], tried)))[0]
    for _ in range(_ROUNDS):
        basis = np.linalg.qr(pool.T @ (pool @ basis))[0]
    within = pool @ basis
    variances, turns = np.linalg.eigh(within.T @ within)
    kept = np.argsort(-variances, kind="stable")[:wanted]
    kept = (
        kept[variances[kept] > _NOTHING * variances[kept[0]]] if variances.max() > 0 else kept[:1]
    )
    total = float((pool**2).sum())
    share = min(1.0, float(variances[kept].sum()) / total) if total > 0 else 1.0
    return Components((basis @ turns[:, kept]).T, within @ turns[:, kept], share)
