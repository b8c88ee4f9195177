"""How often drift and mmd see planted changes, beside exact MMD.

``VECMILL_TEST_DATA=... python -m tests.bench.drift_power [--n 500] [--seeds 40]
[--checks 5] [--hyppo 0] [--curves WORD ...] [--strengths 0 1 2 3] [--cache DIR] [--json FILE]``
draws pairs of samples of real vectors without replacement, plants a change of
`tests.bench._changes` into the second, and prints the share of alarms at alpha 0.05 of

* ``exact``, the unbiased MMD² of the whole Gaussian kernel with 999 permutations, as matrix
  products and nothing else (`exact_mmd`),
* ``mmd`` and ``drift``, as they are by default but for alpha and without a second round of
  permutations, which changes no verdict at this alpha; and over the first 5 draws (``--checks``)
  ``mmd_exact`` where n is at most 1,000.

All are given the same rows, so what is told of two tests is their difference on the same draws,
with its standard error over the draws, and the p-value of McNemar's exact test at each point.
``--hyppo 20`` also asks `hyppo.ksample.MMD` about the first 20 draws of each point, with 99
permutations: it centres a kernel matrix anew for each. ``--features 2048`` adds an `mmd` with so
many features.
"""

from __future__ import annotations

import argparse
import sys
import time
import warnings
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from flows.monitors import base
from flows.monitors.base import Sample
from tests.bench import _changes, drift_data
from tests.bench._rows import Rows, add_options
from tests.bench.drift_data import sample

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from tests.bench._changes import Change, Curve
    from tests.bench.drift_data import Vectors

    Test = Callable[[Sample, Sample, int], float]

ALPHA, PERMUTATIONS, HYPPO_PERMUTATIONS = 0.05, 999, 99
OURS = ("mmd", "drift")
EXACT_MONITOR_ROWS = 1000
LARGEST_LOSS = 0.05
"""Power that ours may lack beside exact MMD's, over all points."""


@dataclass
class Point:
    """A change of one strength at one size.

    Attributes:
        flagged: ``(seeds,)`` by test, whether it raised an alarm.
        seconds: processor time by test, over all seeds.
    """

    flagged: dict[str, list[bool]] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)

    def rate(self, test: str) -> float:
        """The share of alarms."""
        return float(np.mean(self.flagged[test]))

    def differences(self, test: str) -> NDArray[np.int_]:
        """``(seeds,)``: 1 where this test alone raised an alarm, -1 where exact MMD alone did."""
        ours = np.array(self.flagged[test], dtype=np.int_)
        return ours - np.array(self.flagged["exact"][: len(ours)], dtype=np.int_)


def main(words: Sequence[str] = ()) -> int:
    """Print a row a point; 1 if ours lack more than 5 points of exact MMD's power over all."""
    asked = _parser().parse_args(words)
    data = drift_data.data_folder()
    if data is None:
        return 2
    known: dict[int, list[Point]] = {}
    rows = Rows(f"share of alarms at alpha {ALPHA}, {asked.seeds} draws a point", {
        "change": 34, "strength": 13, "n": 5, "exact": 5, "mmd_exact": 9, "mmd": 5, "drift": 5,
        "hyppo": 5, **{f"mmd {count}": 8 for count in asked.features},
        "mmd - exact": 24, "drift - exact": 24}, asked.json)  # fmt: skip
    for curve in _changes.curves(data, asked.cache):
        if not any(word in curve.name for word in asked.curves):
            continue
        for n in (n for n in asked.n if n <= curve.most):
            for strength, change in curve.at(n, asked.strengths).items():
                point = measure(curve, change, n, asked)
                known.setdefault(n, []).append(point)
                tell(rows, (curve.name, strength, n), point)
    sound = [summed(n, points) for n, points in known.items()]
    return 0 if all(sound) else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="drift_power")
    parser.add_argument("--seeds", type=int, default=40)
    parser.add_argument("--n", type=int, nargs="+", default=[500])
    parser.add_argument("--checks", type=int, default=5, help="draws for mmd_exact too")
    parser.add_argument("--hyppo", type=int, default=0, help="draws for hyppo too")
    parser.add_argument("--features", type=int, nargs="*", default=[], help="of more mmd's")
    parser.add_argument("--curves", nargs="+", default=[""], help="curves with one of these words")
    parser.add_argument("--strengths", type=int, nargs="+", default=range(4), help="0 the weakest")
    add_options(parser)
    return parser


def measure(curve: Curve, change: Change, n: int, asked: argparse.Namespace) -> Point:
    """The verdicts of all tests over so many draws."""
    point = Point()
    tests: dict[str, tuple[Test, int]] = {"exact": (exact, asked.seeds)}
    tests |= {kind: (monitor(kind), asked.seeds) for kind in OURS}
    if n <= EXACT_MONITOR_ROWS:
        tests["mmd_exact"] = monitor("mmd_exact"), asked.checks
    tests["hyppo"] = hyppo, asked.hyppo
    for count in asked.features:
        tests[f"mmd {count}"] = monitor("mmd", features=count), asked.seeds
    for seed in range(asked.seeds):
        rng = np.random.default_rng([seed, n])
        rows = rng.permutation(len(curve.vectors))
        reference = sample(curve.vectors, rows[:n])
        vectors = change(rows[n : 2 * n], rows[2 * n :], rng)
        current = Sample(vectors, [f"{row}" for row in range(n)], [f"c{row}" for row in range(n)])
        for name, (test, draws) in tests.items():
            if seed >= draws:
                continue
            begun = time.process_time()
            p_value = test(reference, current, seed)
            took = time.process_time() - begun
            point.flagged.setdefault(name, []).append(p_value <= ALPHA)
            point.seconds[name] = point.seconds.get(name, 0.0) + took
    return point


