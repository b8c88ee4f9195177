"""Energy distance: how much farther rows of two samples are from each other than from their own.

``E = 2 E|X - Y| - E|X - X'| - E|Y - Y'|`` is 0 for equal distributions and above 0 for any two
others (Székely & Rizzo 2013, "Energy statistics"). No kernel and no bandwidth has to be chosen, at
the price of all distances between the rows.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from flows.monitors import _permuted, _rows, _two_sample
from flows.monitors._permuted import true
from flows.monitors._two_sample import Result

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from flows.monitors._two_sample import Sides
    from flows.monitors.base import Finding, Sample

_COLUMNS = 512
"""Columns of the matrix of distances that are held at a time."""

_ROUNDING = 1e-12
"""What rounding leaves of a difference of distances around 1."""

_SAME = 1e-12
"""A squared distance of this part of the rows' squared norms is what rounding leaves of none."""


@dataclass(frozen=True)
class Params(_permuted.Params):
    """How the energy distance is tested; ``min_effect`` is in H."""


def compare(
    reference: Sample, current: Sample, rng: np.random.Generator, params: Params
) -> Finding:
    """Test by energy distance whether both samples come from one distribution.

    ``statistic`` is the unbiased estimate of the energy distance (distances within a sample are
    those of different rows), in units of the vectors, so that samples of two sizes are no news;
    ``threshold`` is the largest value that is no alarm. ``effect_size`` is the coefficient of
    inhomogeneity ``H = E / 2 E|X - Y|``, from 0 (no difference, or less than chance gives) to 1
    (either sample is a point). ``detail`` holds the three mean distances. ``record_ids`` of an
    alarm are the current records that are farther from the reference than from their own sample,
    those by the most first.

    Raises:
        ValueError: if the samples differ in width.
    """
    return _two_sample.compare("energy", (reference, current), rng, params, _run)


def _run(sides: Sides, rng: np.random.Generator, params: Params) -> Result:
    to_ours, to_all = _reach(sides.pool, sides.n)
    mean = float(to_all.mean()) / len(to_all)
    unit = mean if mean > 0 else 1.0  # ties are told apart from rounding in numbers around 1
    measure = partial(energies, sides.pool / unit, to_all / unit)
    outcome = _permuted.permute(measure, sides, params, rng)
    energy, threshold = (unit * v for v in (outcome.observed, outcome.threshold(params.alpha)))
    between, *within = (float(d[0]) for d in _mean_distances(sides.pool, to_all, true(sides)))
    effect = _inhomogeneity(energy, between)
    to_theirs = (to_all - to_ours)[sides.n :] / (sides.m - 1)
    return Result(
        replace(outcome.at(params.alpha), statistic=energy, threshold=threshold),
        effect=effect,
        told=f"energy distance {effect:.2g} on a scale from 0 to 1",
        figures={
            "between": between,
            "within_reference": within[0],
            "within_current": within[1],
        },
        strangeness=to_ours[sides.n :] / sides.n - to_theirs,
    )


def _reach(pool: NDArray[np.float64], n: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Sums of the distances of every row to the first n, and to all rows."""
    to_ours, to_all = np.empty(len(pool)), np.empty(len(pool))
    for block in _rows.blocks(len(pool), _COLUMNS):
        distances = _distances(pool, pool[block])
        to_ours[block], to_all[block] = distances[:n].sum(axis=0), distances.sum(axis=0)
    return to_ours, to_all


def energies(
    pool: NDArray[np.float64], to_all: NDArray[np.float64], ours: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """The energy distance of the sides of each split, where the mean distance is 1."""
    between, within_ours, within_theirs = _mean_distances(pool, to_all, ours)
    values = 2 * between - within_ours - within_theirs
    known: NDArray[np.float64] = np.where(np.abs(values) > _ROUNDING, values, 0.0)
    return known


def _mean_distances(
    pool: NDArray[np.float64], to_all: NDArray[np.float64], ours: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Mean distances between and within the sides of each split, of different rows.

    All splits share the matrix of distances, of which only some columns are there at a time.

    Args:
        pool: ``(n + m, dim)``.
        to_all: ``(n + m,)``, sums of the distances of every row.
        ours: ``(splits, n + m)``, the rows on the reference's side.
    """
    chosen = ours.astype(np.float64)
    n = int(ours[0].sum())
    m = len(pool) - n
    within = np.zeros(len(ours))
    for block in _rows.blocks(len(pool), _COLUMNS):
        distances = _distances(pool, pool[block])
        within += np.einsum("sc,sc->s", chosen @ distances, chosen[:, block])
    between = chosen @ to_all - within
    theirs = to_all.sum() - 2 * between - within
    return between / (n * m), within / (n * (n - 1)), theirs / (m * (m - 1))


def _distances(rows: NDArray[np.float64], others: NDArray[np.float64]) -> NDArray[np.float64]:
    """Euclidean distances by one matrix product, ``(len(rows), len(others))``."""
    norms = [np.einsum("nd,nd->n", side, side) for side in (rows, others)]
    largest = norms[0][:, None] + norms[1]
    squared: NDArray[np.float64] = largest - 2 * (rows @ others.T)
    squared[squared <= _SAME * largest] = 0.0
    np.sqrt(squared, out=squared)
    return squared


def _inhomogeneity(energy: float, between: float) -> float:
    return min(max(energy / (2 * between), 0.0), 1.0) if between > 0 else 0.0
