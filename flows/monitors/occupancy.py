"""Cluster occupancy: whether the clusters of the pool hold the same shares of both samples.

All contents together are clustered (k-means in their first principal components), and the counts
of both samples held against each other: Pearson's χ² with a permutation p-value, exact at every
sample size however few rows a cluster holds, since the clusters know nothing of the sides. What is
found has a place: the parts of a finding are the clusters, with those that moved under the
Benjamini-Hochberg procedure named first.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from flows.monitors import _cells, _clusters, _components, _single, _sketched, _two_sample
from flows.monitors._ranges import at_least

if TYPE_CHECKING:
    import numpy as np

    from flows.monitors._two_sample import Sides
    from flows.monitors.base import Finding, Sample

READS = frozenset({"sketch"})


@dataclass(frozen=True)
class Params(_two_sample.Params):
    """How it is looked for.

    Attributes:
        cells: clusters, or a tenth of the contents where that is less.
        components: principal components that the clusters are found in.
    """

    cells: int = 16
    components: int = 32

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(self, cells=2, components=1)


def compare(
    reference: Sample, current: Sample, rng: np.random.Generator, params: Params
) -> Finding:
    """Test whether the clusters hold the same shares of both samples.

    ``statistic`` is χ² and ``threshold`` the largest value that is no alarm; ``effect_size`` is
    Cramér's V, 0 to 1, as were both samples of one size, less what chance gives. ``detail`` holds
    ``psi``, the population stability index, ``cells``, and ``smallest_visible`` and what is left
    out, as that of `flows.monitors.mmd.compare`. ``record_ids`` of an alarm are the current records
    nearest the centres of the clusters that grew most.

    Raises:
        ValueError: if the samples differ in width.
    """
    samples = (reference, current)
    return _two_sample.compare("occupancy", samples, rng, params, _run, _sketched.occupancy)


def told(cells: int) -> str:
    """What is said where no single cluster stands out."""
    return f"the shares of {cells} clusters together, of none by itself"


def _run(sides: Sides, rng: np.random.Generator, params: Params) -> _two_sample.Result:
    components = _components.fit(sides.pool, params.components, rng)
    k = _cells.number(params.cells, sum(sides.sizes))
    statistic = _cells.Occupancy.fit(components, k, rng)
    outcome, visible = _single.permuted(statistic, sides, rng, params)
    counts = _clusters.counts(statistic, sides)
    effect, psi = _cells.cramers_v(*counts), _cells.psi(*counts)
    return _two_sample.Result(
        outcome.at(params.alpha),
        effect=effect,
        told=told(len(counts[0])),
        figures={"psi": psi, "cells": float(len(counts[0])), "smallest_visible": visible},
        strangeness=_clusters.strangeness(statistic, sides),
        parts=_clusters.parts(statistic, sides, params.alpha, params.max_ids),
    )
