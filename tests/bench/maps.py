"""How long a map takes, and how well new records find their place.

``python -m tests.bench maps`` lays out 2,000 and 20,000 vectors of 20 groups in 128 dimensions by
each method, and places a tenth more of them. It prints: the CPU seconds of
both; the trustworthiness; and the share of the ten laid-out neighbours of each placed point in the
picture that are of its group, with that of the laid-out points themselves beside it.
"""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from rich.console import Console
from rich.table import Table

from flows.maps import projection

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from flows.maps.projection import Matrix

SIZES = (2_000, 20_000)
GROUPS, DIM, SEED = 20, 128, 7
SPREAD = 2.5
"""Of a group, with its centre about 1 from the middle a dimension: they overlap some."""


def main() -> int:
    """Print the table."""
    table = Table("method", "records", "lay out s", "place s", "trust", "laid out", "placed")
    for n in SIZES:
        rows, groups = drawn(n + n // 10)
        laid, new = slice(0, n), slice(n, None)
        for method in projection.METHODS:
            took, places = timed(partial(projection.lay_out, rows[laid], method, 0))
            known = (rows[laid], places)
            more, theirs = timed(partial(projection.place, rows[new], *known, method, 0))
            trust = projection.trustworthiness(rows[laid], places, np.random.default_rng(0))
            own = purity(places, groups[laid], places[: n // 10], groups[: n // 10], skip=1)
            placed = purity(places, groups[laid], theirs, groups[new], skip=0)
            table.add_row(
                *(projection.NAMES[method], f"{n:,}", f"{took:.1f}", f"{more:.1f}"),
                *(f"{trust:.3f}", f"{own:.3f}", f"{placed:.3f}"),
            )
    Console(width=100).print(table)
    return 0


def drawn(n: int) -> tuple[Matrix, NDArray[np.int64]]:
    """Vectors, and their groups."""
    rng = np.random.default_rng(SEED)
    centres, groups = rng.normal(size=(GROUPS, DIM)), rng.integers(0, GROUPS, n)
    vectors = centres[groups] + SPREAD * rng.normal(size=(n, DIM))
    return projection.prepared(vectors, "cosine"), groups


def timed(work: Callable[[], Matrix]) -> tuple[float, Matrix]:
    """CPU seconds, of all threads, and the result."""
    started = time.process_time()
    result = work()
    return time.process_time() - started, result


def purity(
    places: Matrix, groups: NDArray[np.int64], of: Matrix, theirs: NDArray[np.int64], skip: int
) -> float:
    """The share of the ten nearest of some points that are of their group."""
    found = []
    for point, group in zip(of, theirs, strict=True):
        distances = ((places - point) ** 2).sum(axis=1)
        nearest = np.argsort(distances)[skip : 10 + skip]
        found.append((groups[nearest] == group).mean())
    return float(np.mean(found))
