"""Alternating least squares for ratings, with biases.

A rating is the mean, plus what the user gives more than others, plus what the item gets more than
others, plus the product of their factors: Koren, Bell & Volinsky 2009, "Matrix Factorization
Techniques for Recommender Systems". Bias and factors of a row are solved for together.

Ratings are standardised first, so that a regularisation means the same for stars and for per cent.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from encoders._ridge import Evidence, solved
from encoders.base import EncoderError
from encoders.learning import EarlyStopping

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from scipy.sparse import csr_matrix

    from encoders._ridge import Ints
    from encoders.base import Json
    from encoders.learning import Watch

    Wide = NDArray[np.float64]

USUAL_REGULARIZATION = 5.0
"""About the noise of ratings over the spread of a factor, both squared, where spread is 1."""

_LEAST = 10
_LEAST_SPREAD = 1e-9
_BEGIN = 0.1


@dataclass(frozen=True)
class Scale:
    """What ratings are standardised by: ``(rating - mean) / spread``."""

    mean: float
    spread: float

    def evidence(
        self,
        starts: Ints,
        others: Ints,
        ratings: Wide,
        biases: NDArray[np.floating[Any]],
    ) -> Evidence:
        """What ratings say of a row's factors and bias, given the biases of the other side."""
        left = (ratings - self.mean) / self.spread - biases[others]
        return Evidence(starts, others, np.ones(len(others)), left)


@dataclass(frozen=True)
class Found:
    """What a fit came to: users ``(n, dim + 1)`` and items ``(m, dim + 1)``, the bias last."""

    users: Wide
    items: Wide
    scale: Scale
    figures: dict[str, Json]


@dataclass(frozen=True)
class Goal:
    """What is learned, and how long.

    Attributes:
        dim: factors beside the bias.
        regularization: of factors and biases, in ratings of spread 1.
        iterations: at most so many.
        held_out: share of the ratings that is not learned from, to know when to stop.
        patience: iterations that may bring nothing before it stops.
    """

    dim: int
    regularization: float
    iterations: int
    held_out: float
    patience: int


def prior(dim: int, regularization: float) -> Wide:
    """The regularisation of factors and bias: ``(dim + 1, dim + 1)``."""
    return regularization * np.eye(dim + 1)


def design(rows: NDArray[np.floating[Any]]) -> NDArray[np.floating[Any]]:
    """What the other side's factors and bias are multiplied by: factors, and 1 for the bias."""
    return np.hstack([rows[:, :-1], np.ones((len(rows), 1), rows.dtype)])


def learn(ratings: csr_matrix, goal: Goal, rng: np.random.Generator, watch: Watch) -> Found:
    """Learn until ratings that are held out are told no better.

    Args:
        ratings: ``(n, m)``, indices sorted; a 0 that is stored is a rating.
        goal: what is learned.
        rng: draws what is held out, and what the first step begins with.
        watch: told of each iteration, and of overfitting.

    Raises:
        EncoderError: if there are too few ratings, or all are equal.
    """
    train, held = _parted(ratings, goal.held_out, rng)
    scale = Scale(float(train.data.mean()), float(train.data.std()))
    if scale.spread < _LEAST_SPREAD * max(1.0, abs(scale.mean)):
        raise EncoderError(
            f"all {train.nnz:,} ratings are {scale.mean:g}, which tells nothing of what is liked "
            "more: name the column of ratings as weight in the source, or learn from what was met "
            "with feedback = 'implicit'"
        )
    users = np.zeros((train.shape[0], goal.dim + 1))
    items = rng.normal(0.0, _BEGIN, (train.shape[1], goal.dim + 1))
    items[:, -1] = 0.0
    turned, stopping, best = train.T.tocsr(), EarlyStopping(goal.patience), (users, items)
    watch.stage("alternate", goal.iterations)
    for _ in range(goal.iterations):
        users = _step(train, items, scale, goal)
        items = _step(turned, users, scale, goal)
        watch.advance(1)
        errors = (_error(users, items, part, scale) for part in (train, held))
        if stopping.better(*errors):
            best = users, items
        if stopping.done:
            break
    return Found(*best, scale, _figures(stopping, held, scale))


def _step(ratings: csr_matrix, others: Wide, scale: Scale, goal: Goal) -> Wide:
    evidence = scale.evidence(ratings.indptr, ratings.indices, ratings.data, others[:, -1])
    return solved(design(others), evidence, prior(goal.dim, goal.regularization))


def _parted(
    ratings: csr_matrix, share: float, rng: np.random.Generator
) -> tuple[csr_matrix, csr_matrix]:
    """Ratings to learn from and ratings held out, of the same shape."""
    from scipy.sparse import csr_matrix as matrix

    total = ratings.nnz
    if total < _LEAST:
        raise EncoderError(f"factors needs {_LEAST} ratings or more to learn from, got {total}")
    out = np.zeros(total, bool)
    out[rng.permutation(total)[: max(1, round(share * total))]] = True
    rows = np.repeat(np.arange(ratings.shape[0]), np.diff(ratings.indptr))
    train, held = (
        matrix((ratings.data[part], (rows[part], ratings.indices[part])), ratings.shape)
        for part in (~out, out)
    )
    return train, held


def _error(users: Wide, items: Wide, ratings: csr_matrix, scale: Scale) -> float:
    """The root mean squared error, in the unit of the ratings."""
    rows = np.repeat(np.arange(ratings.shape[0]), np.diff(ratings.indptr))
    left, right = users[rows], items[ratings.indices]
    products = np.einsum("ij,ij->i", left[:, :-1], right[:, :-1])
    told = scale.mean + scale.spread * (products + left[:, -1] + right[:, -1])
    return float(np.sqrt(np.mean((ratings.data - told) ** 2)))


def _figures(stopping: EarlyStopping, held: csr_matrix, scale: Scale) -> dict[str, Json]:
    """In the unit of the ratings; beside the error what telling the mean each time would have."""
    told = stopping.figures()
    found: dict[str, Json] = {
        "iterations": told["epochs"],
        "best_iteration": told["best_epoch"],
        "train_rmse": told["train_loss"],
        "held_out_rmse": told["held_out_loss"],
        "rmse_of_the_mean": float(np.sqrt(np.mean((held.data - scale.mean) ** 2))),
        "overfitted": told["overfitted"],
    }
    return found
