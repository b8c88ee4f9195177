"""What one look of drift and of mmd costs, beside exact MMD.

``VECMILL_TEST_DATA=... python -m tests.bench.drift_costs [--n 500 2000] [--cache DIR]
[--json FILE]`` gives two samples of news without a change to each test and prints the processor
time, the least of three looks. ``exact`` is `tests.bench.drift_power.exact_mmd`: the kernel and 999
permutations as matrix products, and nothing else. ``mmd_exact``, ``mmd`` and ``drift`` are whole
looks of the monitors, which say besides how small a change they would have seen. hyppo centres a
matrix anew for each permutation, so it is measured with 4 and with 9 of them, once, and what 999
would take is worked out from the difference. So is what a permutation test by POT's sliced
Wasserstein distance would take, with as many directions as the monitor ``sliced_wasserstein``; POT
has the distance alone.
"""

from __future__ import annotations

import argparse
import sys
import time
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from flows.monitors import sliced_wasserstein
from tests.bench import drift_data
from tests.bench._rows import Rows, add_options
from tests.bench.drift_data import sample
from tests.bench.drift_power import PERMUTATIONS, exact, hyppo_mmd, monitor

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from flows.monitors.base import Sample

FEW, MORE = 4, 9
LOOKS = 3
MONITORS = ("mmd_exact", "mmd", "drift", "sliced_wasserstein")
DIRECTIONS = sliced_wasserstein.Params().directions


def main(words: Sequence[str] = ()) -> int:
    """Print a row a test and size."""
    parser = argparse.ArgumentParser(prog="drift_costs")
    parser.add_argument("--n", type=int, nargs="+", default=[500, 2000])
    add_options(parser)
    asked = parser.parse_args(words)
    data = drift_data.data_folder()
    if data is None:
        return 2
    news, _ = drift_data.encode_news(data, 6000, asked.cache)
    rows = Rows(f"one look, {PERMUTATIONS} permutations", {
        "n": 5, "test": 18, "CPU s": 9, "of exact": 9, "of mmd_exact": 12}, asked.json)  # fmt: skip
    for n in asked.n:
        drawn = np.random.default_rng(0).permutation(len(news))
        pair = sample(news, drawn[:n]), sample(news, drawn[n : 2 * n])
        took = costs(*pair)
        for test, seconds in took.items():
            shares = [f"{seconds / took[one]:.3f}" for one in ("exact", "mmd_exact")]
            rows.add({"n": f"{n}", "test": test, "CPU s": f"{seconds:.3f}",
                      "of exact": shares[0], "of mmd_exact": shares[1]})  # fmt: skip
    return 0


def costs(reference: Sample, current: Sample) -> dict[str, float]:
    """CPU seconds of a look by test."""
    tests = {"exact": exact, **{kind: monitor(kind) for kind in MONITORS}}
    took = {
        name: min(seconds(partial(test, reference, current, 0)) for _ in range(LOOKS))
        for name, test in tests.items()
    }
    sides = reference.vectors, current.vectors
    for name, theirs in (("hyppo", hyppo_mmd), ("POT, sliced", pot_sliced)):
        theirs(sides[0][:30], sides[1][:30], 1, 0)  # pays for the imports
        few, more = (seconds(partial(theirs, *sides, many, 0)) for many in (FEW, MORE))
        took[name] = few + (PERMUTATIONS - FEW) * (more - few) / (MORE - FEW)
    return took


def pot_sliced(
    reference: NDArray[np.float32], current: NDArray[np.float32], permutations: int, seed: int
) -> float:
    """The p-value of a permutation test of POT's sliced Wasserstein distance; arrays (n, dim)."""
    import ot

    rng = np.random.default_rng(seed)
    rows, n = np.concatenate([reference, current]), len(reference)
    directions = rng.normal(size=(rows.shape[1], DIRECTIONS)).astype(np.float32)
    directions /= np.linalg.norm(directions, axis=0)

    def distance(order: NDArray[np.int64]) -> float:
        sides = rows[order[:n]], rows[order[n:]]
        return float(ot.sliced_wasserstein_distance(*sides, projections=directions, p=1))

    found = distance(np.arange(len(rows)))
    others = [distance(rng.permutation(len(rows))) for _ in range(permutations)]
    return (1 + sum(other >= found for other in others)) / (1 + permutations)


def seconds(look: Callable[[], object]) -> float:
    """CPU seconds of it."""
    begun = time.process_time()
    look()
    return time.process_time() - begun


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
