"""Sketches made of rows: of each content once, and of what came again apart.

The rows are read twice, their hashes first. Memory does not grow with the vectors; the hashes take
some 32 bytes a content.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from flows.matrices import matrix
from flows.monitors._basis import Basis
from flows.monitors._sketch import Sketch
from storage.ids import seed

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from storage.model import Version
    from storage.vectors import Vectors

    Keys = NDArray[np.uint64]

BLOCK_ROWS = 8192
BASIS_LEAST = 100
"""Contents that a basis is learned from at least."""


@dataclass(frozen=True)
class Brought:
    """What a run wrote.

    Attributes:
        novel: the sketch of the contents that did not stand there before.
        moved: that of those that did, and fell to the run.
        returned: how many did, wherever they fell.
    """

    novel: Sketch
    moved: Sketch
    returned: int

    @property
    def came_again(self) -> float:
        """The share of its contents that did not come for the first time."""
        return self.returned / max(1, self.returned + self.novel.count)


@dataclass(frozen=True)
class Rows:
    """Rows of a state: all of them, or those that some runs wrote."""

    lance_version: int
    runs: Sequence[str] | None = None


@dataclass(frozen=True)
class Reader:
    """Reads rows of one version's table."""

    vectors: Vectors
    version: Version

    def learn(self, lance_version: int, border: str) -> Basis | None:
        """A basis from the contents whose hashes come before a border; None if they are few."""
        seen: dict[int, NDArray[np.float32]] = {}
        for hashes, vectors in self.blocks(Rows(lance_version), border):
            sound = np.isfinite(vectors).all(axis=1)
            seen |= dict(zip(hashes[sound].tolist(), vectors[sound], strict=True))
        if len(seen) < BASIS_LEAST:
            return None
        rng = np.random.default_rng(seed(f"{self.version.table} basis"))
        return Basis.learn(np.stack([seen[key] for key in sorted(seen)]), rng)

    def blocks(
        self, rows: Rows, below: str | None = None
    ) -> Iterator[tuple[Keys, NDArray[np.float32]]]:
        """The keys ``(n,)`` and the vectors ``(n, dim)`` of rows, some at a time."""
        for block in self._read(rows, ["content_hash", "vector"], below):
            vectors = matrix(block.column("vector"), self.version.dim)
            yield keys(block.column("content_hash")), vectors

    def keys(self, rows: Rows) -> Iterator[Keys]:
        """The keys of rows alone, some at a time."""
        return (keys(block.column("content_hash")) for block in self._read(rows, ["content_hash"]))

    def _read(self, rows: Rows, columns: list[str], below: str | None = None) -> Iterator[Any]:
        return self.vectors.blocks(
            *(self.version.table, rows.lance_version, columns, BLOCK_ROWS),
            runs=rows.runs,
            below=below,
            history=self.version.history,
        )

    # --- one row a content ----------------------------------------------------------------------

    def brought(self, rows: Rows, earlier: Rows, basis: Basis, border: int) -> Brought:
        """Sketch the contents of a run's rows, those that earlier rows hold too apart.

        Args:
            rows: the run's.
            earlier: what stood there before.
            basis: the terms.
            border: below which the first 32 bits of a hash are of contents behind the basis.
        """
        hashes, counts = self._contents(rows, border)
        before = np.zeros(len(hashes), np.int64)
        for block in self.keys(earlier):
            places, among = _where(hashes, block)
            np.add.at(before, places[among], 1)
        falls = _even(hashes) * (before + counts) < counts
        returned = before > 0
        novel, moved = self._split(basis, rows, hashes, [~returned, returned & falls])
        return Brought(novel, moved, int(returned.sum()))

    def whole(self, rows: Rows, basis: Basis, border: int) -> Sketch:
        """The sketch of all contents of rows."""
        hashes, _ = self._contents(rows, border)
        (found,) = self._split(basis, rows, hashes, [np.ones(len(hashes), np.bool_)])
        return found

    def _contents(self, rows: Rows, border: int) -> tuple[Keys, NDArray[np.int64]]:
        """The distinct keys of rows in order, less the basis' own, and how many rows each has."""
        blocks = [np.empty(0, np.uint64), *self.keys(rows)]
        hashes, counts = np.unique(np.concatenate(blocks), return_counts=True)
        ours = hashes >> np.uint64(32) >= border
        return hashes[ours], counts[ours]

    def _split(
        self, basis: Basis, rows: Rows, hashes: Keys, kinds: Sequence[NDArray[np.bool_]]
    ) -> list[Sketch]:
        """A sketch of each kind of content, one row of each content; in one pass over the rows."""
        left = np.ones(len(hashes), np.bool_)
        found = [Sketch.of(basis, []) for _ in kinds]
        for block, vectors in self.blocks(rows):
            first, at = np.unique(block, return_index=True)
            places, among = _where(hashes, first)
            places, at = places[among], at[among]
            fresh = left[places]
            left[places] = False
            for kind, mask in enumerate(kinds):
                chosen = vectors[at[fresh & mask[places]]]
                found[kind] = found[kind] + Sketch.of(basis, [chosen])
        return found


def keys(hashes: Any) -> Keys:  # noqa: ANN401 - pyarrow ships no types
    """The first 64 bits of content hashes, ``(n,)``."""
    texts = (text[:16] for text in hashes.to_pylist())
    return np.frombuffer(bytes.fromhex("".join(texts)), ">u8").astype(np.uint64)


def _where(hashes: Keys, block: Keys) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
    """The place of each key of a block among ordered ones, and whether it is among them."""
    if not len(hashes):
        return np.zeros(len(block), np.intp), np.zeros(len(block), np.bool_)
    places = np.minimum(np.searchsorted(hashes, block), len(hashes) - 1)
    return places, hashes[places] == block


def _even(hashes: Keys) -> NDArray[np.float64]:
    """A number below 1 of each content, even over contents: the last 32 bits of its key."""
    return (hashes & np.uint64(0xFFFFFFFF)).astype(np.float64) / 2**32
