"""Distributions along principal components: which of them have changed.

Along each leading component of the pool the distribution functions of both samples are held
against each other (Kolmogorov-Smirnov). The verdict is a permutation test's of the largest of the
distances, so its level is exact at every sample size, however many components are looked at and
however they depend on each other. Which components moved is said under the Benjamini-Hochberg
procedure.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from flows.monitors import _components, _ks, _single, _sketched, _told, _two_sample
from flows.monitors._multiple import benjamini_hochberg
from flows.monitors._ranges import at_least
from flows.monitors.base import Part

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from flows.monitors._two_sample import Sides
    from flows.monitors.base import Finding, Sample

READS = frozenset({"sketch"})


@dataclass(frozen=True)
class Params(_two_sample.Params):
    """How it is looked for.

    Attributes:
        components: principal components that are looked at.
    """

    components: int = 8

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(self, components=1)


def compare(
    reference: Sample, current: Sample, rng: np.random.Generator, params: Params
) -> Finding:
    """Test whether both samples are spread alike along the principal components of the pool.

    ``statistic`` is the largest Kolmogorov-Smirnov distance, times the root of ``nm / (n + m)``;
    ``effect_size`` is the distance itself, 0 to 1, less what random splits show. Distances are
    taken at the borders of 32 bins. ``detail`` holds ``smallest_visible`` and what is left out, as
    that of `flows.monitors.mmd.compare`, and ``variance_seen``, the share of the pool's variance
    that lies along these components. ``record_ids`` of an alarm are the current records where the
    components that moved have become denser.

    Raises:
        ValueError: if the samples differ in width.
    """
    samples = (reference, current)
    return _two_sample.compare("pca_ks", samples, rng, params, _run, _sketched.pca_ks)


def _run(sides: Sides, rng: np.random.Generator, params: Params) -> _two_sample.Result:
    components = _components.fit(sides.pool, params.components, rng)
    statistic = _ks.Ks.fit(components, params.components, sides.sizes)
    outcome, visible = _single.permuted(statistic, sides, rng, params)
    true = np.repeat([[1.0, 0.0]], sides.sizes, axis=1)
    apart = statistic.apart(true)[0]
    p_values = _ks.p_values(apart, sides.sizes)
    moved = benjamini_hochberg(p_values, params.alpha)
    effect = net(outcome.observed, outcome.permuted) / _ks.scale(sides.sizes)
    shown = moved if moved.any() else apart == apart.max()
    return _two_sample.Result(
        outcome.at(params.alpha),
        effect=effect,
        told=told(apart, moved),
        figures={"smallest_visible": visible, "variance_seen": components.share},
        strangeness=statistic.strangeness(shown)[sides.n :],
        parts=parts(apart, p_values, moved),
    )


def told(apart: NDArray[np.float64], moved: NDArray[np.bool_]) -> str:
    """Which component moved most, and how many did."""
    most = int(np.argmax(apart))
    return (
        f"component {most + 1} most, by a Kolmogorov-Smirnov distance of {apart[most]:.2g}, and "
        f"{moved.sum()} of {len(apart)} in all"
    )


def net(observed: float, permuted: NDArray[np.float64]) -> float:
    """A distance less what random splits show, as a root of squares; 0 where that is more."""
    return math.sqrt(max(observed**2 - float((permuted**2).mean()), 0.0))


def parts(
    apart: NDArray[np.float64], p_values: NDArray[np.float64], moved: NDArray[np.bool_]
) -> tuple[Part, ...]:
    """A part for each component, the clearest first."""
    order = np.argsort(-apart, kind="stable").tolist()
    return tuple(
        Part(
            kind="check",
            name=f"component {component + 1}",
            verdict="alarm" if moved[component] else "quiet",
            summary=f"Kolmogorov-Smirnov distance {apart[component]:.2g} "
            f"({_told.p_value(float(p_values[component]))})",
            figures={"ks": float(apart[component]), "p_value": float(p_values[component])},
        )
        for component in order
    )
