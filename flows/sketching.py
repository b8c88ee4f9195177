"""The sketches of what a run is compared with, from what is kept of it and from as few rows as can.

Contents are compared, each once (`flows.monitors._two_sample` says why). So the sketch of a run is
of the contents that it was the first to bring: then the sketches of runs add up to that of what
they left. What stood there before and came again is on neither side by right. As in a sample of
rows, the side of such a content is that of one of its rows, drawn evenly from all on both sides,
here by a hash of the content that knows nothing of its vector; those that fall to the run are kept
beside its sketch, to be added to it and taken from what stood before. Where the reference is
not all that stood before the run, nobody can tell so simply what falls to which side, and sketches
are only compared where next to nothing came again.

What is in a sum cannot be taken out of it when its record changes or goes. Of a reference that is
a whole state a hundredth may be gone; beyond, and where the sketches of too many runs are missing,
the state is sketched anew in one pass over its rows. A window of runs is what they wrote, whatever
became of it. Memory does not grow with the vectors; the hashes take 32 bytes a content while rows
are read.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from flows.held import sketches_lock
from flows.matrices import matrix
from flows.monitors._basis import ROWS, Basis
from flows.monitors._sketch import Sketch
from storage.ids import seed
from storage.locks import exclusive
from storage.sketches import BASIS, STATE, note_occupancy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from flows.references import Reference
    from flows.stores import Stores
    from storage.model import Manifest, Version

    Keys = NDArray[np.uint64]
    Pair = tuple[Sketch | None, Sketch | None]

NONE: Pair = (None, None)

BLOCK_ROWS = 8192
BASIS_SHARE = 0.1
"""Of the contents the basis is learned from so large a share at most, and they are left out."""

BASIS_LEAST = 100
GONE = 0.01
"""The share of a reference that may be gone from it, or have come again, before sums mislead."""

MISSING_SHARE, MISSING_RUNS = 0.25, 32
"""Up to so large a share of the records, and so many runs, missing ones are made one by one."""

STATES_KEPT = 3
WAIT_SECONDS = 600.0


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
class Sketching:
    """Gives the sketches of one version, and keeps those that it makes.

    Attributes:
        manifests: what was published of the version, oldest first.
        on_wait: told, in a sentence, where another holds the sketches.
    """

    stores: Stores
    version: Version
    manifests: Sequence[Manifest]
    on_wait: Callable[[str], None]

    def pair(self, reference: Reference, current: Manifest) -> Pair:
        """The sketches of the reference and of what a run wrote; None where there can be none.

        Raises:
            StorageError: if rows cannot be read, or another process holds the sketches for long.
        """
        if current.lance_version <= reference.manifest.lance_version and reference.runs is None:
            return NONE
        lock = self.stores.locks / sketches_lock(self.version.feature)
        what = f"the sketches of {self.version.feature}"
        with exclusive(lock, what, WAIT_SECONDS, self.on_wait):
            basis = self._basis(current)
            return NONE if basis is None else Pairing(self, basis).pair(reference, current)

    def _basis(self, current: Manifest) -> tuple[Basis, int] | None:
        """The version's basis, and the border below which hashes are of contents behind it."""
        table = self.version.table
        kept = self.stores.sketches.load(table, BASIS)
        if kept is not None:
            try:
                return Basis.of_arrays(kept[0]), int(kept[1]["border"], 16)
            except KeyError:
                pass  # of another release: made anew, as what cannot be read
        rows = self.stores.vectors.rows(table, current.lance_version)
        border = f"{int(min(BASIS_SHARE, ROWS / max(1, rows)) * 16**8):08x}"
        learned = self._learn(current, border)
        if learned is not None:
            self.stores.sketches.save(table, BASIS, learned.arrays(), {"border": border})
            return learned, int(border, 16)
        return None

    def _learn(self, current: Manifest, border: str) -> Basis | None:
        seen: dict[int, NDArray[np.float32]] = {}
        for hashes, vectors in self.blocks(Rows(current.lance_version), border):
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
            yield (
                keys(block.column("content_hash")),
                matrix(block.column("vector"), self.version.dim),
            )

    def keys(self, rows: Rows) -> Iterator[Keys]:
        """The keys of rows alone, some at a time."""
        return (keys(block.column("content_hash")) for block in self._read(rows, ["content_hash"]))

    def _read(self, rows: Rows, columns: list[str], below: str | None = None) -> Iterator[Any]:
        return self.stores.vectors.blocks(
            *(self.version.table, rows.lance_version, columns, BLOCK_ROWS),
            runs=rows.runs,
            below=below,
            history=self.version.history,
        )


