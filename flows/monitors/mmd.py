"""Maximum mean discrepancy of both samples, over random Fourier features.

The two-sample test of Gretton et al. 2012, "A kernel two-sample test", in the features of Rahimi &
Recht 2007, with a permutation p-value: exact at every sample size and for every distribution, ties
included. A quiet answer says how small a shift it could have seen. Which rows are compared, and
how copies of one content count, is told in `flows.monitors._two_sample`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from flows.monitors import _rff, _single, _sketched, _two_sample, _wording
from flows.monitors._two_sample import Result

if TYPE_CHECKING:
    import numpy as np

    from flows.monitors import _kernel
    from flows.monitors._two_sample import Sides
    from flows.monitors.base import Finding, Sample

READS = frozenset({"sketch"})


@dataclass(frozen=True)
class Params(_two_sample.Params):
    """How it is looked for.

    Attributes:
        features: random Fourier features, an even number; more come closer to the exact kernel.
    """

    features: int = 1024

    def __post_init__(self) -> None:
        super().__post_init__()
        _rff.check_features(self.features)


def compare(
    reference: Sample, current: Sample, rng: np.random.Generator, params: Params
) -> Finding:
    """Test whether both samples come from one distribution.

    ``statistic`` is the unbiased estimate of MMD², in kernel units between about 0 and 2, and
    ``threshold`` the largest value that is no alarm; ``effect_size`` is the MMD, its root, 0 where
    the estimate is negative. ``detail`` holds, in units of the reference's total standard
    deviation (the root of the trace of its covariance), ``mean_shift``, less what sampling alone
    gives, and ``smallest_visible``, the mean shift that is seen in 8 of 10 such runs; either is
    missing where it has no meaning. ``n_reference`` and ``n_current`` count contents, each tested
    once; ``repeats_reference`` and ``repeats_current`` are the rows left out for that, and
    ``left_out_reference`` and ``left_out_current`` those that are not finite. ``record_ids`` of an
    alarm are the current records that look least like the reference, by the witness function.

    Raises:
        ValueError: if the samples differ in width.
    """
    samples = (reference, current)
    return _two_sample.compare("mmd", samples, rng, params, _run, _sketched.mmd)


def _run(sides: Sides, rng: np.random.Generator, params: Params) -> Result:
    statistic, bandwidth = _rff.fit(sides.pool, sides.sizes, params.features, rng)
    return result(statistic, bandwidth, sides, rng, params)


def result(
    statistic: _rff.Mmd | _kernel.ExactMmd,
    bandwidth: float,
    sides: Sides,
    rng: np.random.Generator,
    params: _two_sample.Params,
) -> Result:
    """What the permutation test of MMD² says, by whichever kernel."""
    outcome, visible = _single.permuted(statistic, sides, rng, params)
    effect = math.sqrt(max(outcome.observed, 0.0))
    return Result(
        outcome.at(params.alpha),
        effect=effect,
        told=_wording.told_shift(sides.mean_shift),
        figures={
            "bandwidth": bandwidth,
            "mean_shift": sides.mean_shift,
            "smallest_visible": visible,
        },
        strangeness=statistic.witness()[sides.n :],
    )
