"""Drift: whether current contents come from the distribution that the reference's came from.

Three tests look at the same rows, and one verdict is made of them: `mmd`, which sees a shift or a
change of shape of the whole; `occupancy`, which sees clusters that grew or shrank; and `pca_ks`,
which sees any change along a leading component. All three are measured over the same random
splits, and the one verdict comes from the largest of the three scores (Westfall & Young 1993), so
its level is exactly alpha at every sample size, however much the three depend on each other. A
quiet answer says how small a shift it could have seen.

Where there are more contents than are drawn, and sketches of all of them, each test has a p-value
by formula (`flows.monitors._analytic`), and the verdict is that of the smallest at a third of the
level (Bonferroni): never above alpha, and little below it, since so many contents hide little.

Which rows are compared, and how copies of one content count, is told in
`flows.monitors._two_sample`; why the level is exact, in `flows.monitors._splits`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from flows.monitors import (
    _cells,
    _clusters,
    _combined,
    _components,
    _ks,
    _power,
    _rff,
    _sketched,
    _splits,
    _two_sample,
    _wording,
)
from flows.monitors._explain import explain
from flows.monitors._ranges import at_least

if TYPE_CHECKING:
    import numpy as np

    from flows.monitors._two_sample import Sides
    from flows.monitors.base import Finding, Part, Sample

READS = frozenset({"kept", "sketch"})
BY_DEFAULT = True

TESTS = ("mmd", "occupancy", "pca_ks")
"""The tests that are combined, in this order."""

_CLUSTERED = 32


@dataclass(frozen=True)
class Params(_two_sample.Params):
    """How drift is looked for.

    Attributes:
        features: random Fourier features, an even number; more come closer to the exact kernel.
        cells: clusters, or a tenth of the contents where that is less.
        components: principal components whose distributions are looked at.
    """

    features: int = 1024
    cells: int = 16
    components: int = 8

    def __post_init__(self) -> None:
        super().__post_init__()
        _rff.check_features(self.features)
        at_least(self, cells=2, components=1)


def compare(
    reference: Sample, current: Sample, rng: np.random.Generator, params: Params
) -> Finding:
    """Test whether both samples come from one distribution.

    ``statistic`` is the largest score of the three tests and ``threshold`` the largest value that
    is no alarm. A score of 1 is what a test exceeds in one random split of 20; of sketches it is
    the logarithm of the smallest p-value to base 0.05. ``effect_size`` is the MMD, in kernel units
    between about 0 and 1.4, 0 where its estimate is negative.

    ``detail`` holds ``mmd2``, the unbiased estimate of MMD²; ``cramers_v`` and ``psi`` of the
    clusters; ``ks``, the largest Kolmogorov-Smirnov distance; ``p_mmd``, ``p_occupancy`` and
    ``p_pca_ks``, the p-value of each test given that there are three; and, in units of the
    reference's total standard deviation (the root of the trace of its covariance), ``mean_shift``,
    less what sampling alone gives, and ``smallest_visible``, the mean shift that is seen in 8 of
    10 such runs; either is missing where it has no meaning.

    ``n_reference`` and ``n_current`` count contents, each tested once; ``repeats_reference`` and
    ``repeats_current`` are the rows left out for that, where rows are what is tested, and
    ``left_out_reference`` and ``left_out_current`` those that are not finite. ``record_ids`` of an
    alarm are the current records that look least like the reference, by MMD's witness function,
    and its parts are the clusters that moved, and the words and values of the kept columns that
    did.

    Raises:
        ValueError: if the samples differ in width.
    """
    samples = (reference, current)
    run = partial(_run, samples)
    return _two_sample.compare("drift", samples, rng, params, run, _sketched.drift)


def _run(
    samples: tuple[Sample, Sample], sides: Sides, rng: np.random.Generator, params: Params
) -> _two_sample.Result:
    mmd, bandwidth = _rff.fit(sides.pool, sides.sizes, params.features, rng)
    components = _components.fit(sides.pool, max(_CLUSTERED, params.components), rng)
    k = _cells.number(params.cells, sum(sides.sizes))
    cells = _cells.Occupancy.fit(components, k, rng)
    ks = _ks.Ks.fit(components, params.components, sides.sizes)
    tests = (mmd, cells, ks)
    outcome = _splits.permute(tests, sides.sizes, params.rounds, rng, _combined.largest)
    mmd2, _, distance = outcome.each[0].tolist()
    effect = math.sqrt(max(mmd2, 0.0))
    counts = _clusters.counts(cells, sides)
    own = _combined.adjusted(outcome.each)
    plant = _combined.planting(tests, _combined.Scale.of(outcome.each))
    return _two_sample.Result(
        outcome.at(params.alpha),
        effect=effect,
        told=_wording.told_shift(sides.mean_shift),
        figures={
            "bandwidth": bandwidth,
            "mmd2": mmd2,
            "cramers_v": _cells.cramers_v(*counts),
            "psi": _cells.psi(*counts),
            "ks": distance / _ks.scale(sides.sizes),
            **{f"p_{name}": float(p) for name, p in zip(TESTS, own, strict=True)},
            "mean_shift": sides.mean_shift,
            "smallest_visible": _power.visible_by(plant, outcome, sides, params.alpha),
        },
        strangeness=mmd.witness()[sides.n :],
        explain=lambda: _moved(cells, sides, params) + explain(*samples),
    )


def _moved(cells: _cells.Occupancy, sides: Sides, params: Params) -> tuple[Part, ...]:
    """The clusters that moved, the clearest first."""
    words = _clusters.words(cells, sides)
    parts = _clusters.parts(cells, sides, params.alpha, params.max_ids, words)
    return tuple(part for part in parts if part.verdict == "alarm")
