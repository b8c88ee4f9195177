"""Groups of records that are nearly the same: exact search, block against block."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from flows.config.stores import Stores
from flows.lifecycle.chosen import readable
from flows.matrices import matrix, unit, usable
from flows.output import units
from storage.model import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    from flows.config.settings import Settings
    from flows.output.progress import Reporter
    from storage.model import Manifest, Version

THRESHOLD = 0.95
"""The cosine from which two records count as nearly the same."""

_OUTER, _INNER = 8_192, 1_024
_LARGEST = 1_000
"""Records of a group up to which all of its pairs are measured."""


@dataclass(frozen=True)
class Duplicates:
    """Records that belong together.

    Attributes:
        record_ids: two or more, in the order in which they are stored.
        kind: ``exact`` where all have the same content, ``near`` where some differ.
        contents: how many different contents they have.
        lowest: the smallest cosine of two of them; below the threshold where they are a chain, each
            near to the next. None in groups of over 1,000 contents, whose pairs are not measured.
    """

    record_ids: tuple[str, ...]
    kind: Literal["exact", "near"]
    contents: int
    lowest: float | None

    def row(self, version: Version, number: int) -> dict[str, Any]:
        """As one flat row of plain values."""
        return {
            "feature": version.feature,
            "version": version.version,
            "group": number,
            "kind": self.kind,
            "size": len(self.record_ids),
            "contents": self.contents,
            "lowest_similarity": self.lowest,
            "record_ids": list(self.record_ids),
        }


@dataclass(frozen=True)
class Found:
    """What `duplicates` finds.

    Attributes:
        rows: records compared.
        passed_over: records whose vectors are not finite, or all zero.
        groups: the largest first.
    """

    version: Version
    threshold: float
    rows: int
    passed_over: int
    groups: tuple[Duplicates, ...]

    def sentences(self) -> list[str]:
        """What they come to."""
        exact = [g for g in self.groups if g.kind == "exact"]
        near = [g for g in self.groups if g.kind == "near"]
        spare = sum(len(g.record_ids) - 1 for g in self.groups)
        rows = units.several(self.rows, "record")
        told = [
            f"{rows} of {self.version.table} compared with each other",
            f"{units.several(len(near), 'group')} with a cosine of {self.threshold:g} or more",
            f"{units.several(len(exact), 'group')} of equal contents",
            f"one of each group kept, {units.several(spare, 'record')} would go",
        ]
        if self.passed_over:
            told.append(f"{self.passed_over:,} have no vector to compare: not finite, or all zero")
        return told


def duplicates(
    settings: Settings,
    name: str,
    reporter: Reporter,
    threshold: float = THRESHOLD,
    number: int | None = None,
) -> Found:
    """The groups of a version's records that are linked by a cosine of the threshold or more.

    Every record is compared with every other: the time grows with the square of their number, the
    memory holds some ten thousand vectors, and a few numbers a record. Equal contents count as one
    while vectors are compared.

    Args:
        settings: the configuration.
        name: the feature.
        reporter: told of progress.
        threshold: above 0, at most 1; at 1 equal directions alone are found.
        number: the version; the live one where none is given.

    Raises:
        UsageError: if the threshold or the version makes no sense.
    """
    if not 0 < threshold <= 1:
        raise UsageError(f"--threshold is a cosine above 0 and at most 1, got {threshold:g}")
    stores = Stores.of(settings, reporter)
    version, manifest = readable(settings, stores, name, number)
    table = _Table(stores, version, manifest)
    first, good = table.contents()
    rows = np.flatnonzero(good & (first == np.arange(len(first))))
    reporter.stage(name, "compare", len(rows))
    linked = _linked(table, rows, len(first), threshold, reporter)
    # Copies go where the first of their content goes.
    labels = linked[first]
    groups = list(_groups(table, labels, first, good))
    groups.sort(key=lambda group: -len(group.record_ids))
    return Found(version, threshold, int(good.sum()), int((~good).sum()), tuple(groups))


@dataclass(frozen=True)
class _Table:
    """The current rows of a version, by their places among them."""

    stores: Stores
    version: Version
    manifest: Manifest

    def blocks(self, columns: Sequence[str], size: int) -> Iterator[Any]:
        where = (self.version.table, self.manifest.lance_version)
        yield from self.stores.vectors.blocks(*where, columns, size, history=self.version.history)

    def contents(self) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """For each row the place of the first of its content, and whether it can be compared."""
        import polars as pl

        hashes, good = [], []
        for block in self.blocks(["content_hash", "vector"], _INNER):
            hashes.append(pl.from_arrow(block.select(["content_hash"])))
            good.append(usable(matrix(block["vector"], self.version.dim), "cosine"))
        if not hashes:
            return np.empty(0, np.int64), np.empty(0, np.bool_)
        every = pl.concat([frame for frame in hashes if isinstance(frame, pl.DataFrame)])
        places = every.with_row_index("place").select(
            pl.col("place").min().over("content_hash").cast(pl.Int64)
        )
        return places["place"].to_numpy(), np.concatenate(good)

    def units(
        self, rows: NDArray[np.int64], size: int, start: int = 0
    ) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float32]]]:
        """Some rows, given by their places in order, as unit vectors, a block at a time."""
        seen = 0
        for block in self.blocks(["vector"], size):
            low, high = np.searchsorted(rows, [seen, seen + len(block)])
            inside = rows[low:high]
            if high > low and inside[-1] >= start:
                vectors = matrix(block["vector"], self.version.dim)[inside - seen]
                yield inside, unit(vectors).astype(np.float32)
            seen += len(block)

    def ids(self, rows: NDArray[np.int64]) -> list[str]:
        found: list[str] = []
        seen = 0
        for block in self.blocks(["record_id"], _OUTER):
            low, high = np.searchsorted(rows, [seen, seen + len(block)])
            found += block["record_id"].take(rows[low:high] - seen).to_pylist()
            seen += len(block)
        return found


def _linked(
    table: _Table, rows: NDArray[np.int64], n: int, threshold: float, reporter: Reporter
) -> NDArray[np.int64]:
    """The component of each of n rows, where some of them are linked by their cosines."""
    labels = np.arange(n)
    for places, block in _joined(table.units(rows, _INNER), _OUTER):
        for others, vectors in table.units(rows, _INNER, start=int(places[0])):
            here, there = np.nonzero(block @ vectors.T >= threshold - 1e-6)
            ones, twos = places[here], others[there]
            later = ones < twos
            labels = _united(labels, ones[later], twos[later])
        reporter.advance(len(places))
    return labels


def _joined(
    blocks: Iterable[tuple[NDArray[np.int64], NDArray[np.float32]]], size: int
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float32]]]:
    """Blocks put together until they have so many rows."""
    held: list[tuple[NDArray[np.int64], NDArray[np.float32]]] = []
    for block in blocks:
        held.append(block)
        if sum(len(places) for places, _ in held) >= size:
            yield np.concatenate([p for p, _ in held]), np.concatenate([v for _, v in held])
            held = []
    if held:
        yield np.concatenate([p for p, _ in held]), np.concatenate([v for _, v in held])


def _united(
    labels: NDArray[np.int64], ones: NDArray[np.int64], twos: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Components after some pairs of rows are linked; each goes by its first row."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    heads, tails = labels[ones], labels[twos]
    apart = heads != tails
    if not apart.any():
        return labels
    named, numbers = np.unique(np.concatenate([heads[apart], tails[apart]]), return_inverse=True)
    half = int(apart.sum())
    links = coo_matrix((np.ones(half), (numbers[:half], numbers[half:])), (len(named), len(named)))
    _, parts = connected_components(links, directed=False)
    smallest = np.full(parts.max() + 1, len(labels))
    np.minimum.at(smallest, parts, named)
    where = np.searchsorted(named, labels)
    inside = named[np.minimum(where, len(named) - 1)] == labels
    found = labels.copy()
    found[inside] = smallest[parts[where[inside]]]
    return found


def _groups(
    table: _Table,
    labels: NDArray[np.int64],
    first: NDArray[np.int64],
    good: NDArray[np.bool_],
) -> Iterator[Duplicates]:
    """The components of two rows or more."""
    labels = np.where(good, labels, -1)
    numbers, sizes = np.unique(labels[labels >= 0], return_counts=True)
    kept = np.isin(labels, numbers[sizes > 1])
    rows = np.flatnonzero(kept)
    ids = np.array(table.ids(rows), dtype=object)
    mine, contents = labels[rows], first[rows]
    order = np.argsort(mine, kind="stable")
    borders = np.flatnonzero(np.diff(mine[order])) + 1
    members = np.split(order, borders) if len(rows) else []
    different = [np.unique(contents[places]) for places in members]
    measured = [d for d in different if 1 < len(d) <= _LARGEST]
    lowest = iter(_lowest(table, measured))
    for places, distinct in zip(members, different, strict=True):
        known = next(lowest) if 1 < len(distinct) <= _LARGEST else None
        yield Duplicates(
            tuple(ids[places].tolist()),
            "exact" if len(distinct) == 1 else "near",
            len(distinct),
            1.0 if len(distinct) == 1 else known,
        )


def _lowest(table: _Table, groups: Sequence[NDArray[np.int64]]) -> Iterator[float]:
    """The smallest cosine within each group of rows, some groups at a time."""
    at = 0
    while at < len(groups):
        upto, rows = at, 0
        while upto < len(groups) and rows + len(groups[upto]) <= max(_OUTER, len(groups[at])):
            rows += len(groups[upto])
            upto += 1
        wanted = np.unique(np.concatenate(groups[at:upto]))
        vectors = np.concatenate([block for _, block in table.units(wanted, _INNER)])
        for group in groups[at:upto]:
            own = vectors[np.searchsorted(wanted, group)]
            yield float(np.clip((own @ own.T).min(), -1, 1))
        at = upto
