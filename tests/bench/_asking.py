"""An exact search and a filtered count, beside the same by Lance itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

import duckdb
import numpy as np

from storage.pushed import Pushed
from storage.vectors import Vectors
from tests.bench import search
from tests.bench._arms import ratios
from tests.bench._targets import Measure

if TYPE_CHECKING:
    import argparse
    from pathlib import Path

ROWS = 100_000
FILTER = "label = 'label 7' AND price < 100"


def measure(data: Path, scratch: Path, asked: argparse.Namespace) -> list[Measure]:
    """Times as multiples of Lance's own, query by query in turn."""
    del data
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((search.CLUSTERS, search.DIM)).astype(np.float32)
    vectors = Vectors(str(scratch / "vectors"))
    state = vectors.rewrite("t", search.made(rng, centres, ROWS))
    more = {"rows": ROWS, "dim": search.DIM}
    times = [
        (
            search.timed(lambda q=query: vectors.nearest("t", state, q, 10, "cosine")),
            search.timed(lambda q=query: _raw(vectors, state, q)),
        )
        for query in search.around(rng, centres, 5 * asked.turns + 1)
    ]
    found = ratios(*zip(*((a[0], b[0]) for a, b in times[1:]), strict=True))
    measures = [Measure("exact search: time over Lance's own", found, more=more)]
    dataset = vectors.dataset("t", state)
    with duckdb.connect() as con:
        con.register("t", Pushed(vectors.dataset("t", state)))
        sql = f"SELECT count(*) FROM t WHERE {FILTER}"  # noqa: S608 - our own words
        pairs = [
            (
                search.timed(lambda: con.sql(sql).fetchall()[0][0]),
                search.timed(lambda: dataset.count_rows(FILTER)),
            )
            for _ in range(5 * asked.turns + 1)
        ]
    assert {one[1] for pair in pairs for one in pair} == {pairs[0][0][1]}
    found = ratios(*zip(*((a[0], b[0]) for a, b in pairs[1:]), strict=True))
    return [*measures, Measure("filter and count: time over Lance's own", found, more=more)]


def _raw(vectors: Vectors, state: int, query: search.Floats) -> object:
    opened = vectors.at("t", state)
    asked = opened.search(query, vector_column_name="vector").distance_type("cosine")
    return asked.bypass_vector_index().limit(10).to_arrow()
