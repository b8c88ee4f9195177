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
became of it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from flows.monitoring.sketch_files import Files
from flows.monitoring.sketch_rows import Reader, Rows
from flows.monitors._basis import ROWS
from flows.pipeline.held import sketches_lock
from storage.locks import exclusive
from storage.sketches import note_occupancy

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from flows.config.stores import Stores
    from flows.monitoring.references import Reference
    from flows.monitoring.sketch_rows import Brought
    from flows.monitors._sketch import Sketch
    from storage.model import Manifest, Version

    Pair = tuple[Sketch | None, Sketch | None]

NONE: Pair = (None, None)

BASIS_SHARE = 0.1
"""Of the contents the basis is learned from so large a share at most, and they are left out."""

MOST_RUNS = 500
"""A window of more runs is looked at by its rows; `vecmill gc` keeps sketches of no more."""

WAIT_SECONDS = 600.0


@dataclass(frozen=True)
class Limits:
    """Until when sketches are put together, and from when rows are read instead.

    Attributes:
        gone: the share of a reference that may be gone from it, or have come again.
        missing: up to so large a share of the records missing sketches are made run by run.
        missing_runs: and of no more runs.
        merged_runs: what so many runs brought is kept as one sketch: not all are read each time.
    """

    gone: float = 0.01
    missing: float = 0.25
    missing_runs: int = 32
    merged_runs: int = 32


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
    limits: Limits = field(default_factory=Limits)

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
            files = self._files(current)
            return NONE if files is None else _Pairing(self, files).pair(reference, current)

    @property
    def reader(self) -> Reader:
        """Reads the version's rows."""
        return Reader(self.stores.vectors, self.version)

    def _files(self, current: Manifest) -> Files | None:
        """What is kept over the version's basis, which is learned where there is none yet."""
        sketches, table = self.stores.sketches, self.version.table
        kept = Files.open(sketches, table)
        if kept is not None:
            return kept
        rows = self.stores.vectors.rows(table, current.lance_version)
        border = int(min(BASIS_SHARE, ROWS / max(1, rows)) * 2**32)
        basis = self.reader.learn(current.lance_version, f"{border:08x}")
        return None if basis is None else Files.begin(sketches, table, basis, border)


class _Pairing:
    """One comparison; the lock of the feature's sketches is held."""

    def __init__(self, sketching: Sketching, files: Files) -> None:
        self._stores, self._version = sketching.stores, sketching.version
        self._manifests, self._limits = sketching.manifests, sketching.limits
        self._reader, self._files = sketching.reader, files

    def pair(self, reference: Reference, current: Manifest) -> Pair:
        """As `Sketching.pair`."""
        before = reference.manifest if reference.grows else self._before(current)
        ours = self._of_run(current.run_id, current.lance_version, before)
        if reference.runs is not None:
            return self._window(reference, ours)
        theirs = self._state(reference.manifest)
        if reference.grows:
            return theirs - ours.moved, ours.novel + ours.moved
        return (theirs, ours.novel) if ours.came_again <= self._limits.gone else NONE

    def _before(self, current: Manifest) -> Manifest | None:
        """What stood just before a run, None where nothing did or it cannot be read."""
        own = self._published(current.run_id)
        latest = current.lance_version if own is None else own.lance_version
        earlier = [m for m in self._manifests if m.lance_version < latest]
        if not earlier or earlier[-1].forgotten_at is not None:
            return None
        return earlier[-1]

    def _window(self, reference: Reference, ours: Brought) -> Pair:
        """What some runs wrote, put together."""
        runs = list(reference.runs or ())
        missing = {*runs} - {*self._files.runs()}
        if len(runs) > MOST_RUNS or len(missing) > self._limits.missing_runs:
            return NONE
        merged, again = self._files.empty(), ours.returned
        for run in runs:
            one = self._of_run(run, reference.manifest.lance_version)
            merged, again = merged + one.novel, again + one.returned
        every = merged.count + ours.novel.count + again
        return (merged, ours.novel) if again <= self._limits.gone * every else NONE

    def _state(self, state: Manifest) -> Sketch:
        """All that stands in a state: the last one kept whole, and what runs brought since."""
        at, merged, gone = self._files.state_up_to(state.lance_version)
        upto = [m for m in self._manifests if m.lance_version <= state.lance_version]
        records = sum(m.counts.new - m.counts.deleted for m in upto)
        since = [m for m in upto if m.lance_version > at]
        gone += sum(m.counts.deleted + m.counts.changed for m in since)
        wrote = [m for m in since if m.counts.new or m.counts.changed]
        kept = {*self._files.runs()}
        missing = [m.counts for m in wrote if m.run_id not in kept]
        few = sum(c.new + c.changed for c in missing) <= self._limits.missing * records
        if (
            not few
            or len(missing) > self._limits.missing_runs
            or gone > self._limits.gone * records
        ):
            return self._anew(state)
        for manifest in wrote:
            merged = merged + self._of_run(manifest.run_id, state.lance_version).novel
        if len(wrote) >= self._limits.merged_runs:
            self._files.keep_state(state.lance_version, merged, gone)
        return merged

    def _anew(self, state: Manifest) -> Sketch:
        """A state sketched in one pass over its rows, and kept."""
        files = self._files
        found = self._reader.whole(Rows(state.lance_version), files.basis, files.border)
        files.keep_state(state.lance_version, found, 0)
        return found

    def _of_run(self, run_id: str, lance_version: int, before: Manifest | None = None) -> Brought:
        """What a run brought, as it is kept, or now from its rows that stand in a state.

        Args:
            run_id: the run.
            lance_version: the state to read its rows in.
            before: what stood before it; where that is not given, the rows of earlier runs that
                stand in the same state.
        """
        published = self._published(run_id) is not None
        kept = self._files.run(run_id, None if published else lance_version)
        if kept is not None:
            return kept
        order = [m.run_id for m in self._manifests]
        earlier = Rows(lance_version, order[: order.index(run_id)] if published else order)
        if before is not None:
            earlier = Rows(before.lance_version)
        rows, files = Rows(lance_version, [run_id]), self._files
        made = self._reader.brought(rows, earlier, files.basis, files.border)
        files.keep_run(run_id, lance_version, made)
        told = (run_id, files.basis.digest, made.novel.cells.tolist())
        note_occupancy(self._stores.catalog, self._version, *told)
        return made

    def _published(self, run_id: str) -> Manifest | None:
        return next((m for m in self._manifests if m.run_id == run_id), None)
