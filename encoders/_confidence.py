"""Alternating least squares for implicit feedback: what was met is liked, as sure as it was often.

Hu, Koren & Volinsky 2008, "Collaborative Filtering for Implicit Feedback Datasets": every pair of a
user and an item counts, those that never met with confidence 1 and the target 0, those that did
with confidence 1 + alpha * weight and the target 1. The iterations are those of the package
``implicit``, by conjugate gradients (Takács, Pilászy & Tikk 2011).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from encoders._ridge import Evidence, solved

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from scipy.sparse import csr_matrix

    from encoders.learning import Watch

    Factors = NDArray[np.float32]

_MOST = 1e6
"""A confidence beyond is one that nothing else can speak against, and float32 cannot hold."""


@dataclass(frozen=True)
class Confidence:
    """How sure a weight makes: ``1 + alpha * weight``, or of ``log(1 + weight)``.

    Attributes:
        alpha: above 0.
        damped: whether the logarithm is taken, so that a hundred times is not a hundredfold.
    """

    alpha: float
    damped: bool

    def of(self, weights: NDArray[np.float64]) -> NDArray[np.float64]:
        """The confidence of each weight, 1 or more; a weight of 0 or less is as good as none."""
        counted = weights.clip(min=0)
        return (1 + self.alpha * (np.log1p(counted) if self.damped else counted)).clip(max=_MOST)

    def evidence(self, starts: NDArray[np.intp], others: NDArray[np.intp],
                 weights: NDArray[np.float64]) -> Evidence:  # fmt: skip
        """What interactions say beyond what every pair says, which is in `prior`."""
        sure = self.of(weights)
        return Evidence(starts, others, sure - 1, np.where(weights > 0, sure, 0.0))


def prior(factors: Factors, regularization: float) -> NDArray[np.float64]:
    """What all pairs that never met say of a row, and the regularisation: ``(k, k)``."""
    wide = factors.astype(np.float64)
    return wide.T @ wide + regularization * np.eye(factors.shape[1])


def learn(
    liked: csr_matrix,
    confidence: Confidence,
    dim: int,
    regularization: float,
    iterations: int,
    rng: np.random.Generator,
    watch: Watch,
) -> tuple[Factors, Factors]:
    """The factors of users ``(n, dim)`` and items ``(m, dim)``.

    Args:
        liked: ``(n, m)``, the weights, all above 0, indices sorted.
        confidence: what makes confidences of them.
        dim: the number of factors.
        regularization: above 0.
        iterations: steps for users and items each.
        rng: draws what the first step begins with.
        watch: told of each iteration.
    """
    from implicit.cpu.als import AlternatingLeastSquares

    model = AlternatingLeastSquares(
        factors=dim,
        regularization=regularization,
        alpha=1.0,
        iterations=iterations,
        num_threads=1,  # else the order of its sums hangs on the machine
        random_state=rng,
    )
    sure = liked.copy()
    sure.data = confidence.of(liked.data).astype(np.float32)
    watch.stage("alternate", iterations)
    model.fit(sure, show_progress=False, callback=lambda *_: watch.advance(1))
    users: Factors = np.asarray(model.user_factors)
    # Conjugate gradients stop early. Items as the users make them are what folding in gives.
    turned = liked.T.tocsr()
    items = solved(
        users,
        confidence.evidence(turned.indptr, turned.indices, turned.data),
        prior(users, regularization),
    )
    return users, items.astype(np.float32)
