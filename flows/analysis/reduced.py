"""What smaller vectors keep of those that they were made of, and what they save."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from flows.config.stores import Stores
from flows.lifecycle.chosen import readable
from flows.searching.ranking import Best
from flows.searching.whole import whole_of
from storage.footprint import footprint
from storage.ids import seed
from storage.model import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import pyarrow as pa
    from numpy.typing import NDArray

    from flows.config.settings import Settings
    from flows.searching.whole import Whole
    from storage.footprint import Footprint
    from storage.model import Manifest, Version

    Matrix = NDArray[np.float32]

K = 10
"""Neighbours that are compared."""

FACTORS = (1, 2, 4, 8)
"""Candidates for each neighbour; with 1 there is nothing to rescore."""

QUERIES, _MOST = 200, 5_000
_BLOCK = 4096


@dataclass(frozen=True)
class Recall:
    """What is found of a record's `K` nearest by whole vectors.

    Attributes:
        factor: candidates for each neighbour, of which the whole vectors choose; 1 for none.
        mean: over the queries, 0 to 1.
        error: its standard error.
    """

    factor: int
    mean: float
    error: float


@dataclass(frozen=True)
class Reduced:
    """What `measure` finds.

    Attributes:
        version: of the smaller vectors; made of `whole`.
        queries: how many records were searched by.
        rows: of each of the two.
        small, large: what the vectors of each take.
    """

    version: Version
    whole: Version
    queries: int
    rows: tuple[int, int]
    small: Footprint
    large: Footprint
    recalls: tuple[Recall, ...]

    def table(self) -> list[dict[str, Any]]:
        """Rows of plain values: whole vectors, then smaller ones by themselves and rescored."""
        whole = self._row(self.whole, self.large, "whole vectors", 1.0, 0.0)
        found = [whole]
        for recall in self.recalls:
            rescored = f"rescored from {K * recall.factor}"
            how = "as they are" if recall.factor == 1 else rescored
            row = self._row(self.version, self.small, how, recall.mean, recall.error)
            found.append(row | {"rescore": None if recall.factor == 1 else recall.factor})
        return found

    def _row(
        self, version: Version, took: Footprint, how: str, recall: float, error: float
    ) -> dict[str, Any]:
        return {
            "feature": version.feature,
            "version": version.version,
            "how": how,
            "rescore": None,
            "dim": version.dim,
            f"recall@{K}": recall,
            "±": error,
            "vector_bytes": took.vector,
            "bytes": took.total,
            "smaller": self.large.vector / took.vector,
        }

    def sentences(self) -> list[str]:
        """How to read the table."""
        recall = (
            f"recall@{K}: of a record's {K} nearest among {self.whole.table} the share that "
            f"{self.version.table} finds, over {self.queries:,} records; rescored, so many "
            f"candidates are put in order by {self.whole.table}, as `vecmill search --rescore` "
            "does it"
        )
        took = "bytes: what the column of vectors takes in the data files; smaller: by vector"
        found = [recall, took]
        if self.rows[0] != self.rows[1]:
            found.append(
                f"{self.version.table} has {self.rows[0]:,} rows, {self.whole.table} "
                f"{self.rows[1]:,}: what is not there counts as not found; `vecmill run "
                f"{self.version.feature}` brings it up to date"
            )
        return found


def measure(
    settings: Settings, name: str, *, size: int = QUERIES, number: int | None = None
) -> Reduced:
    """Measure what the vectors of a feature over one other keep of the neighbours there.

    The draw is seeded by the published state. Both tables are read once, in blocks.

    Args:
        settings: the configuration.
        name: the feature.
        size: how many records to search by, at most.
        number: its version; the live one where none is given.

    Raises:
        UsageError: if the sample or the version makes no sense, it is not over one feature, or
            that can be read no more.
    """
    if not 1 <= size <= _MOST:
        raise UsageError(f"--sample must be 1 to {_MOST:,}, got {size}")
    stores = Stores.of(settings)
    version, manifest = readable(settings, stores, name, number)
    whole = whole_of(settings, stores, version)
    ids, small, large = _queries(stores, version, manifest, whole, size)
    if not ids:
        raise UsageError(
            f"{version.table} and {whole.version.table} have no record in common; `vecmill run "
            f"{name}` brings it up to date"
        )
    state = (version.table, manifest.lance_version)
    truth = _nearest(whole.blocks(stores, _BLOCK), whole.version.metric, ids, large, K)
    rows = stores.vectors.blocks(*state, ["record_id", "vector"], _BLOCK)
    found = _nearest(rows, version.metric, ids, small, K * max(FACTORS))
    return Reduced(
        version,
        whole.version,
        len(ids),
        (manifest.rows, whole.manifest.rows),
        footprint(stores.vectors, state),
        footprint(stores.vectors, whole.state),
        tuple(_recall(truth, found, factor) for factor in FACTORS),
    )


def _queries(
    stores: Stores, version: Version, manifest: Manifest, whole: Whole, size: int
) -> tuple[list[str], Matrix, Matrix]:
    """Records that both tables have: their ids, and their vectors ``(n, dim)`` in each."""
    rng = np.random.default_rng(seed(f"{version.table} {manifest.run_id}"))
    drawn = stores.vectors.sample(version.table, manifest.lance_version, size, rng)
    names = drawn["record_id"].to_pylist()
    there = whole.vectors(stores, names)
    places = [place for place, name in enumerate(names) if name in there]
    flat = drawn["vector"].combine_chunks().flatten().to_numpy(zero_copy_only=False)
    ids = [names[place] for place in places]
    small = flat.reshape(-1, version.dim)[places]
    large = np.array([there[name] for name in ids]).reshape(len(ids), whole.version.dim)
    return ids, small, large


def _nearest(
    blocks: Iterable[pa.Table], metric: str, ids: Sequence[str], queries: Matrix, depth: int
) -> list[list[str]]:
    """The ids of the rows nearest to each query, nearest first, but its own: ``(n, depth)``."""
    best = Best(len(queries), depth)
    own = np.array(ids, object)
    for rows in blocks:
        there = rows.filter(rows["record_id"].is_valid())
        column = there["vector"].combine_chunks()
        vectors = column.flatten().to_numpy(zero_copy_only=False)
        names = there["record_id"].to_pylist()
        scores = _scores(queries, vectors.reshape(-1, column.type.list_size), metric)
        scores[own[:, None] == np.array(names, object)[None]] = -np.inf
        best.add(scores, names)
    return [
        [name for name in row if name != ids[place]] for place, row in enumerate(best.ids.tolist())
    ]


def _scores(queries: Matrix, rows: Matrix, metric: str) -> Matrix:
    """Higher is nearer, ``(queries, rows)``."""
    one, other = queries.astype(np.float64), rows.astype(np.float64)
    if metric == "l2":
        # The query's own square would shift all of its distances alike.
        far = (other * other).sum(axis=1) - 2 * (one @ other.T)
        nearer: Matrix = (-far).astype(np.float32)
        return nearer
    if metric == "cosine":
        norms = np.linalg.norm(other, axis=1, keepdims=True)
        other = other / np.where(norms > 0, norms, 1.0)
    near: Matrix = (one @ other.T).astype(np.float32)
    return near


def _recall(truth: list[list[str]], found: list[list[str]], factor: int) -> Recall:
    """Of a record's nearest those among the candidates.

    Whole vectors put these first, since nothing else is as near: what is among the candidates is
    found, whatever they are put in order by.
    """
    shares = np.array(
        [
            len({*near} & {*candidates[: K * factor]}) / len(near) if near else 1.0
            for near, candidates in zip(truth, found, strict=True)
        ]
    )
    error = float(shares.std(ddof=1) / np.sqrt(len(shares))) if len(shares) > 1 else 0.0
    return Recall(factor, float(shares.mean()), error)
