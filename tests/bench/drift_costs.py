"""What one look of drift and of mmd costs, beside exact MMD.

``VECMILL_TEST_DATA=... python -m tests.bench.drift_costs [--n 500 2000] [--cache DIR]
[--json FILE]`` gives two samples of news without a change to each test and prints the processor
time, the least of three looks. ``exact`` is `tests.bench.drift_power.exact_mmd`: the kernel and 999
permutations as matrix products, and nothing else. ``mmd_exact``, ``mmd`` and ``drift`` are whole
looks of the monitors, which say besides how small a change they would have seen. hyppo centres a
matrix anew for each permutation, so it is measured with 4 and with 9 of them, once, and what 999
would take is worked out from the difference.
"""

from __future__ import annotations

import argparse
import sys
import time
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from tests.bench import drift_data
from tests.bench._rows import Rows, add_options
from tests.bench.drift_data import sample
from tests.bench.drift_power import PERMUTATIONS, exact, hyppo_mmd, monitor

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from flows.monitors.base import Sample

FEW, MORE = 4, 9
LOOKS = 3


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
        "n": 5, "test": 10, "CPU s": 9, "of exact": 9, "of mmd_exact": 12}, asked.json)  # fmt: skip
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
    tests = {"exact": exact, **{kind: monitor(kind) for kind in ("mmd_exact", "mmd", "drift")}}
    took = {
        name: min(seconds(partial(test, reference, current, 0)) for _ in range(LOOKS))
        for name, test in tests.items()
    }
    sides = reference.vectors, current.vectors
    hyppo_mmd(sides[0][:30], sides[1][:30], 1, 0)  # pays for the imports
    few, more = (seconds(partial(hyppo_mmd, *sides, many, 0)) for many in (FEW, MORE))
    each = (more - few) / (MORE - FEW)
    return {**took, "hyppo": few + (PERMUTATIONS - FEW) * each}


def seconds(look: Callable[[], object]) -> float:
    """CPU seconds of it."""
    begun = time.process_time()
    look()
    return time.process_time() - begun


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
