"""Scores of strangeness: each detector learns from some rows and scores others, higher is stranger.

Vectors are taken as they come. An encoder that normalises has said that directions count; where it
does not, a row far longer than the others is strange, and this is seen.

All are from scikit-learn but two. Ledoit and Wolf's covariance is scikit-learn's too, yet inverted
by the singular values of the rows, which needs no matrix of the square of the width. ECOD is ours,
with the scores of PyOD's: that one takes four seconds to import and ranks new rows among each
other, so that a score would depend on which rows are scored together.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeAlias, get_args

import numpy as np

from flows.monitors._rows import blocks

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Rows = NDArray[np.float64]
    Score = Callable[[Rows], Rows]

Detector: TypeAlias = Literal["knn", "lof", "mahalanobis", "ecod", "isolation_forest"]
DETECTORS: tuple[Detector, ...] = get_args(Detector)

_BLOCK = 1024
_TREES = 100


def scores(
    detector: Detector,
    training: NDArray[np.float32],
    rows: NDArray[np.float32],
    neighbours: int,
    rng: np.random.Generator,
) -> NDArray[np.float64]:
    """How strange a detector finds rows, given others that are not.

    Args:
        detector: which.
        training: ``(t, dim)``, finite, t at least 2.
        rows: ``(n, dim)``, finite; scored one by one, whatever rows stand beside them.
        neighbours: that ``knn`` and ``lof`` look at, at most t - 1.
        rng: all chance, which only ``isolation_forest`` takes.

    Returns:
        ``(n,)`` float64.
    """
    # far from the origin the squares of which distances are made would drown them
    centre = training.astype(np.float64).mean(axis=0)
    score = _fit(detector, training - centre, min(neighbours, len(training) - 1), rng)
    found = np.empty(len(rows), dtype=np.float64)
    for block in blocks(len(rows), _BLOCK):
        found[block] = score(rows[block] - centre)
    return found


def _fit(detector: Detector, training: Rows, neighbours: int, rng: np.random.Generator) -> Score:
    match detector:
        case "knn":
            return _knn(training, neighbours)
        case "lof":
            return _lof(training, neighbours)
        case "mahalanobis":
            return _mahalanobis(training)
        case "ecod":
            return _ecod(training)
        case "isolation_forest":
            return _isolation_forest(training, rng)


def _knn(training: Rows, neighbours: int) -> Score:
    """The mean distance to the nearest rows (Angiulli & Pizzuti 2002)."""
    from sklearn.neighbors import NearestNeighbors

    index = NearestNeighbors(n_neighbors=neighbours, algorithm="brute").fit(training)

    def score(rows: Rows) -> Rows:
        distances: Rows = index.kneighbors(rows)[0]
        found: Rows = distances.mean(axis=1)
        return found

    return score


def _lof(training: Rows, neighbours: int) -> Score:
    """How much thinner the rows lie here than around the nearest ones (Breunig et al. 2000)."""
    from sklearn.neighbors import LocalOutlierFactor

    fitted = LocalOutlierFactor(n_neighbors=neighbours, algorithm="brute", novelty=True)
    fitted.fit(training)

    def score(rows: Rows) -> Rows:
        negative: Rows = fitted.score_samples(rows)
        return -negative

    return score


def _mahalanobis(training: Rows) -> Score:
    """The squared distance from the mean in the metric of a shrunk covariance.

    The covariance is shrunk towards the identity as far as pays (Ledoit & Wolf 2004). What the
    training rows do not span has the variance that shrinking gives it; where that is none, as for
    rows that are all equal, it counts for nothing.
    """
    from sklearn.covariance import ledoit_wolf_shrinkage

    mean = training.mean(axis=0)
    away = training - mean
    shrinkage = float(ledoit_wolf_shrinkage(away, assume_centered=True))
    _, spreads, directions = np.linalg.svd(away, full_matrices=False)
    variances = spreads**2 / len(away)
    base = shrinkage * variances.sum() / away.shape[1]
    total = (1 - shrinkage) * variances + base
    weights = np.divide(1.0, total, out=np.zeros_like(total), where=total > 1e-12 * total.max())

    def score(rows: Rows) -> Rows:
        moved = rows - mean
        within = (moved @ directions.T) ** 2
        outside = np.maximum((moved**2).sum(axis=1) - within.sum(axis=1), 0.0)
        found: Rows = within @ weights + (outside / base if base > 0 else 0.0)
        return found

    return score


def _ecod(training: Rows) -> Score:
    """How far out a row is in each dimension by itself (Li et al. 2022, "ECOD").

    For each dimension the rarer of both tails counts, and that to which the dimension is skewed, as
    -log of the share of training rows, the row itself among them, that are at least as far out.
    """
    from scipy.stats import skew

    ordered = np.sort(training, axis=0)
    constant = ordered[0] == ordered[-1]
    skewed = np.zeros(training.shape[1])
    skewed[~constant] = skew(training[:, ~constant], axis=0)
    n = len(training)

    def score(rows: Rows) -> Rows:
        total = np.zeros(len(rows))
        for column, lean, values in zip(ordered.T, skewed, rows.T, strict=True):
            up_to = 1 + np.searchsorted(column, values, side="right")
            down_to = 1 + n - np.searchsorted(column, values, side="left")
            left, right = (-np.log(count / (n + 1)) for count in (up_to, down_to))
            # PyOD's rule, which in a dimension without skew adds up both tails
            towards = left * (lean < 0) + right * (lean > 0) + (left + right) * (lean == 0)
            total += np.maximum(np.maximum(left, right), towards)
        return total

    return score


def _isolation_forest(training: Rows, rng: np.random.Generator) -> Score:
    """How few random cuts it takes to set a row apart (Liu, Ting & Zhou 2008)."""
    from sklearn.ensemble import IsolationForest

    seed = int(rng.integers(2**31))
    forest = IsolationForest(n_estimators=_TREES, random_state=seed).fit(training)

    def score(rows: Rows) -> Rows:
        negative: Rows = forest.score_samples(rows)
        return -negative

    return score
