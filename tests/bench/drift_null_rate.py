"""How often the drift monitor is wrong, and how often right, on real vectors.

``VECMILL_TEST_DATA=... python -m tests.bench.drift_null_rate`` encodes 2,000 news with MiniLM,
draws pairs of samples from them again and again, and prints the share of alarms: without a change
(which must be alpha), whether each content comes once, in copies, or in both samples; with a shift
of the mean of the size that the monitor itself calls visible (which must be about 80 %); and with a
part of the current news from one class only.
"""

from __future__ import annotations

import csv
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from rich.console import Console
from rich.table import Table

from encoders import base as encoders
from flows.monitors import drift
from flows.monitors.base import Sample

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Vectors = NDArray[np.float32]
    Rows = NDArray[np.intp]
    Draw = Callable[[int, np.random.Generator], tuple[Sample, Sample]]

NEWS = 2000
RUNS = {50: 300, 500: 60}
ALPHA = 0.05
ONE_CLASS = 0.25


def main() -> int:
    """Print the table; 1 if a rate without a change is outside its binomial 99.9 % interval."""
    data = os.environ.get("VECMILL_TEST_DATA")
    if data is None:
        sys.stderr.write("VECMILL_TEST_DATA is not set; point it at the folder of test data\n")
        return 2
    vectors, labels = encode_news(Path(data), NEWS)
    table = Table("change", "n", "runs", "alarms", "expected", title=f"drift, alpha {ALPHA}")
    sound = True
    params = drift.Params(alpha=ALPHA, permutations=399, features=256)
    for n, runs in RUNS.items():
        low, high = null_interval(runs, ALPHA)
        visible = visible_shift(vectors, n, params)
        for name, draw, expected in changes(vectors, labels, visible):
            rate = alarm_rate(draw, n, runs, params)
            wanted = f"{low:.3f} to {high:.3f}" if expected is None else expected
            sound &= expected is not None or low <= rate <= high
            table.add_row(name, f"{n}", f"{runs}", f"{rate:.3f}", wanted)
    Console(width=110).print(table)
    return 0 if sound else 1


def encode_news(data: Path, rows: int) -> tuple[Vectors, NDArray[np.str_]]:
    """MiniLM vectors of the first news, ``(rows, 384)``, and their labels, ``(rows,)``."""
    with (data / "text" / "ag_news.csv").open(encoding="utf-8", newline="") as file:
        news = list(csv.DictReader(file))[:rows]
    minilm = encoders.build("sentence", encoders.params_type("sentence")())
    texts = [f"{row['title']}\n{row['body']}" for row in news]
    return minilm.encode(texts), np.array([row["label"] for row in news])


def changes(
    vectors: Vectors, labels: NDArray[np.str_], visible: float
) -> list[tuple[str, Draw, str | None]]:
    """Named ways to draw a pair of samples, and what rate of alarms is expected, if known."""
    directions = np.linalg.svd(vectors - vectors.mean(axis=0), full_matrices=False)[2]
    step = visible * float(np.sqrt(vectors.var(axis=0).sum()))
    one_class = np.flatnonzero(labels == labels[0])

    def drawn(n: int, rng: np.random.Generator) -> tuple[Rows, Rows]:
        rows = rng.permutation(len(vectors))[: 2 * n]
        return rows[:n], rows[n:]

    def unchanged(n: int, rng: np.random.Generator) -> tuple[Sample, Sample]:
        ours, theirs = drawn(n, rng)
        return news(vectors, ours), news(vectors, theirs)

    def copied(n: int, rng: np.random.Generator) -> tuple[Sample, Sample]:
        ours, theirs = (np.repeat(rows, rng.integers(1, 6, n)) for rows in drawn(n, rng))
        return news(vectors, ours), news(vectors, theirs)

    def again(n: int, rng: np.random.Generator) -> tuple[Sample, Sample]:
        ours, theirs = drawn(n, rng)
        theirs[: n // 2] = rng.choice(ours, n // 2, replace=False)
        return news(vectors, ours), news(vectors, theirs)

    def shifted(n: int, rng: np.random.Generator) -> tuple[Sample, Sample]:
        reference, current = unchanged(n, rng)
        moved = current.vectors + np.float32(step) * directions[rng.integers(3)]
        return reference, replace(current, vectors=moved)

    def narrowed(n: int, rng: np.random.Generator) -> tuple[Sample, Sample]:
        ours, theirs = drawn(n, rng)
        part = int(ONE_CLASS * n)
        others = np.setdiff1d(one_class, ours)
        theirs[:part] = rng.choice(others, part, replace=len(others) < part)
        return news(vectors, ours), news(vectors, theirs)

    return [
        ("none", unchanged, None),
        ("none, contents in up to 5 copies", copied, None),
        ("none, half of the contents in both samples", again, None),
        (f"mean by {visible:.3f} sd, the smallest visible", shifted, "0.8"),
        (f"{ONE_CLASS:.0%} more of one class", narrowed, ""),
    ]


def news(vectors: Vectors, rows: Rows) -> Sample:
    """These rows of the news; the same row is the same content."""
    return Sample(vectors[rows], [f"{n}" for n in range(len(rows))], [f"{row}" for row in rows])


def visible_shift(vectors: Vectors, n: int, params: drift.Params) -> float:
    """What the monitor calls the smallest visible shift at this size, in the median of 9 runs."""
    claims = []
    for seed in range(9):
        rng = np.random.default_rng(seed)
        rows = rng.permutation(len(vectors))[: 2 * n]
        samples = news(vectors, rows[:n]), news(vectors, rows[n:])
        finding = drift.compare(*samples, rng, params)
        claims.append(finding.detail["smallest_visible"])
    return float(np.median(claims))


def alarm_rate(draw: Draw, n: int, runs: int, params: drift.Params) -> float:
    """The share of runs that raise an alarm."""
    alarms = 0
    for seed in range(runs):
        rng = np.random.default_rng([seed, n])
        alarms += drift.compare(*draw(n, rng), rng, params).verdict == "alarm"
    return alarms / runs


def null_interval(runs: int, rate: float) -> tuple[float, float]:
    """Where 999 of 1,000 such shares lie if the true one is ``rate``."""
    from scipy.stats import binom

    low, high = binom.interval(0.999, runs, rate)
    return low / runs, high / runs


if __name__ == "__main__":
    sys.exit(main())
