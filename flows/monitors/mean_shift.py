"""Whether the mean has moved, and how far.

The distance of the means of both samples, less what sampling alone gives, in units of the
reference's total standard deviation: the plainest effect size there is, and the most powerful test
where all records moved the same way. It is blind to whatever leaves the mean in place; `drift`
looks for that too. The p-value is a permutation test's, exact at every sample size.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from flows.monitors import _moments, _single, _sketched, _two_sample, _wording

if TYPE_CHECKING:
    import numpy as np

    from flows.monitors._two_sample import Sides
    from flows.monitors.base import Finding, Sample

READS = frozenset({"sketch"})


@dataclass(frozen=True)
class Params(_two_sample.Params):
    """How it is looked for."""


def compare(
    reference: Sample, current: Sample, rng: np.random.Generator, params: Params
) -> Finding:
    """Test whether the means of both samples are further apart than those of random halves.

    ``statistic`` is the unbiased estimate of the squared distance in units of the pool's total
    variance, below 0 about as often as above where nothing changed; ``effect_size`` is the
    distance, 0 where the estimate is negative, in units of the reference's total standard
    deviation (of the pool's, where the reference has none). ``detail`` holds ``smallest_visible``
    in that unit and what is left out, as that of `flows.monitors.mmd.compare`. ``record_ids`` of
    an alarm are the current records furthest along the way that the mean has moved.

    Raises:
        ValueError: if the samples differ in width.
    """
    samples = (reference, current)
    return _two_sample.compare("mean_shift", samples, rng, params, _run, _sketched.mean_shift)


def _run(sides: Sides, rng: np.random.Generator, params: Params) -> _two_sample.Result:
    statistic = _moments.MeanShift.of(sides.pool, sides.sizes)
    outcome, visible = _single.permuted(statistic, sides, rng, params)
    effect = sides.shift / (sides.spread or statistic.unit**0.5)
    return _two_sample.Result(
        outcome.at(params.alpha),
        effect=effect,
        told=_wording.told_shift(effect),
        figures={"smallest_visible": visible},
        strangeness=statistic.witness()[sides.n :],
    )
