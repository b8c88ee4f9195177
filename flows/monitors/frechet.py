"""The Fréchet distance of both samples: mean and covariance along the principal components.

Both samples are taken for Gaussians in the first principal components of the pool, and the
distance between those is measured (Dowson & Landau 1982; the "FID" of Heusel et al. 2017, with the
vectors of one's own encoder). It sees a moved mean and any change of spread or correlation, and
nothing else. Estimates from samples are above 0 even where nothing changed, the more the fewer
rows there are, so the distance as such says little: the p-value is a permutation test's, exact at
every sample size, and what random splits show is taken off the effect. Where there are more
contents than are drawn it is a formula's (`flows.monitors._gaussians`), unless the tails are too
heavy for that: then rows are drawn all the same.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from flows.monitors import _analytic, _components, _frechet, _single, _sketched, _two_sample

if TYPE_CHECKING:
    import numpy as np

    from flows.monitors._two_sample import Sides
    from flows.monitors.base import Finding, Sample

READS = frozenset({"sketch"})

_MOST = 32


@dataclass(frozen=True)
class Params(_two_sample.Params):
    """How it is looked for.

    Attributes:
        components: principal components in which it is measured, at most 32, and at most 16
            where sketches are compared.
    """

    components: int = 16

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 1 <= self.components <= _MOST:
            raise ValueError(
                f"components must lie between 1 and {_MOST}, got {self.components}: a covariance "
                "needs many more rows than it has dimensions"
            )


def compare(
    reference: Sample, current: Sample, rng: np.random.Generator, params: Params
) -> Finding:
    """Test whether mean and covariance of both samples are further apart than those of halves.

    ``statistic`` is the squared Fréchet distance in units of the pool's variance along the
    components; ``effect_size`` is its root, less what random splits show in the mean, in units of
    the root of that variance. ``detail`` holds ``smallest_visible`` and what is left out, as that
    of `flows.monitors.mmd.compare`, and ``variance_seen``, the share of the pool's variance that
    lies along the components, where rows are what is tested. ``record_ids`` of an alarm are the
    current records that are likelier under the current Gaussian than under the reference's.

    Raises:
        ValueError: if the samples differ in width.
    """
    samples = (reference, current)
    light = _analytic.nearly_normal((reference.sketch, current.sketch), params.components)
    sketched = _sketched.frechet if light else None
    return _two_sample.compare("frechet", samples, rng, params, _run, sketched)


def told(effect: float) -> str:
    """The effect in words."""
    return f"mean and spread, by a Fréchet distance of {effect:.2g} standard deviations"


def _run(sides: Sides, rng: np.random.Generator, params: Params) -> _two_sample.Result:
    components = _components.fit(sides.pool, params.components, rng)
    statistic = _frechet.Frechet.of(components, sides.sizes)
    outcome, visible = _single.permuted(statistic, sides, rng, params)
    effect = math.sqrt(max(outcome.observed - float(outcome.permuted.mean()), 0.0))
    return _two_sample.Result(
        outcome.at(params.alpha),
        effect=effect,
        told=told(effect),
        figures={"smallest_visible": visible, "variance_seen": components.share},
        strangeness=statistic.witness()[sides.n :],
    )
