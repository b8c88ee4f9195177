"""A classifier that tries to tell current rows from those of the reference.

Where it does better than chance on rows that it was not trained on, the distributions differ
(Lopez-Paz & Oquab 2017, "Revisiting classifier two-sample tests"), and its scores say which rows
gave it away. The classifier is a ridge regression on principal components and random Fourier
features of them, linear in the labels: the out-of-fold scores for all permutations of the labels
come from one matrix a fold. So the p-value is that of the classifier as it is, trained anew
for each permutation, and not an approximation.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from flows.monitors import _permuted, _rff, _two_sample
from flows.monitors._ranges import at_least
from flows.monitors._two_sample import Result

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from flows.monitors._two_sample import Sides
    from flows.monitors.base import Finding, Sample

_NO_SPREAD = 1e-6
"""A component of this part of the largest's spread is rounding."""

_DIGITS = 1e-9
"""Scores that differ by less than this part of the largest are equal but for rounding."""

_STRANGE = 0.95


@dataclass(frozen=True)
class Params(_permuted.Params):
    """How the classifier is trained and tested; ``min_effect`` is an AUC.

    Attributes:
        components: principal components of both samples together, at most.
        features: random Fourier features beside them, an even number; with none only what moves
            the mean is seen.
        ridge: strength of the regularisation, in variances of the direction of largest spread;
            a change that is spread over many directions needs much of it to be seen.
        folds: parts of the rows; each is scored by what the others taught.
    """

    components: int = 64
    features: int = 256
    ridge: float = 10.0
    folds: int = 5

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.features < 0 or self.features % 2:
            raise ValueError(f"features must be even and not below 0, got {self.features}; try 256")
        if not self.ridge > 0:
            raise ValueError(f"ridge must be above 0, got {self.ridge}; 10 is usual")
        at_least(self, components=1, folds=2)


def compare(
    reference: Sample, current: Sample, rng: np.random.Generator, params: Params
) -> Finding:
    """Test whether a classifier can tell the samples apart.

    ``statistic`` and ``effect_size`` are the out-of-fold AUC: the chance that a current row gets a
    higher score than a reference row of the same fold, 0.5 where nothing has changed and 1 where
    all has; ``threshold`` is the largest one that is no alarm. ``detail`` holds ``strange_share``,
    the share of current rows that score higher than 95 % of the reference, 0.05 where nothing has
    changed. ``record_ids`` of an alarm are the current records with the highest scores.

    Raises:
        ValueError: if the samples differ in width.
    """
    return _two_sample.compare("classifier", (reference, current), rng, params, _run)


def _run(sides: Sides, rng: np.random.Generator, params: Params) -> Result:
    rows = sum(sides.sizes)
    inputs = _inputs(sides.pool, params, rng)
    folds = np.array_split(rng.permutation(rows), min(params.folds, rows))

    def measure(ours: NDArray[np.bool_]) -> NDArray[np.float64]:
        return out_of_fold(inputs, ~ours, folds, params.ridge)[1]

    outcome = _permuted.permute(measure, sides, params, rng)
    scores, _ = out_of_fold(inputs, ~_permuted.true(sides), folds, params.ridge)
    usual = float(np.quantile(scores[: sides.n], _STRANGE)) + _DIGITS * np.abs(scores).max()
    strange = float(np.mean(scores[sides.n :] > usual))
    return Result(
        outcome.at(params.alpha),
        effect=outcome.observed,
        told=(
            "a classifier tells current contents from the reference's with an AUC of "
            f"{outcome.observed:.2g}, where 0.5 is chance"
        ),
        figures={"strange_share": strange},
        strangeness=scores[sides.n :],
    )


