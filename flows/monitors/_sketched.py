"""What the two-sample tests say of sketches, in the words and units of their tests on rows.

The p-values are those of `flows.monitors._analytic`. What names records or parts is taken over
from the test on the rows that were drawn.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from flows.monitors import _analytic, _cells, _ks, _tails, _wording
from flows.monitors._evidence import Evidence
from flows.monitors._multiple import benjamini_hochberg

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from flows.monitors import drift as drifts
    from flows.monitors import frechet as gaussians
    from flows.monitors import pca_ks as components
    from flows.monitors._sketch import Sketch
    from flows.monitors._two_sample import Params, Result

    Pair = tuple[Sketch, Sketch]
    Figures = dict[str, float | None]

TESTS = 3
"""How many tests `drift` combines."""

_CHANCE = math.pi**2 / 12
"""The mean square of what Kolmogorov's law describes."""

_SCORE = math.log(0.05)


def mmd(drawn: Result, pair: Pair, params: Params) -> Result:
    """What `flows.monitors.mmd` says."""
    distance = _analytic.mmd(*pair)
    moved = _shift(pair)
    figures: Figures = {
        "bandwidth": float(pair[0].basis.bandwidth[0]),
        "mean_shift": moved,
        "smallest_visible": distance.smallest_visible(params.alpha),
    }
    told = _wording.told_shift(moved)
    evidence = _distance(distance, params.alpha)
    return replace(drawn, evidence=evidence, effect=distance.effect, told=told, figures=figures)


def mean_shift(drawn: Result, pair: Pair, params: Params) -> Result:
    """What `flows.monitors.mean_shift` says."""
    distance = _analytic.mean_shift(*pair)
    spread = distance.spread
    effect = _analytic.mean_distance(*pair) / spread if spread > 0 else distance.effect
    told = _wording.told_shift(effect)
    figures: Figures = {"smallest_visible": distance.smallest_visible(params.alpha)}
    evidence = _distance(distance, params.alpha)
    return replace(drawn, evidence=evidence, effect=effect, told=told, figures=figures)


def frechet(drawn: Result, pair: Pair, params: gaussians.Params) -> Result:
    """What `flows.monitors.frechet` says, of the leading components of the basis, at most 16."""
    from flows.monitors.frechet import told

    distance = _analytic.frechet(*pair, params.components)
    chance = float(distance.weights.sum())
    threshold = distance.threshold(params.alpha) + chance
    return replace(
        drawn,
        evidence=_by_formula(distance.statistic + chance, threshold, distance.p_value),
        effect=distance.effect,
        told=told(distance.effect),
        figures={"smallest_visible": distance.smallest_visible(params.alpha)},
    )


def occupancy(drawn: Result, pair: Pair, params: Params) -> Result:
    """What `flows.monitors.occupancy` says."""
    from flows.monitors.occupancy import told

    ours, theirs = _counts(pair)
    found = _analytic.counts(pair[0].cells, pair[1].cells)
    effect, psi = _cells.cramers_v(ours, theirs), _cells.psi(ours, theirs)
    return replace(
        drawn,
        evidence=_by_formula(found.statistic, found.threshold(params.alpha), found.p_value),
        effect=effect,
        told=told(len(ours)),
        figures={"psi": psi, "cells": float(len(ours))},
    )


def pca_ks(drawn: Result, pair: Pair, params: components.Params) -> Result:
    """What `flows.monitors.pca_ks` says, of the components of the basis."""
    from flows.monitors.pca_ks import parts, told

    apart, p_values = (found[: params.components] for found in _analytic.kolmogorov_smirnov(*pair))
    if not len(apart):
        evidence = _by_formula(drawn.evidence.statistic, drawn.evidence.threshold, 1.0)
        return replace(drawn, evidence=evidence, figures={})
    scale = _scale(pair)
    moved = benjamini_hochberg(p_values, params.alpha)
    largest = float(apart.max()) * scale
    threshold = _analytic.kolmogorov_threshold(params.alpha / len(apart))
    effect = math.sqrt(max(largest**2 - _CHANCE, 0.0)) / scale
    return replace(
        drawn,
        evidence=_by_formula(largest, threshold, _bonferroni(p_values)),
        effect=effect,
        told=told(apart, moved),
        figures={},
        parts=parts(apart, p_values, moved),
    )


def drift(drawn: Result, pair: Pair, params: drifts.Params) -> Result:
    """What `flows.monitors.drift` says: the three tests, each at a third of the level."""
    from flows.monitors.drift import TESTS as NAMES

    distance = _analytic.mmd(*pair)
    apart, along = (found[: params.components] for found in _analytic.kolmogorov_smirnov(*pair))
    counts = _analytic.counts(pair[0].cells, pair[1].cells)
    own = np.array([distance.p_value, counts.p_value, _bonferroni(along)])
    adjusted = np.minimum(TESTS * own, 1.0)
    level = params.alpha / TESTS
    moved = _shift(pair)
    figures: Figures = {
        "mean_shift": moved,
        "bandwidth": float(pair[0].basis.bandwidth[0]),
        "mmd2": distance.statistic,
        "cramers_v": _cells.cramers_v(*_counts(pair)),
        "psi": _cells.psi(*_counts(pair)),
        "ks": float(apart.max(initial=0.0)),
        **{f"p_{name}": float(p) for name, p in zip(NAMES, adjusted, strict=True)},
        "smallest_visible": distance.smallest_visible(level),
    }
    return replace(
        drawn,
        evidence=_by_formula(_score(float(own.min())), _score(level), float(adjusted.min())),
        effect=distance.effect,
        told=_wording.told_shift(moved),
        figures=figures,
    )


def _by_formula(statistic: float, threshold: float, p_value: float) -> Evidence:
    return Evidence(statistic, threshold, p_value, _tails.LEAST_P, 0)


def _distance(distance: _analytic.Distance, alpha: float) -> Evidence:
    return _by_formula(distance.statistic, distance.threshold(alpha), distance.p_value)


def _score(p_value: float) -> float:
    return math.log(p_value) / _SCORE


def _shift(pair: Pair) -> float | None:
    """How far the mean has moved, in units of the spread; None where there is none."""
    spread = _analytic.total_sd(pair[0])
    return _analytic.mean_distance(*pair) / spread if spread > 0 else None


def _counts(pair: Pair) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    return pair[0].cells.astype(np.float64), pair[1].cells.astype(np.float64)


def _scale(pair: Pair) -> float:
    return float(_ks.scale((pair[0].count, pair[1].count)))


def _bonferroni(p_values: NDArray[np.float64]) -> float:
    return min(1.0, len(p_values) * float(p_values.min())) if len(p_values) else 1.0
