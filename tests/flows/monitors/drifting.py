"""Two samples held against each other by drift, with few permutations."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from flows.monitors import drift
from tests.flows.monitors.samples import sample

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from flows.monitors.base import Finding, Sample

    Draw = Callable[[np.random.Generator], tuple[Sample, Sample]]

CHEAP = drift.Params(
    alpha=0.05, permutations=199, most_permutations=0, features=64, cells=8, components=4
)


def compare(
    reference: NDArray[np.float64],
    current: NDArray[np.float64],
    params: drift.Params = CHEAP,
    seed: int = 1,
) -> Finding:
    rng = np.random.default_rng(seed)
    return drift.compare(sample(reference, "r"), sample(current, "c"), rng, params)


def binomial_interval(runs: int, rate: float) -> tuple[float, float]:
    from scipy.stats import binom

    low, high = binom.interval(0.999, runs, rate)
    return float(low), float(high)


def copied(
    vectors: NDArray[np.float64], times: Sequence[int] | NDArray[np.intp], name: str = "c"
) -> Sample:
    """Each vector as so many rows of one content."""
    contents = np.repeat([f"{name}{row}" for row in range(len(vectors))], times)
    return sample(np.repeat(vectors, times, axis=0), name, contents.tolist())