def monitor(kind: str, **others: int) -> Test:
    """The p-value of a monitor; ``others`` are parameters that are not as they are by default."""

    def test(reference: Sample, current: Sample, seed: int) -> float:
        most = max(len(reference), base.params_type(kind)().max_rows)
        usual = {"alpha": ALPHA, "most_permutations": 0, "max_rows": most}
        params = base.params_type(kind)(**usual, **others)
        finding = base.compare(kind, reference, current, np.random.default_rng(seed), params)
        assert finding.p_value is not None
        assert (finding.verdict == "alarm") == (finding.p_value <= ALPHA)
        return finding.p_value

    return test


def exact(reference: Sample, current: Sample, seed: int) -> float:
    """The p-value of exact MMD and nothing else."""
    return exact_mmd(reference.vectors, current.vectors, np.random.default_rng(seed))


def exact_mmd(ours: Vectors, theirs: Vectors, rng: np.random.Generator) -> float:
    """The permutation p-value of the unbiased MMD² with the Gaussian kernel, as fast as it goes.

    Gretton et al. 2012, lemma 6; the bandwidth is the median distance of 500 rows, section 8. All
    distances are one matrix product, and so are the statistics of all splits.
    """
    from scipy.spatial.distance import pdist

    n, m = len(ours), len(theirs)
    pool = np.concatenate([ours, theirs]).astype(np.float64)
    pool -= pool.mean(axis=0)
    some = pool[rng.choice(n + m, size=min(500, n + m), replace=False)]
    lengths = (pool**2).sum(axis=1)
    kernel = lengths[:, None] + lengths - 2 * pool @ pool.T
    np.exp(kernel / (-2 * float(np.median(pdist(some))) ** 2), out=kernel)
    np.fill_diagonal(kernel, 0.0)
    true = (np.arange(n + m) < n).astype(np.float64)
    members = rng.permuted(np.broadcast_to(true, (1 + PERMUTATIONS, n + m)), axis=1)
    members[0] = true
    towards = members @ kernel
    within = (towards * members).sum(axis=1)
    between = towards.sum(axis=1) - within
    others = kernel.sum() - within - 2 * between
    mmd2 = within / (n * (n - 1)) + others / (m * (m - 1)) - 2 * between / (n * m)
    return float(np.mean(mmd2 >= mmd2[0] - 1e-12))


def hyppo(reference: Sample, current: Sample, seed: int) -> float:
    """The p-value of hyppo's MMD."""
    return hyppo_mmd(reference.vectors, current.vectors, HYPPO_PERMUTATIONS, seed)


def hyppo_mmd(ours: Vectors, theirs: Vectors, permutations: int, seed: int) -> float:
    """The p-value of hyppo's MMD with so many permutations."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from hyppo.ksample import MMD

        np.random.seed(seed)  # noqa: NPY002 - hyppo 0.5.2 hands no seed of its own to HSIC
        sides = ours.astype(np.float64), theirs.astype(np.float64)
        return float(MMD().test(*sides, reps=permutations, auto=False)[1])


def tell(rows: Rows, place: tuple[str, str, int], point: Point) -> None:
    """Print a point."""
    name, strength, n = place
    told = {test: f"{point.rate(test):.2f}" for test in point.flagged}
    each = {f"{kind} - exact": _difference(point.differences(kind)) for kind in OURS}
    flags = {test: "".join(str(int(one)) for one in flagged)
             for test, flagged in point.flagged.items()}  # fmt: skip
    rows.add({"change": name, "strength": strength, "n": f"{n}", **told, **each},
             flagged=flags, cpu_seconds=point.seconds)  # fmt: skip


def _difference(differences: NDArray[np.int_]) -> str:
    """The mean difference of a point in words."""
    error = differences.std() / np.sqrt(len(differences))
    return f"{differences.mean():+.3f} ± {error:.3f} (p {mcnemar(differences):.2f})"


def mcnemar(differences: NDArray[np.int_]) -> float:
    """The p-value of as many draws that only one of two tests flags, were they alike."""
    from scipy.stats import binomtest

    ups, downs = int((differences > 0).sum()), int((differences < 0).sum())
    return float(binomtest(ups, ups + downs, 0.5).pvalue) if ups + downs else 1.0


def summed(n: int, points: Sequence[Point]) -> bool:
    """Print what came of all points of a size; whether ours lose no more than they may."""
    sound = True
    for test in points[0].flagged:
        if test == "exact":
            continue
        each = [point.differences(test) for point in points]
        # a draw's rows are in each point, so draws are what is independent, not points
        by_draw = np.mean(each, axis=0)
        mean, error = by_draw.mean(), by_draw.std() / np.sqrt(max(1, len(by_draw) - 1))
        p_values = [mcnemar(one) for one in each]
        sure = sum(p <= ALPHA / len(points) for p in p_values)
        took = sum(p.seconds[test] / len(p.flagged[test]) for p in points)
        whole = sum(p.seconds["exact"] / len(p.flagged["exact"]) for p in points)
        sys.stdout.write(
            f"n = {n}: {test} - exact MMD {mean:+.4f} ± {error:.4f} over {len(points)} points of "
            f"{len(by_draw)} draws; {sure} points differ at p <= 0.05 / {len(points)}; "
            f"{took / len(points):.2f} CPU s a look, exact MMD alone {whole / len(points):.2f}\n"
        )
        sound &= bool(test not in OURS or mean >= -LARGEST_LOSS)
    return sound


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
