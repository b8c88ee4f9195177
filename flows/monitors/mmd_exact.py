"""Maximum mean discrepancy with the exact Gaussian kernel, for small samples.

What `mmd` comes close to with random features, here from the whole kernel matrix (Gretton et al.
2012, "A kernel two-sample test"), with the same bandwidth and the same permutation test. Time and
memory grow with the square of the rows, so no more than a thousand a side are drawn unless told
otherwise: where there are few rows, or to check `mmd` by.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from flows.monitors import _kernel, _moments, _rff, _splits, _two_sample
from flows.monitors._power import visible_to

if TYPE_CHECKING:
    import numpy as np

    from flows.monitors._two_sample import Sides
    from flows.monitors.base import Finding, Sample


@dataclass(frozen=True)
class Params(_two_sample.Params):
    """How it is looked for.

    Attributes:
        max_rows: contents drawn from each sample; the kernel matrix has the square of twice that.
    """

    max_rows: int = 1000


def compare(
    reference: Sample, current: Sample, rng: np.random.Generator, params: Params
) -> Finding:
    """Test whether both samples come from one distribution.

    All fields mean what they mean in `flows.monitors.mmd.compare`.

    Raises:
        ValueError: if the samples differ in width.
    """
    return _two_sample.compare("mmd_exact", (reference, current), rng, params, _run)


def _run(sides: Sides, rng: np.random.Generator, params: Params) -> _two_sample.Result:
    bandwidth = _rff.median_distance(sides.pool, rng)
    statistic = _kernel.ExactMmd.of(sides.pool, sides.sizes, bandwidth)
    outcome = _splits.permute([statistic], sides.sizes, params.rounds, rng)
    spread = _two_sample.spread(sides.reference)
    shift = _moments.shift(sides.reference, sides.current)
    effect = math.sqrt(max(outcome.observed, 0.0))
    visible = visible_to(statistic, outcome, sides.reference, spread, params.alpha)
    return _two_sample.Result(
        statistic=outcome.observed,
        threshold=outcome.threshold(params.alpha),
        p_value=outcome.p_value,
        least_p=outcome.least_p,
        effect=effect,
        told=f"MMD {effect:.3g}, {_two_sample.told_shift(shift, spread)}",
        source=outcome.source,
        figures={
            "bandwidth": bandwidth,
            "mean_shift": shift / spread if spread > 0 else None,
            "smallest_visible": visible,
        },
        strangeness=statistic.witness()[sides.n :],
    )
