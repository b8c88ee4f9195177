"""What it costs to watch whole runs by their sketches, and how often that is wrong.

``python -m tests.bench.sketches [--cache DIR] [--json FILE]`` draws rows of 384 dimensions and
prints, at 1,000, 10,000 and 100,000 of them against as many: the CPU seconds and the peak of memory
beside the rows themselves of a sketch, of putting two together, of a verdict from two of them; and
of the permutation test of the 2,000 rows a side that it looks at, with the others' time as a share
of its. Then it fills a table with so many rows three times over, and prints the seconds that
sketches of the second and of the third part take, each against all before it. If
``VECMILL_TEST_DATA`` is set, it encodes 6,000 news with MiniLM at last and prints how often each
test flags two draws of 5,000 of them at a level of 5 %, and the three as one, over 200 seeds.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
import tracemalloc
from datetime import UTC, datetime
from functools import partial
from operator import add
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import numpy as np

from flows.config.stores import Stores
from flows.monitoring.references import Reference
from flows.monitoring.sketching import Sketching
from flows.monitors import _analytic, drift
from flows.monitors._basis import Basis
from flows.monitors._sketch import Sketch
from flows.monitors.base import Sample
from storage.canaries import Canaries
from storage.catalog import Catalog
from storage.ids import hash_text
from storage.logs import Logs
from storage.maps import Maps
from storage.model import Counts, Manifest, Version
from storage.sketches import Sketches
from storage.vectors import Vectors
from tests.bench._rows import Rows as Told
from tests.bench._rows import add_options
from tests.bench.drift_data import encode_news, null_interval

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import pyarrow as pa
    from numpy.typing import NDArray

    Rows = NDArray[np.float32]

SIZES = (1_000, 10_000, 100_000)
DIM = 384
NEWS, ALPHA, RUNS, ROWS = 6_000, 0.05, 200, 5_000


def main(words: Sequence[str] = ()) -> int:
    """Print both tables; 1 if a rate is above its binomial 99.9 % interval."""
    parser = argparse.ArgumentParser(prog="sketches")
    add_options(parser)
    asked = parser.parse_args(words)
    told = looks(costs(asked.json))
    data = os.environ.get("VECMILL_TEST_DATA")
    if data is None:
        return 0
    low, high = null_interval(RUNS, ALPHA)
    found = rates(encode_news(Path(data), NEWS, asked.cache)[0])
    title = f"{ROWS:,} news a side, alpha {ALPHA}, {RUNS} draws"
    told = told.then(title, {"test": 10, "flagged": 7, "expected": 14})
    for name, rate in found.items():
        told.add({"test": name, "flagged": f"{rate:.3f}", "expected": f"{low:.3f} to {high:.3f}"})
    return int(max(found.values()) > high)


def costs(path: Path | None) -> Told:
    """What each step takes at each size."""
    told = Told(f"{DIM} dimensions", {"rows a side": 11, "step": 16, "CPU s": 7, "peak MB": 7,
                "of the permutation test": 23}, path)  # fmt: skip
    rng = np.random.default_rng(0)
    mixing = (rng.standard_normal((DIM, DIM)) / DIM**0.5).astype(np.float32)
    basis = Basis.learn(drawn(5_000, mixing, rng), rng)
    for n in (100, *SIZES):  # the first is there to pay for the imports
        ours, theirs = (drawn(n, mixing, rng) for _ in range(2))
        reference, current = Sketch.of(basis, [ours]), Sketch.of(basis, [theirs])
        sides = given(ours, reference), given(theirs, current)
        params = drift.Params()
        steps: dict[str, Callable[[], object]] = {
            "permutation test": partial(permuted, sides, params),
            "sketch": partial(Sketch.of, basis, [theirs]),
            "merge": partial(add, reference, current),
            "analytic tests": partial(tested, reference, current),
            "whole verdict": partial(judged, sides, params),
        }
        whole = 0.0
        for name, step in steps.items():
            seconds, peak = measured(step)
            whole = whole or seconds
            if n not in SIZES:
                continue
            told.add({"rows a side": f"{n:,}", "step": name, "CPU s": f"{seconds:.3f}",
                      "peak MB": f"{peak / 1e6:.1f}",
                      "of the permutation test": f"{seconds / whole:.2f}"})  # fmt: skip
    return told


def looks(earlier: Told) -> Told:
    """What looks at a stored version take, from its rows to two sketches."""
    names = ("first look s", "next look s", "from what is kept s")
    widths = {"rows a run": 10, **{name: len(name) for name in names}, "peak MB": 7}
    table = earlier.then(f"a store of {DIM} dimensions", widths)
    for n in SIZES:
        with TemporaryDirectory() as folder:
            stores, version, manifests = filled(Path(folder), n)
            told, peak = [], 0
            for run in (1, 2, 2):
                reference = Reference("before", manifests[run - 1], grows=True)
                sketching = Sketching(stores, version, manifests[: run + 1], print)
                tracemalloc.start()
                started = time.perf_counter()
                before, now = sketching.pair(reference, manifests[run])
                told.append(f"{time.perf_counter() - started:.2f}")
                peak = max(peak, tracemalloc.get_traced_memory()[1])
                tracemalloc.stop()
                # few contents are looked at one by one, and have no sketch
                sketched = before is not None and now is not None
            if sketched:
                seconds = dict(zip(names, told, strict=True))
                table.add({"rows a run": f"{n:,}", **seconds, "peak MB": f"{peak / 1e6:.1f}"})
    return table


def filled(folder: Path, n: int) -> tuple[Stores, Version, list[Manifest]]:
    """A store of three runs of n rows each."""
    stores = Stores(
        catalog=Catalog(folder / "catalog.duckdb"),
        vectors=Vectors(str(folder / "vectors")),
        staging=folder / "staging",
        states=folder / "states",
        locks=folder / "locks",
        memory=folder / "memory",
        maps=Maps(folder / "maps"),
        sketches=Sketches(folder / "sketches"),
        logs=Logs(folder / "logs"),
        canaries=Canaries(folder / "canaries"),
    )
    version = Version("bench", 1, "", {}, "", {}, "text", "cosine", DIM, None, {}, "live")
    rng = np.random.default_rng(0)
    at, manifests = None, []
    for run in range(3):
        run_id = f"2026010{run + 1}T000000-00000000000"
        rows = reader_of(rng.standard_normal((n, DIM), dtype=np.float32), run_id)
        at = stores.vectors.commit(version.table, at, rows, [])
        counts = Counts(records=n * (run + 1), new=n)
        moment = datetime(2026, 1, run + 1, tzinfo=UTC)
        manifests.append(Manifest("bench", 1, run_id, at, "", counts, n * (run + 1), moment))
    return stores, version, manifests


def reader_of(vectors: Rows, run_id: str) -> pa.RecordBatchReader:
    """Rows of a run as `Vectors.commit` takes them."""
    import pyarrow as pa

    ids = [f"{run_id} {row}" for row in range(len(vectors))]
    moment = pa.array([datetime(2026, 1, 1, tzinfo=UTC)] * len(ids), pa.timestamp("us", "UTC"))
    flat = pa.array(vectors.ravel())
    return pa.table(
        {
            "record_id": ids,
            "vector": pa.FixedSizeListArray.from_arrays(flat, DIM),
            "content_hash": [hash_text(one) for one in ids],
            "event_time": moment,
            "encoded_at": moment,
            "run_id": [run_id] * len(ids),
        }
    ).to_reader()


def drawn(n: int, mixing: Rows, rng: np.random.Generator) -> Rows:
    """Rows whose dimensions depend on each other, as those of encoders do."""
    rows: Rows = rng.standard_normal((n, DIM), dtype=np.float32) @ mixing
    return rows


def given(rows: Rows, sketch: Sketch) -> Sample:
    """What a monitor is given of rows: at most 10,000 of them, and the sketch of all."""
    some = rows[:10_000]
    ids = [f"{sketch.features[0]} {row}" for row in range(len(some))]
    return Sample(some, ids, ids, sketch=sketch)


def permuted(sides: tuple[Sample, Sample], params: drift.Params) -> object:
    """The verdict of the rows alone."""
    blind = [Sample(side.vectors, side.record_ids, side.content_hashes) for side in sides]
    return judged((blind[0], blind[1]), params)


def judged(sides: tuple[Sample, Sample], params: drift.Params) -> object:
    """The verdict of rows, and of sketches where they have them."""
    return drift.compare(*sides, np.random.default_rng(0), params)


def tested(reference: Sketch, current: Sketch) -> dict[str, float]:
    """The p-value of each test."""
    along = _analytic.kolmogorov_smirnov(reference, current)[1][:8]
    own = {
        "mmd": _analytic.mmd(reference, current).p_value,
        "mean_shift": _analytic.mean_shift(reference, current).p_value,
        "occupancy": _analytic.counts(reference.cells, current.cells).p_value,
        "pca_ks": min(1.0, len(along) * float(along.min())),
    }
    combined = min(own[name] for name in drift.TESTS)
    return own | {"drift": min(1.0, len(drift.TESTS) * combined)}


def measured(step: Callable[[], object]) -> tuple[float, int]:
    """CPU seconds of a step, and in a second go the bytes that it takes at its peak."""
    started = time.process_time()
    step()
    seconds = time.process_time() - started
    tracemalloc.start()
    step()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return seconds, peak


def rates(news: Rows) -> dict[str, float]:
    """How often each test flags two draws from the same news, over a basis of other draws."""
    flags: dict[str, int] = {}
    for seed in range(RUNS):
        rng = np.random.default_rng(seed)
        if seed % 20 == 0:
            basis = Basis.learn(news[rng.integers(len(news), size=2_500)], rng)
        sides = (news[rng.integers(len(news), size=ROWS)] for _ in range(2))
        reference, current = (Sketch.of(basis, [side]) for side in sides)
        for name, p_value in tested(reference, current).items():
            flags[name] = flags.get(name, 0) + (p_value <= ALPHA)
    return {name: count / RUNS for name, count in flags.items()}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
