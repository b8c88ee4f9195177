"""How many of the true nearest an index finds: recall at k, against a look at every row."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from flows.searching.queries import SearchError
from storage.indexes import indexes, of_column

if TYPE_CHECKING:
    from flows.searching.search import Searched

QUERIES = 50
"""Records that are searched by: each is looked for twice, once through all rows."""


@dataclass(frozen=True)
class Recall:
    """What an index finds of the true nearest.

    Attributes:
        k: how many are looked for.
        queries: how many records were searched by.
        recall: the mean share of the true k nearest that were found.
        error: its standard error over the queries.
        exact_seconds: the median time of a search through all rows.
        seconds: that of a search by the index.
        index: its type, None where there is none.
        unindexed: rows that it does not know, and that were looked at one by one.
    """

    feature: str
    k: int
    queries: int
    recall: float
    error: float
    exact_seconds: float
    seconds: float
    index: str | None
    unindexed: int

    def row(self) -> dict[str, Any]:
        """As one flat row of plain values."""
        return dict(vars(self))

    def told(self) -> str:
        """In one sentence."""
        by = "no index: every row is looked at" if self.index is None else f"by {self.index}"
        return (
            f"recall@{self.k} {self.recall:.3f} ± {self.error:.3f} over {self.queries} records "
            f"of {self.feature}, {by}; {self.seconds * 1000:.1f} ms a search, "
            f"{self.exact_seconds * 1000:.1f} ms through all rows"
        )


def recall_of(searched: Searched, k: int, rng: np.random.Generator) -> Recall:
    """Search by some records of a version, by its index and exactly.

    A row that is exactly as far as the k-th nearest counts as found, whichever of them it is.

    Args:
        searched: the state, and what narrows it.
        k: how many are looked for.
        rng: draws the records.

    Raises:
        SearchError: if there is no record to search by.
    """
    version, vectors = searched.version, searched.stores.vectors
    where = searched.condition()
    asked = vectors.sample(*searched.state, QUERIES, rng, history=version.history)
    if not len(asked):
        raise SearchError(f"{version.feature} has no record to search by")
    shares, times = [], []
    for vector in asked.column("vector").to_pylist():
        found = []
        for effort in (None, searched.effort):
            began = time.perf_counter()
            rows = vectors.nearest(
                *searched.state, np.asarray(vector, np.float32), k, version.metric,
                history=version.history, where=where, effort=effort,
            )  # fmt: skip
            found.append((rows["distance"].to_numpy(), time.perf_counter() - began))
        (true, slow), (given, fast) = found
        times.append((slow, fast))
        bound = true[-1] + 1e-5 * max(1.0, abs(float(true[-1]))) if len(true) else 0.0
        shares.append(float((given <= bound).sum() / len(true)) if len(true) else 1.0)
    slow, fast = np.median(times, axis=0)
    spread = np.std(shares, ddof=1) / np.sqrt(len(shares)) if len(shares) > 1 else 0.0
    index = of_column(indexes(vectors, *searched.state), "vector")
    return Recall(
        version.feature, k, len(shares), float(np.mean(shares)), float(spread), float(slow),
        float(fast), index.kind if index else None, index.unindexed if index else 0,
    )  # fmt: skip
