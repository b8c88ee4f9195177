"""The sketches of one version as they are kept: over one basis, of runs and of whole states."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from flows.monitoring.sketch_rows import Brought
from flows.monitors._basis import Basis
from flows.monitors._sketch import Sketch
from storage.sketches import BASIS, STATE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from storage.sketches import Sketches

STATES_KEPT = 3


@dataclass(frozen=True)
class Files:
    """What is kept of a version; what is of another basis, or cannot be read, is not there.

    Attributes:
        basis: the terms.
        border: below which the first 32 bits of a hash are of contents behind the basis.
    """

    sketches: Sketches
    table: str
    basis: Basis
    border: int

    @classmethod
    def open(cls, sketches: Sketches, table: str) -> Files | None:
        """With the basis that is kept; None where there is none."""
        kept = sketches.load(table, BASIS)
        try:
            arrays, meta = kept or ({}, {})
            return cls(sketches, table, Basis.of_arrays(arrays), int(meta["border"]))
        except KeyError:
            return None

    @classmethod
    def begin(cls, sketches: Sketches, table: str, basis: Basis, border: int) -> Files:
        """With a new basis, which is kept."""
        sketches.save(table, BASIS, basis.arrays(), {"border": border})
        return cls(sketches, table, basis, border)

    def empty(self) -> Sketch:
        """The sketch of nothing."""
        return Sketch.of(self.basis, [])

    # --- runs -----------------------------------------------------------------------------------

    def runs(self) -> list[str]:
        """The runs of which there is a file."""
        return self.sketches.runs(self.table)

    def run(self, run_id: str, lance_version: int | None = None) -> Brought | None:
        """What a run brought; with a Lance version only if it was read from that state."""
        kept = self._load(run_id)
        if kept is None or lance_version not in {None, kept[1].get("lance_version")}:
            return None
        moved = _named("moved_", kept[0])
        try:
            return Brought(
                Sketch.of_arrays(self.basis, _named("novel_", kept[0])),
                Sketch.of_arrays(self.basis, moved) if moved else self.empty(),
                int(kept[1]["returned"]),
            )
        except KeyError:
            return None

    def keep_run(self, run_id: str, lance_version: int, made: Brought) -> None:
        """Keep what a run brought, as read from a state."""
        arrays = {f"novel_{name}": a for name, a in made.novel.arrays().items()}
        if made.moved.count:
            arrays |= {f"moved_{name}": a for name, a in made.moved.arrays().items()}
        meta = {"basis": self.basis.digest, "lance_version": lance_version}
        self.sketches.save(self.table, run_id, arrays, meta | {"returned": made.returned})

    # --- states ---------------------------------------------------------------------------------

    def state_up_to(self, lance_version: int) -> tuple[int, Sketch, int]:
        """The last state up to one that is kept whole; an empty one before all where none is.

        Returns:
            Its Lance version, its sketch, and how many contents are in that but gone.
        """
        for number in reversed(self.sketches.states(self.table)):
            kept = self._load(f"{STATE}{number}") if number <= lance_version else None
            try:
                if kept is not None:
                    return number, Sketch.of_arrays(self.basis, kept[0]), int(kept[1]["gone"])
            except KeyError:
                pass  # as if it were not there
        return -1, self.empty(), 0

    def keep_state(self, lance_version: int, sketch: Sketch, gone: int) -> None:
        """Keep a state as a whole, and but a few of the others."""
        others = [n for n in self.sketches.states(self.table) if n != lance_version]
        meta = {"basis": self.basis.digest, "gone": gone}
        self.sketches.save(self.table, f"{STATE}{lance_version}", sketch.arrays(), meta)
        old = others[: 1 - STATES_KEPT]
        self.sketches.remove(self.table, [f"{STATE}{number}" for number in old])

    def _load(self, name: str) -> tuple[dict[str, NDArray[Any]], dict[str, Any]] | None:
        kept = self.sketches.load(self.table, name)
        return None if kept is None or kept[1].get("basis") != self.basis.digest else kept


def _named(prefix: str, arrays: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    return {n.removeprefix(prefix): a for n, a in arrays.items() if n.startswith(prefix)}
