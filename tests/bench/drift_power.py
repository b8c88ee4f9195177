"""How often drift and mmd see planted changes, beside exact MMD, and what each costs.

``VECMILL_TEST_DATA=... python -m tests.bench.drift_power [--seeds 40] [--n 500]`` draws pairs of
samples of real vectors without replacement, plants a change into the second, and prints the share
of alarms at alpha 0.05 and the processor time as a share of exact MMD's. Texts with typing errors
and blurred photographs are encoded anew. The same rows are given to all.
"""

from __future__ import annotations

import argparse
import sys
import time
from typing import TYPE_CHECKING

import numpy as np
from rich.console import Console
from rich.table import Table

from flows import demo_raw
from flows.monitors import base
from tests.bench import drift_data
from tests.bench.drift_data import sample

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from tests.bench.drift_data import Labels, Vectors

    Change = Callable[[NDArray[np.intp], np.random.Generator], Vectors]

ALPHA = 0.05
KINDS = ("mmd_exact", "mmd", "drift")
NEWS = 3000


def main(words: Sequence[str] = ()) -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="drift_power")
    parser.add_argument("--seeds", type=int, default=40)
    parser.add_argument("--n", type=int, nargs="+", default=[50, 500])
    asked = parser.parse_args(words)
    data = drift_data.data_folder()
    if data is None:
        return 2
    table = Table("change", "rows a side", *KINDS, *(f"time of {kind}" for kind in KINDS[1:]),
                  title=f"share of alarms, alpha {ALPHA}, {asked.seeds} runs")  # fmt: skip
    for name, (vectors, change) in (news_changes(data) | photograph_changes(data)).items():
        for n in asked.n:
            rates, seconds = power(vectors, change, min(n, len(vectors) // 2), asked.seeds)
            ratios = [f"{seconds[kind] / seconds[KINDS[0]]:.2f}" for kind in KINDS[1:]]
            shares = [f"{rates[kind]:.2f}" for kind in KINDS]
            table.add_row(name, f"{min(n, len(vectors) // 2)}", *shares, *ratios)
    Console(width=120).print(table)
    return 0


def power(
    vectors: Vectors, change: Change, n: int, runs: int
) -> tuple[dict[str, float], dict[str, float]]:
    """The share of alarms and the processor time in seconds, by monitor."""
    alarms, seconds = dict.fromkeys(KINDS, 0), dict.fromkeys(KINDS, 0.0)
    for seed in range(runs):
        rng = np.random.default_rng([seed, n])
        rows = rng.permutation(len(vectors))[: 2 * n]
        reference = sample(vectors, rows[:n])
        current = sample(change(rows[n:], rng), np.arange(n))
        current = type(current)(current.vectors, current.record_ids, [f"c{i}" for i in range(n)])
        for kind in KINDS:
            params = base.params_type(kind)(alpha=ALPHA, most_permutations=0, max_rows=max(n, 20))
            start = time.process_time()
            finding = base.compare(kind, reference, current, np.random.default_rng(seed), params)
            seconds[kind] += time.process_time() - start
            alarms[kind] += finding.verdict == "alarm"
    return {kind: count / runs for kind, count in alarms.items()}, seconds


def news_changes(data: Path) -> dict[str, tuple[Vectors, Change]]:
    """Changes of news."""
    texts, labels = drift_data.read_news(data, NEWS)
    vectors = drift_data.encode_texts(texts)
    rng = np.random.default_rng(0)
    mistyped = drift_data.encode_texts([typos(text, rng) for text in texts])
    code = drift_data.encode_texts([f"{r['title']}\n{r['body']}"[:300] for r in demo_raw.code()])
    return {
        "news: none": (vectors, plain(vectors)),
        "news: 10% replaced by one class": (vectors, class_mix(vectors, labels, 0.1)),
        "news: two classes swap places, 10%": (vectors, swapped(vectors, labels, 0.1)),
        "news: typing errors": (vectors, plain(mistyped)),
        "news: 5% program code": (vectors, mixed_in(vectors, code, 0.05)),
        "news: noise": (vectors, noisy(vectors, 0.3)),
    }


def photograph_changes(data: Path) -> dict[str, tuple[Vectors, Change]]:
    """Changes of photographs."""
    from scipy.ndimage import gaussian_filter

    images, labels = drift_data.read_photographs(data)
    encoder = drift_data.Patches(images[:1000])
    vectors = encoder.encode(images)
    blurred = encoder.encode(gaussian_filter(images, sigma=(0, 0.35, 0.35, 0)))
    return {
        "photographs: 10% replaced by one class": (vectors, class_mix(vectors, labels, 0.1)),
        "photographs: blur": (vectors, plain(blurred)),
    }


def typos(text: str, rng: np.random.Generator) -> str:
    """The text with one letter in fifty changed places with the next."""
    letters = list(text)
    for at in np.flatnonzero(rng.random(max(0, len(letters) - 1)) < 1 / 50).tolist():
        letters[at], letters[at + 1] = letters[at + 1], letters[at]
    return "".join(letters)


def plain(vectors: Vectors) -> Change:
    """These vectors in place of those."""
    return lambda rows, _: vectors[rows]


def noisy(vectors: Vectors, share: float) -> Change:
    """Gaussian noise of this share of the total standard deviation."""
    scale = share * float(np.sqrt(vectors.var(axis=0).mean()))
    return lambda rows, rng: (
        vectors[rows] + scale * rng.standard_normal((len(rows), vectors.shape[1]))
    ).astype(np.float32)


def mixed_in(vectors: Vectors, others: Vectors, share: float) -> Change:
    """A share of the rows comes from elsewhere."""

    def change(rows: NDArray[np.intp], rng: np.random.Generator) -> Vectors:
        changed, count = vectors[rows].copy(), round(share * len(rows))
        changed[:count] = others[rng.choice(len(others), count, replace=count > len(others))]
        return changed

    return change


def class_mix(vectors: Vectors, labels: Labels, share: float) -> Change:
    """A share of the rows is of one class."""
    return mixed_in(vectors, vectors[labels == labels[0]], share)


def swapped(vectors: Vectors, labels: Labels, share: float) -> Change:
    """A share of the rows of one class is replaced by rows of another."""
    first, second = np.unique(labels)[:2]
    others = vectors[labels == second]

    def change(rows: NDArray[np.intp], rng: np.random.Generator) -> Vectors:
        changed = vectors[rows].copy()
        places = np.flatnonzero(labels[rows] == first)[: round(share * len(rows))]
        changed[places] = others[rng.integers(len(others), size=len(places))]
        return changed

    return change


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