def _inputs(
    pool: NDArray[np.float64], params: Params, rng: np.random.Generator
) -> NDArray[np.float64]:
    """What the classifier sees of each row, ``(n, features)``; no labels are looked at.

    The components are scaled by one number, so that directions of little spread stay small and
    are held down by the ridge; without that its noise would drown the others.
    """
    covariance = pool.T @ pool / len(pool)
    spreads, directions = np.linalg.eigh(covariance)
    spreads, directions = spreads[::-1][: params.components], directions[:, ::-1]
    kept = int(np.sum(spreads > max(spreads[0], 0.0) * _NO_SPREAD**2)) if spreads[0] > 0 else 0
    if not kept:
        return np.zeros((len(pool), 1))
    along = pool @ directions[:, :kept]
    scaled: NDArray[np.float64] = along / np.sqrt(spreads[0])
    if not params.features:
        return scaled
    bandwidth = _rff.median_distance(along, rng)
    frequencies = _rff.frequencies(kept, params.features, bandwidth, rng)
    waves = _rff.transform(along, frequencies).view(np.float64) * np.sqrt(params.features)
    inputs: NDArray[np.float64] = np.hstack([scaled, waves])
    return inputs


def out_of_fold(
    inputs: NDArray[np.float64],
    theirs: NDArray[np.bool_],
    folds: list[NDArray[np.intp]],
    ridge: float,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Scores of the rows by what the other folds taught, and their AUC.

    Rows are compared within their fold alone: the folds' classifiers differ in their intercept,
    which falls the more current rows a fold happens to hold, and would bring the AUC of equal
    distributions below 0.5.

    Args:
        inputs: ``(n, features)``.
        theirs: ``(splits, n)``, which rows are current, the true split first.
        folds: rows that are scored together.
        ridge: strength of the regularisation, as a share of the rows.

    Returns:
        ``(n,)`` scores for the true split; ``(splits,)`` AUCs.
    """
    labels = np.ascontiguousarray(theirs.T).astype(np.float64)
    gram, taught = inputs.T @ inputs, inputs.T @ labels
    sums, counts = inputs.sum(axis=0), labels.sum(axis=0)
    scores = np.empty(len(inputs))
    won, pairs = np.zeros(len(theirs)), np.zeros(len(theirs))
    for fold in folds:
        held, own = inputs[fold], labels[fold]
        rest = len(inputs) - len(fold)
        mean = (sums - held.sum(axis=0)) / rest
        # What the fold's rows add to the sums is taken off again, less the mean of those left.
        spread = gram - held.T @ held - rest * np.outer(mean, mean)
        learnt = taught - held.T @ own - np.outer(mean, counts - own.sum(axis=0))
        spread[np.diag_indices_from(spread)] += ridge * rest
        found = (held - mean) @ np.linalg.solve(spread, learnt)
        scores[fold] = found[:, 0]
        fold_won, fold_pairs = in_order(found, own)
        won, pairs = won + fold_won, pairs + fold_pairs
    return scores, np.divide(won, pairs, out=np.full(len(won), 0.5), where=pairs > 0)


def in_order(
    scores: NDArray[np.float64], labels: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """How many pairs of a current and a reference row are in order, and how many there are.

    By the sum of ranks (Mann & Whitney 1947); a tie is half in order.

    Args:
        scores: ``(rows, splits)``.
        labels: ``(rows, splits)``, 1 for current rows and 0 for the reference's.
    """
    largest = np.abs(scores).max(axis=0)
    step = _DIGITS * np.where(largest > 0, largest, 1.0)
    places = 2 * np.round(scores / step).astype(np.int64).T
    current = labels.astype(np.int64).T
    counts = labels.sum(axis=0)
    # Twice a score with the label beside it: once sorted, the odd ones are the current rows, and
    # those with an equal score stand after the reference's in the one order, before it in the other
    ranks = [_odd_ranks(np.sort(places + side * current, axis=1)) for side in (1, -1)]
    won = (ranks[0] + ranks[1]) / 2 - counts * (counts + 1) / 2
    return won, counts * (len(labels) - counts)


def _odd_ranks(ordered: NDArray[np.int64]) -> NDArray[np.float64]:
    """The sum of the ranks, from 1, of the odd numbers of each row."""
    ranks = np.arange(1, ordered.shape[1] + 1, dtype=np.float64)
    return (ordered & 1).astype(np.float64) @ ranks