class Pairing:
    """One comparison; the lock of the feature's sketches is held."""

    def __init__(self, sketching: Sketching, basis: tuple[Basis, int]) -> None:
        self._from = sketching
        self._basis, self._border = basis
        self._sketches = sketching.stores.sketches
        self._table = sketching.version.table

    def pair(self, reference: Reference, current: Manifest) -> Pair:
        """As `Sketching.pair`."""
        before = reference.manifest if reference.grows else self._before(current)
        ours = self._brought(current, before)
        if reference.runs is not None:
            return self._window(reference, ours)
        theirs = self._state(reference.manifest)
        if reference.grows:
            return theirs - ours.moved, ours.novel + ours.moved
        return (theirs, ours.novel) if ours.came_again <= GONE else NONE

    def _before(self, current: Manifest) -> Manifest | None:
        """What stood just before a run, None where nothing did or it cannot be read."""
        own = self._published(current.run_id)
        latest = current.lance_version if own is None else own.lance_version
        earlier = [m for m in self._from.manifests if m.lance_version < latest]
        if not earlier or earlier[-1].forgotten_at is not None:
            return None
        return earlier[-1]

    def _window(self, reference: Reference, ours: Brought) -> Pair:
        """What some runs wrote, put together."""
        state, runs = reference.manifest, list(reference.runs or ())
        kept = {run: self._kept(run) for run in runs}
        if list(kept.values()).count(None) > MISSING_RUNS:
            return NONE
        found = [kept[run] or self._made_up(run, state) for run in runs]
        again = sum(one.returned for one in (*found, ours))
        every = again + sum(one.novel.count for one in (*found, ours))
        if not found or again > GONE * every:
            return NONE
        return _sum([one.novel for one in found]), ours.novel

    def _state(self, state: Manifest) -> Sketch:
        """All that stands in a state: the last one kept whole, and what runs brought since."""
        numbers = [n for n in self._sketches.states(self._table) if n <= state.lance_version]
        base = self._whole(numbers[-1]) if numbers else None
        at = -1 if base is None else numbers[-1]
        upto = [m for m in self._from.manifests if m.lance_version <= state.lance_version]
        records = sum(m.counts.new - m.counts.deleted for m in upto)
        since = [m for m in upto if m.lance_version > at]
        wrote = [m for m in since if m.counts.new or m.counts.changed]
        kept = {m.run_id: self._kept(m.run_id) for m in wrote}
        missing = [m.counts for m in wrote if kept[m.run_id] is None]
        few = sum(c.new + c.changed for c in missing) <= MISSING_SHARE * records
        gone = sum(m.counts.deleted + m.counts.changed for m in since)
        if not few or len(missing) > MISSING_RUNS or gone > GONE * records:
            return self._anew(state)
        found = [kept[m.run_id] or self._made_up(m.run_id, state) for m in wrote]
        parts = [*([] if base is None else [base]), *(one.novel for one in found)]
        return _sum(parts) if parts else self._anew(state)

    def _whole(self, lance_version: int) -> Sketch | None:
        """The sketch of a state that is kept."""
        kept = self._sketches.load(self._table, f"{STATE}{lance_version}")
        if kept is None or kept[1].get("basis") != self._basis.digest:
            return None
        try:
            return Sketch.of_arrays(self._basis, kept[0])
        except KeyError:
            return None

    def _anew(self, state: Manifest) -> Sketch:
        """A state sketched in one pass over its rows, and kept."""
        rows = Rows(state.lance_version)
        hashes, counts = self._contents(rows)
        (found,) = self._split(rows, hashes, [np.ones(len(counts), np.bool_)])
        name, meta = f"{STATE}{state.lance_version}", {"basis": self._basis.digest}
        self._sketches.save(self._table, name, found.arrays(), meta)
        old = self._sketches.states(self._table)[:-STATES_KEPT]
        self._sketches.remove(self._table, [f"{STATE}{number}" for number in old])
        return found

    def _brought(self, current: Manifest, before: Manifest | None) -> Brought:
        """What the run brought that is looked at, as it is kept or now from its rows."""
        kept = self._kept(current.run_id, current.lance_version)
        if kept is not None:
            return kept
        rows = Rows(current.lance_version, [current.run_id])
        earlier = self._earlier(current.run_id, current.lance_version)
        if before is not None:
            earlier = Rows(before.lance_version)
        return self._keep(current.run_id, current.lance_version, self._make(rows, earlier))

    def _made_up(self, run_id: str, state: Manifest) -> Brought:
        """What an earlier run brought, as far as it still stands."""
        rows = Rows(state.lance_version, [run_id])
        made = self._make(rows, self._earlier(run_id, state.lance_version))
        return self._keep(run_id, state.lance_version, made)

    def _earlier(self, run_id: str, lance_version: int) -> Rows:
        """Rows of runs before one, as far as they stand in a state."""
        order = [m.run_id for m in self._from.manifests]
        return Rows(lance_version, order[: order.index(run_id)] if run_id in order else order)

    def _published(self, run_id: str) -> Manifest | None:
        return next((m for m in self._from.manifests if m.run_id == run_id), None)

    # --- files ----------------------------------------------------------------------------------

    def _kept(self, run_id: str, lance_version: int | None = None) -> Brought | None:
        """What is kept of a run; of one that is not published yet, only if it is of that state."""
        kept = self._sketches.load(self._table, run_id)
        if kept is None or kept[1].get("basis") != self._basis.digest:
            return None
        arrays, meta = kept
        same = meta.get("lance_version") == lance_version
        if not same and self._published(run_id) is None:
            return None
        try:
            return Brought(
                Sketch.of_arrays(self._basis, _named("novel_", arrays)),
                Sketch.of_arrays(self._basis, _named("moved_", arrays)),
                int(meta["returned"]),
            )
        except KeyError:
            return None

    def _keep(self, run_id: str, lance_version: int, made: Brought) -> Brought:
        arrays = {f"novel_{name}": a for name, a in made.novel.arrays().items()}
        arrays |= {f"moved_{name}": a for name, a in made.moved.arrays().items()}
        meta = {"basis": self._basis.digest, "lance_version": lance_version}
        self._sketches.save(self._table, run_id, arrays, meta | {"returned": made.returned})
        cells = made.novel.cells.tolist()
        catalog = self._from.stores.catalog
        note_occupancy(catalog, self._from.version, run_id, self._basis.digest, cells)
        return made

    # --- rows -----------------------------------------------------------------------------------

    def _make(self, rows: Rows, earlier: Rows) -> Brought:
        """Sketch the contents of rows, those that earlier rows hold too apart."""
        hashes, counts = self._contents(rows)
        before = np.zeros(len(hashes), np.int64)
        for block in self._from.keys(earlier):
            np.add.at(before, *_where(hashes, block))
        falls = _even(hashes) * (before + counts) < counts
        returned = before > 0
        novel, moved = self._split(rows, hashes, [~returned, returned & falls])
        return Brought(novel, moved, int(returned.sum()))

    def _contents(self, rows: Rows) -> tuple[Keys, NDArray[np.int64]]:
        """The distinct keys of rows in order, less the basis' own, and how many rows each has."""
        blocks = [np.empty(0, np.uint64), *self._from.keys(rows)]
        hashes, counts = np.unique(np.concatenate(blocks), return_counts=True)
        ours = hashes >> np.uint64(32) >= self._border
        return hashes[ours], counts[ours]

    def _split(self, rows: Rows, hashes: Keys, kinds: Sequence[NDArray[np.bool_]]) -> list[Sketch]:
        """A sketch of each kind of content, one row of each content; in one pass over the rows."""
        left = np.ones(len(hashes), np.bool_)
        found = [Sketch.of(self._basis, []) for _ in kinds]
        for block, vectors in self._from.blocks(rows):
            first, at = np.unique(block, return_index=True)
            places, _ = _where(hashes, first)
            at = at[np.isin(first, hashes[places])]
            fresh = left[places]
            left[places] = False
            for kind, mask in enumerate(kinds):
                chosen = vectors[at[fresh & mask[places]]]
                found[kind] = found[kind] + Sketch.of(self._basis, [chosen])
        return found


def keys(hashes: Any) -> Keys:  # noqa: ANN401 - pyarrow ships no types
    """The first 64 bits of content hashes, ``(n,)``."""
    texts = (text[:16] for text in hashes.to_pylist())
    return np.frombuffer(bytes.fromhex("".join(texts)), ">u8").astype(np.uint64)


def _where(hashes: Keys, block: Keys) -> tuple[NDArray[np.intp], int]:
    """The places of those keys of a block, in its order, that are among ordered ones."""
    if not len(hashes):
        return np.empty(0, np.intp), 1
    places = np.minimum(np.searchsorted(hashes, block), len(hashes) - 1)
    return places[hashes[places] == block], 1


def _even(hashes: Keys) -> NDArray[np.float64]:
    """A number below 1 of each content, even over contents: the last 32 bits of its key."""
    return (hashes & np.uint64(0xFFFFFFFF)).astype(np.float64) / 2**32


def _sum(sketches: Sequence[Sketch]) -> Sketch:
    found = sketches[0]
    for one in sketches[1:]:
        found = found + one
    return found


def _named(prefix: str, arrays: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    return {n.removeprefix(prefix): a for n, a in arrays.items() if n.startswith(prefix)}
