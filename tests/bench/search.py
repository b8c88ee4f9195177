"""Filters, exact and indexed search over synthetic vectors, as ratios against raw Lance.

``python -m tests.bench search`` makes tables of 100,000 and 1,000,000 rows of 384 dimensions in
clusters (``VECMILL_BENCH_ROWS=100000,300000`` for others, ``VECMILL_BENCH_DIM`` for another width),
and prints a table and then the same as one line of JSON. What is compared is timed in turn, query
by query, and a ratio is the median over queries of ours over theirs, with its quartiles.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import duckdb
import numpy as np
import pyarrow as pa
from rich.console import Console
from rich.table import Table

from storage import indexing
from storage.pushed import Pushed
from storage.vectors import Effort, Vectors

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

Floats: TypeAlias = "NDArray[np.float32]"

ROWS = "100000,1000000"
DIM = 384
CLUSTERS, SPREAD = 500, 0.8
BATCH = 20_000
QUERIES, K = 20, 10
COUNT = "SELECT count(*) FROM t WHERE label = 'label 7' AND price < 100"
KINDS: tuple[indexing.VectorKind, ...] = ("ivf_sq", "ivf_flat")


@dataclass(frozen=True)
class Measured:
    """One figure.

    Attributes:
        seconds: the median of ours.
        ratio: ours over raw Lance, or over an exact search of ours where an index is measured.
        low, high: its quartiles over queries.
        recall: at 10, against exact.
    """

    rows: int
    dim: int
    what: str
    seconds: float
    ratio: float | None = None
    low: float | None = None
    high: float | None = None
    recall: float | None = None


def main() -> int:
    """Print the figures."""
    dim = int(os.environ.get("VECMILL_BENCH_DIM", DIM))
    found: list[Measured] = []
    for text in os.environ.get("VECMILL_BENCH_ROWS", ROWS).split(","):
        with tempfile.TemporaryDirectory(prefix="vecmill-bench-") as folder:
            found += measure(Vectors(folder), int(text), dim)
    table = Table("rows", "dim", "what", "ms", "ratio", "quartiles", "recall@10")
    for one in found:
        table.add_row(
            f"{one.rows:,}", str(one.dim), one.what, f"{one.seconds * 1000:,.1f}",
            "" if one.ratio is None else f"{one.ratio:.2f}",
            "" if one.low is None else f"{one.low:.2f} to {one.high:.2f}",
            "" if one.recall is None else f"{one.recall:.3f}",
        )  # fmt: skip
    Console(width=110).print(table)
    sys.stdout.write(json.dumps([asdict(one) for one in found]) + "\n")
    return 0


def measure(vectors: Vectors, rows: int, dim: int) -> Iterator[Measured]:
    """The figures of one size."""
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((CLUSTERS, dim)).astype(np.float32)
    state = vectors.rewrite("t", made(rng, centres, rows))
    queries = around(rng, centres, QUERIES)
    yield from _counted(vectors, state, rows, dim, "filter and count, no index")
    opened = vectors.at("t", state)

    def raw(query: Floats) -> pa.Table:
        asked = opened.search(query, vector_column_name="vector").distance_type("cosine")
        return asked.bypass_vector_index().limit(K).to_arrow()

    def ours(query: Floats, *, at: int = state, exact: bool = True) -> pa.Table:
        effort = None if exact else Effort()
        return vectors.nearest("t", at, query, K, "cosine", effort=effort)

    yield _compared(rows, dim, "exact search, against raw Lance", ours, raw, queries)
    for column in ("record_id", "label"):
        began = time.perf_counter()
        indexing.build(vectors, "t", column, "scalar", "cosine")
        yield Measured(rows, dim, f"build the index of {column}", time.perf_counter() - began)
    state = vectors.head("t").version
    yield from _counted(vectors, state, rows, dim, "filter and count, label indexed")
    for kind in KINDS:
        began = time.perf_counter()
        indexing.build(vectors, "t", "vector", kind, "cosine")
        yield Measured(rows, dim, f"build {kind}", time.perf_counter() - began)
        at = vectors.head("t").version

        def indexed(query: Floats, at: int = at) -> pa.Table:
            return ours(query, at=at, exact=False)

        yield _compared(rows, dim, f"search by {kind}, against exact", indexed, ours, queries)


def _counted(vectors: Vectors, state: int, rows: int, dim: int, what: str) -> Iterator[Measured]:
    with duckdb.connect() as con:
        con.register("t", Pushed(vectors.dataset("t", state)))
        seconds = float(np.median([timed(lambda: con.sql(COUNT).fetchall())[0] for _ in range(5)]))
    yield Measured(rows, dim, what, seconds)


def _compared(
    rows: int,
    dim: int,
    what: str,
    ours: Callable[[Floats], pa.Table],
    theirs: Callable[[Floats], pa.Table],
    queries: Floats,
) -> Measured:
    """Two ways to search, query by query in turn."""
    ours(queries[0])
    theirs(queries[0])
    times, shares = [], []
    for query in queries:
        slow, true = timed(theirs, query)
        fast, given = timed(ours, query)
        times.append((fast, slow))
        names = [{*rows["record_id"].to_pylist()} for rows in (true, given)]
        shares.append(len(names[0] & names[1]) / K)
    mine, other = np.array(times).T
    low, ratio, high = np.percentile(mine / other, (25, 50, 75))
    return Measured(
        rows, dim, what, float(np.median(mine)), float(ratio), float(low), float(high),
        float(np.mean(shares)),
    )  # fmt: skip


def timed(function: Callable[..., Any], *given: object) -> tuple[float, Any]:
    """The seconds that a call takes, and what it gives."""
    began = time.perf_counter()
    found = function(*given)
    return time.perf_counter() - began, found


def around(rng: np.random.Generator, centres: Floats, n: int) -> Floats:
    """Vectors ``(n, dim)`` around some centres, L2 norm 1."""
    x = centres[rng.integers(len(centres), size=n)]
    x = x + SPREAD * rng.standard_normal(x.shape).astype(np.float32)
    unit: Floats = x / np.linalg.norm(x, axis=1, keepdims=True)
    return unit


def made(rng: np.random.Generator, centres: Floats, rows: int) -> pa.RecordBatchReader:
    """So many rows, made a few at a time."""
    width = centres.shape[1]
    schema = pa.schema(
        {
            "record_id": pa.string(), "vector": pa.list_(pa.float32(), width),
            "label": pa.string(), "price": pa.int64(),
        }
    )  # fmt: skip

    def batches() -> Iterator[pa.RecordBatch]:
        for first in range(0, rows, BATCH):
            n = min(BATCH, rows - first)
            flat = pa.array(around(rng, centres, n).reshape(-1))
            columns = [
                pa.array([f"record {i}" for i in range(first, first + n)]),
                pa.FixedSizeListArray.from_arrays(flat, width),
                pa.array([f"label {i % 100}" for i in range(first, first + n)]),
                pa.array(rng.integers(1_000, size=n)),
            ]
            yield pa.RecordBatch.from_arrays(columns, schema=schema)

    return pa.RecordBatchReader.from_batches(schema, batches())
