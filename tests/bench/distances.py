"""How often the other distances are wrong, how often right, and what they cost, beside `mmd`.

``VECMILL_TEST_DATA=... python -m tests.bench.distances [--cache DIR] [--json FILE]`` encodes 3,000
news with MiniLM, draws pairs of samples of 500 from them again and again, and prints for energy,
sliced_wasserstein, classifier and slices the share of alarms without a change, which must be alpha
(and below it for slices, whose rate holds however they overlap), with a part of the current news of
one class only, and with all current vectors farther from their mean; and the CPU time of one look.
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from flows.monitors import base
from flows.monitors.base import Sample
from tests.bench import drift_data
from tests.bench._rows import Rows, add_options
from tests.bench.drift_data import null_interval

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Vectors = NDArray[np.float32]
    Labels = NDArray[np.str_]

NEWS, ROWS = 3000, 500
KINDS = ("mmd", "energy", "sliced_wasserstein", "classifier", "slices")
RUNS = {"none": 200, "one class": 40, "spread": 40}
ALPHA = 0.05
ONE_CLASS, SPREAD = 0.2, 1.05


def main(words: Sequence[str] = ()) -> int:
    """Print a row a monitor; 1 if a rate without a change is outside its 99.9 % interval."""
    parser = argparse.ArgumentParser(prog="distances")
    add_options(parser)
    asked = parser.parse_args(words)
    data = drift_data.data_folder()
    if data is None:
        return 2
    vectors, labels = drift_data.encode_news(data, NEWS, asked.cache)
    low, high = null_interval(RUNS["none"], ALPHA)
    rows = Rows(
        f"n = {ROWS} a side, alpha {ALPHA}; without a change {low:.3f} to {high:.3f} are right",
        {"monitor": 18, **dict.fromkeys(RUNS, 9), "CPU s a look": 12},
        asked.json,
    )
    sound = True
    for kind in KINDS:
        rates = {change: alarm_rate(kind, change, vectors, labels) for change in RUNS}
        sound &= rates["none"] <= high and (rates["none"] >= low or kind == "slices")
        told = {change: f"{rate:.3f}" for change, rate in rates.items()}
        took = f"{seconds(kind, vectors, labels):.2f}"
        rows.add({"monitor": kind, **told, "CPU s a look": took})
    return 0 if sound else 1


def alarm_rate(kind: str, change: str, vectors: Vectors, labels: Labels) -> float:
    """The share of runs that raise an alarm."""
    alarms = 0
    for seed in range(RUNS[change]):
        rng = np.random.default_rng(seed)
        pair = draw(change, vectors, labels, rng)
        alarms += base.compare(kind, *pair, rng, params(kind)).verdict == "alarm"
    return alarms / RUNS[change]


def params(kind: str) -> Any:  # noqa: ANN401 - of any monitor
    """As many permutations as alpha needs; slices need more, since there are many tests."""
    usual = base.params_type(kind)(alpha=ALPHA)
    return usual if kind == "slices" else replace(usual, permutations=199, most_permutations=0)


def seconds(kind: str, vectors: Vectors, labels: Labels) -> float:
    """CPU seconds of one look with the parameters that nobody has changed, without a change."""
    rng = np.random.default_rng(0)
    pair = draw("none", vectors, labels, rng)
    began = time.process_time()
    base.compare(kind, *pair, rng, base.params_type(kind)())
    return time.process_time() - began


def draw(
    change: str, vectors: Vectors, labels: Labels, rng: np.random.Generator
) -> tuple[Sample, Sample]:
    """A pair of samples with this change between them."""
    rows = rng.permutation(len(vectors))
    ours, theirs = rows[:ROWS], rows[ROWS : 2 * ROWS]
    if change == "one class":
        others = rows[2 * ROWS :][labels[rows[2 * ROWS :]] == labels[0]]
        theirs = np.concatenate([theirs[round(ONE_CLASS * ROWS) :], others])[:ROWS]
    current = news(vectors, labels, theirs)
    if change == "spread":
        mean = vectors.mean(axis=0)
        current = replace(current, vectors=mean + np.float32(SPREAD) * (current.vectors - mean))
    return news(vectors, labels, ours), current


def news(vectors: Vectors, labels: Labels, rows: NDArray[np.intp]) -> Sample:
    """These rows of the news, with their labels."""
    ids = [f"{row}" for row in rows]
    return Sample(vectors[rows], ids, ids, {"label": labels[rows].tolist()})


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
