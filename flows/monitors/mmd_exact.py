"""Maximum mean discrepancy with the exact Gaussian kernel, for small samples.

What `mmd` comes close to with random features, here from the whole kernel matrix (Gretton et al.
2012, "A kernel two-sample test"), with the same bandwidth and the same permutation test. Time and
memory grow with the square of the rows, so no more than a thousand a side are drawn unless told
otherwise: where there are few rows, or to check `mmd` by.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from flows.monitors import _kernel, _rff, _two_sample, mmd

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
    return mmd.result(statistic, bandwidth, sides, rng, params)
