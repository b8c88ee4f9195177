"""Projects at the eve of something, the command that does it, and what holds once it is done."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from tests.flows.plugins import installed
from tests.flows.project import Project

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from tests.faults.trials import Trials

Rows: TypeAlias = "Sequence[tuple[object, ...]]"
Step: TypeAlias = tuple[Rows, tuple[str, ...], int]
"""The source's rows, a command, and the revision of the encoder."""

RUN = ("run", "--direct")
BEFORE: Rows = tuple((n, f"text {n}", "x") for n in range(30))
AFTER: Rows = (
    *((n, f"text {n}", "x") for n in range(6)),
    *((n, f"text {n}", "updated") for n in range(6, 9)),
    *((n, f"changed {n}", "x") for n in range(9, 18)),
    *((n, f"new {n % 15}", "x") for n in range(100, 125)),
    (200, "FAIL", "x"),
    (201, "text 29", "x"),
)
LATER: Rows = (*AFTER[:20], *((n, f"later {n}", "x") for n in range(300, 320)))


@dataclass(frozen=True)
class Scene:
    """Something that is done to a store.

    Attributes:
        steps: commands that lead up to it, with the rows that the source then has.
        argv: what is done.
        rows: the source's rows when it is done.
        again: what makes it good if it was broken off; None where it may be given up instead.
        revision: of the encoder, where it is done.
        monitors: of the feature.
        whole: whether readers see all of it at once.
        more: of the configuration. By itself no drift is ever found: chance is drawn by the run,
            and whether it raises an alarm over thirty texts must not decide how a command ends.
    """

    name: str
    steps: Sequence[Step]
    argv: tuple[str, ...] = RUN
    rows: Rows = AFTER
    again: tuple[str, ...] | None = RUN
    revision: int = 1
    monitors: tuple[str, ...] = ("health", "drift")
    whole: bool = True
    more: str = "[monitors.drift]\nalpha = 1e-9\n"

    def build(self, trials: Trials, root: Path) -> Path:
        """Make the project in a folder, up to what is done."""
        root.mkdir()
        with installed():
            for rows, argv, revision in self.steps:
                self._write(root, rows, revision)
                ended = trials.run(root, *argv)
                assert ended.code in {0, 3}, ended.err
            self._write(root, self.rows, self.revision)
        (root / "encoded.jsonl").unlink(missing_ok=True)
        return root

    def _write(self, root: Path, rows: Rows, revision: int) -> None:
        project = Project(
            root,
            encoder={"revision": revision},
            feature={"monitors": list(self.monitors)},
            more=self.more,
        )
        project.write(rows)
        project.settings()


_GC = ("gc", "--yes", "--keep-runs", "1", "--keep-days", "0", "--grace-hours", "0",
       "--drop-retired-after-days", "0")  # fmt: skip
_TWO = ((BEFORE, RUN, 1), (BEFORE, RUN, 2))
_PROMOTE = ("promote", "notes", "2", "--force", "--reason", "a try")
_SEVERAL = (
    (BEFORE, RUN, 1),
    (AFTER, RUN, 1),
    (LATER, RUN, 1),
    (LATER, RUN, 2),
)

SCENES = {
    scene.name: scene
    for scene in (
        Scene("first", ()),
        Scene("next", ((BEFORE, RUN, 1),)),
        Scene("checked", ((BEFORE, RUN, 1),), monitors=("health", "records"),
              # Of so few records a test of their lengths is sure in some runs and in others not.
              more='[monitors.health]\nblocks = "publishing"\n'
              "[monitors.records]\nmin_contents = 1000\n"),
        Scene("version", ((BEFORE, RUN, 1),), revision=2),
        Scene("monitor", ((BEFORE, RUN, 1), (AFTER, RUN, 1)),
              ("monitor", "notes", "--direct"), again=("monitor", "notes", "--direct")),
        Scene("gc", (*_SEVERAL, (LATER, _PROMOTE, 2)), _GC, LATER, _GC, 2),
        Scene("promote", _TWO, _PROMOTE, BEFORE, _PROMOTE, 2),
        Scene("rollback", (*_TWO, (BEFORE, _PROMOTE, 2)), ("rollback", "notes"),
              BEFORE, None, 2),
        Scene("erase", _SEVERAL, ("erase", "notes", "--id", "3", "--id", "12", "--yes"),
              LATER, ("erase", "notes", "--id", "3", "--id", "12", "--yes"), 2, whole=False),
        Scene("export", ((BEFORE, RUN, 1),),
              ("export", "notes", "--output", "data/out.parquet"), AFTER,
              ("export", "notes", "--output", "data/out.parquet")),
    )
}  # fmt: skip


def instants(changes: int, number: int, seed: int) -> Iterator[int]:
    """So many of the changes from 1, evenly spread over them, drawn by a seed."""
    import numpy as np

    number = min(number, changes)
    edges = np.linspace(0, changes, number + 1)
    drawn = np.random.default_rng(seed).uniform(edges[:-1], edges[1:])
    yield from (int(value) + 1 for value in drawn)
