"""How often a series of looks ever raises a false alarm, and how soon it finds a drift that lasts.

``VECMILL_TEST_DATA=... python -m tests.bench.series [--series 40] [--cache DIR] [--json FILE]``
encodes 600 news with MiniLM, deals them out into series of batches, and lets the real `drift`
monitor look at each batch, held against all before it or against the first: in the same order of
news by chance again and again, or with every batch from the 11th on moved along a direction of the
data. It prints the share of series with a false alarm for each look judged by itself (alpha 0.01)
and for the series (budget 0.05), and the looks until an alarm. Longer series are simulated from
p-values: there are not that many news.
"""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

import numpy as np

from flows.monitoring import series
from flows.monitoring.series import Look
from flows.monitors import drift
from flows.monitors.base import Sample
from tests.bench import drift_data
from tests.bench._rows import Rows, add_options
from tests.bench.drift_data import null_interval

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Vectors = NDArray[np.float32]

LOOKS, ROWS, NEWS = 20, 25, 600
ALPHA, BUDGET = 0.01, 0.05
START = 10
PARAMS = drift.Params(permutations=999, features=64, max_ids=0)


def main(words: Sequence[str] = ()) -> int:
    """Print a row a change; 1 if series are wrong more often than 999 of 1,000 true ones were."""
    parser = argparse.ArgumentParser(prog="series")
    parser.add_argument("--series", type=int, default=40)
    add_options(parser)
    asked = parser.parse_args(words)
    data = drift_data.data_folder()
    if data is None:
        return 2
    simulated()
    vectors, _ = drift_data.encode_news(data, NEWS, asked.cache)
    rows = Rows(f"{asked.series} series of {LOOKS} looks at {ROWS} news", {
        "change": 40, "reference": 9, "each alone": 20, "series": 20, "looks until an alarm": 26},
        asked.json)  # fmt: skip
    sound = True
    for shift, reference, again in (
        (0.0, "grows", 0.0), (0.0, "grows", 0.5), (0.0, "fixed", 0.0),
        (0.3, "grows", 0.0), (0.3, "fixed", 0.0),
    ):  # fmt: skip
        naive, ours = [], []
        for seed in range(asked.series):
            p_values = looks(vectors, shift, again, np.random.default_rng(seed), reference)
            naive.append(next((n for n, p in enumerate(p_values, 1) if p <= ALPHA), 0))
            ours.append(first_alarm(p_values, independent=reference == "grows"))
        begun = START if shift else LOOKS
        early = np.mean([0 < n <= begun for n in ours])
        sound &= bool(early <= null_interval(asked.series, BUDGET)[1])
        rows.add({"change": told(shift, again), "reference": reference,
                  "each alone": false_and_found(naive, begun),
                  "series": false_and_found(ours, begun),
                  "looks until an alarm": delay(ours, begun)})  # fmt: skip
    return 0 if sound else 1


def looks(
    vectors: Vectors, shift: float, again: float, rng: np.random.Generator, reference: str
) -> list[float]:
    """The p-values of a series; a share ``again`` of each batch is news that came before."""
    directions = np.linalg.svd(vectors - vectors.mean(axis=0), full_matrices=False)[2]
    step = np.float32(shift * np.sqrt(vectors.var(axis=0).sum())) * directions[rng.integers(3)]
    order = rng.permutation(len(vectors))[: ROWS * (LOOKS + 1)].reshape(LOOKS + 1, ROWS)
    popular = order[0, : max(1, int(again * ROWS))]
    p_values = []
    for look in range(1, LOOKS + 1):
        if again:
            order[look, : len(popular)] = popular
        before = order[:look].ravel() if reference == "grows" else order[0]
        moved = np.float32(look > START) * step
        ours = vectors[before]
        if reference == "grows" and look > START + 1:
            ours = ours.copy()
            ours[ROWS * (START + 1) :] += step
        finding = drift.compare(
            sample(ours, before), sample(vectors[order[look]] + moved, order[look]), rng, PARAMS
        )
        p_values.append(finding.p_value or 1.0)
    return p_values


def sample(vectors: Vectors, rows: NDArray[np.intp]) -> Sample:
    """The same news is the same content."""
    return Sample(vectors, [f"{n}" for n in range(len(rows))], [f"{row}" for row in rows])


def first_alarm(p_values: Sequence[float], *, independent: bool) -> int:
    """The look, from 1, at which the series raises an alarm; 0 for never."""
    given = [Look(p) for p in p_values]
    for n, look in enumerate(given, 1):
        standing = series.stand(given[:n], BUDGET, independent=independent)
        alone = "alarm" if look.p_value <= ALPHA else "quiet"
        if series.verdict(alone, look, standing) == "alarm":  # type: ignore[arg-type] # of two
            return n
    return 0


def told(shift: float, again: float) -> str:
    """The change in words."""
    if shift:
        return f"mean by {shift:g} sd from look {START + 1} on"
    return f"none, {again:.0%} of each batch the same news" if again else "none"


def false_and_found(firsts: Sequence[int], begun: int) -> str:
    """The share of series with a false alarm, and of those without that find the change."""
    false = np.mean([0 < n <= begun for n in firsts])
    rest = [n for n in firsts if not 0 < n <= begun]
    found = f", {np.mean([n > 0 for n in rest]):.0%} found" if begun < LOOKS and rest else ""
    return f"{false:.0%} false{found}"


def delay(firsts: Sequence[int], begun: int) -> str:
    """How many looks at the change it took."""
    late = [n - begun for n in firsts if n > begun]
    return f"median {np.median(late):.0f}, 9 of 10 by {np.quantile(late, 0.9):.0f}" if late else ""


def simulated(count: int = 5000, length: int = 500) -> None:
    """Print the shares of long series with any false alarm, where p-values are independent."""
    rng = np.random.default_rng(0)
    p = rng.random((length, count))
    alone = series.single(BUDGET, independent=True)
    levels = np.array([series.weight(look) for look in range(1, length + 1)])[:, None]
    naive = (p <= ALPHA).any(axis=0).mean()
    spent = (p <= np.minimum(alone * levels, ALPHA)).any(axis=0)
    gathered = np.stack(list(series.evidence(p))).max(axis=0) >= 1 / (BUDGET - alone)
    sys.stdout.write(
        f"{count:,} series of {length} independent looks, without a change: a false alarm in "
        f"{naive:.1%} if each is judged by itself at {ALPHA:g}, in {(spent | gathered).mean():.1%} "
        f"with a budget of {BUDGET:.0%} ({spent.mean():.1%} by single looks, "
        f"{gathered.mean():.1%} by looks together)\n"
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
