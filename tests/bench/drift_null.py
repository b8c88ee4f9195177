"""How often the two-sample tests are wrong on real vectors where nothing changed.

``VECMILL_TEST_DATA=... python -m tests.bench.drift_null [--seeds 200] [--sizes 50 500 5000]
[--kinds drift mmd] [--first 0] [--cache DIR] [--json FILE]`` draws pairs of samples again and
again, without replacement, from one set of real vectors, and prints how often each monitor that
gives a p-value raises an alarm, which must be alpha, whether each content comes once, in copies, or
in both samples. n is rows a side; where the vectors do not reach for two samples of n (6,000 news,
2,500 photographs), samples are halves of them, and the row says how many that is. The
monitors draw down to their own ``max_rows``. ``--first 200`` draws other samples: what is outside
its interval by chance is inside again.
"""

from __future__ import annotations

import argparse
import sys
import time
import zlib
from typing import TYPE_CHECKING

import numpy as np

from flows.monitors import base
from tests.bench import drift_data
from tests.bench._rows import Rows, add_options
from tests.bench.drift_data import null_interval, sample

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from flows.monitors.base import Sample
    from tests.bench.drift_data import Vectors

    Draw = Callable[[Vectors, int, np.random.Generator], tuple[Sample, Sample]]

ALPHA = 0.05
AT_MOST = ("outliers", "duplicates", "labels", "slices")
"""Monitors that promise a bound: of few records they can hardly name any."""


def main(words: Sequence[str] = ()) -> int:
    """Print a row a rate; 1 if one is outside its binomial 99.9 % interval, or its bound."""
    asked = _parser().parse_args(words)
    data = drift_data.data_folder()
    if data is None:
        return 2
    rows = Rows(f"nothing changed, alpha {ALPHA}, {asked.seeds} draws", {
        "vectors": 11, "monitor": 18, "contents": 10, "n": 4, "alarms": 6, "expected": 14,
        "": 7, "CPU s a look": 12}, asked.json)  # fmt: skip
    sound = True
    for name, vectors in vector_sets(data, asked.cache).items():
        for n in asked.sizes:
            size = min(n, len(vectors) // 2)
            for kind in asked.kinds or testing_kinds():
                for how, draw in DRAWS.items():
                    low, high = null_interval(asked.seeds, ALPHA)
                    low = 0.0 if kind in AT_MOST else low
                    begun = time.process_time()
                    seeds = range(asked.first, asked.first + asked.seeds)
                    rate = alarm_rate(kind, vectors, size, seeds, draw)
                    took = (time.process_time() - begun) / asked.seeds
                    within = low <= rate <= high
                    sound &= within
                    told = {"vectors": name, "monitor": kind, "contents": how, "n": f"{size}"}
                    said = {"alarms": f"{rate:.3f}", "expected": f"{low:.3f} to {high:.3f}"}
                    end = {"": "" if within else "OUTSIDE", "CPU s a look": f"{took:.3f}"}
                    rows.add(told | said | end)
    return 0 if sound else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="drift_null")
    parser.add_argument("--seeds", type=int, default=200)
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--sizes", type=int, nargs="+", default=[50, 500, 5000])
    parser.add_argument("--kinds", nargs="+", choices=base.kinds())
    add_options(parser)
    return parser


def vector_sets(data: Path, cache: Path | None) -> dict[str, Vectors]:
    """Real vectors by name."""
    photographs = drift_data.Photographs(data, cache)
    return {
        "news": drift_data.encode_news(data, 6000, cache)[0],
        "photographs": photographs.encode(photographs.images),
    }


def testing_kinds() -> tuple[str, ...]:
    """The monitors that give a p-value of two samples of vectors."""
    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((60, 4)).astype(np.float32)
    pair = sample(vectors, np.arange(30)), sample(vectors, np.arange(30, 60))
    found = {
        kind: base.compare(kind, *pair, rng, base.params_type(kind)()) for kind in base.kinds()
    }
    return tuple(kind for kind, finding in found.items() if finding.p_value is not None)


def once(vectors: Vectors, n: int, rng: np.random.Generator) -> tuple[Sample, Sample]:
    """Each content once."""
    rows = rng.permutation(len(vectors))[: 2 * n]
    return sample(vectors, rows[:n]), sample(vectors, rows[n:])


def copied(vectors: Vectors, n: int, rng: np.random.Generator) -> tuple[Sample, Sample]:
    """Each content in 1 to 5 copies within its sample."""
    rows = rng.permutation(len(vectors))[: 2 * n]
    ours, theirs = (np.repeat(side, rng.integers(1, 6, n)) for side in (rows[:n], rows[n:]))
    return sample(vectors, ours), sample(vectors, theirs)


def again(vectors: Vectors, n: int, rng: np.random.Generator) -> tuple[Sample, Sample]:
    """Half of the current contents stand in the reference too."""
    rows = rng.permutation(len(vectors))[: 2 * n]
    ours, theirs = rows[:n], rows[n:].copy()
    theirs[: n // 2] = rng.choice(ours, n // 2, replace=False)
    return sample(vectors, ours), sample(vectors, theirs)


DRAWS: dict[str, Draw] = {"once": once, "copies": copied, "half again": again}


def alarm_rate(kind: str, vectors: Vectors, n: int, seeds: range, draw: Draw) -> float:
    """The share of draws that raise an alarm."""
    params = base.params_type(kind)(alpha=ALPHA)
    alarms = 0
    for seed in seeds:
        rng = np.random.default_rng([seed, n, zlib.crc32(kind.encode())])
        alarms += base.compare(kind, *draw(vectors, n, rng), rng, params).verdict == "alarm"
    return alarms / len(seeds)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
