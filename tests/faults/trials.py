"""Commands in processes of their own that are struck at a chosen change to a file."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, Any

from tests.processes import Forking, Said

if TYPE_CHECKING:
    from pathlib import Path


class Mode(IntEnum):
    """What happens at the chosen change; the numbers are those of ``shim.c``."""

    COUNT = 0
    """Nothing: changes are counted."""
    KILL = 1
    """The process is killed just before it."""
    TEAR = 2
    """Of the first write from there on a half is written, and the process is killed."""
    FULL = 3
    """From there on the disk is full."""
    READ_ONLY = 4
    """From there on nothing can be written, made, moved or removed."""


@dataclass(frozen=True)
class Ended(Said):
    """How a command ended.

    Attributes:
        seen: how many changes it made, where it lived to tell.
    """

    seen: int | None

    @property
    def killed(self) -> bool:
        """Whether it was killed."""
        return self.code == -9


class Trials:
    """Runs commands over projects, in forks of one interpreter.

    Args:
        shim: ``shim.c``, compiled.
        folder: where what the commands say is kept.
    """

    def __init__(self, shim: Path, folder: Path) -> None:
        self._folder = folder
        self._number = 0
        self._forking = Forking(folder, "tests.faults.actions", LD_PRELOAD=str(shim))

    def run(
        self,
        root: Path,
        *argv: str,
        mode: Mode | None = None,
        at: int = 1,
        folder: str = "data",
        log: bool = False,
    ) -> Ended:
        """Run one command (``vecmill`` left out) over the project in a folder.

        Args:
            root: the folder of the project.
            argv: the command, or ``look`` for what is there.
            mode: what strikes; None for nothing.
            at: at which change to a file, from 1.
            folder: changes in this folder of the project count.
            log: name the changes in a file ``.log`` beside what the command said.
        """
        self._number += 1
        told = self._folder / f"trial-{self._number:05d}"
        said = self._forking.ask(
            root=str(root), argv=list(argv), mode=-1 if mode is None else int(mode),
            at=at, folder=folder, told=str(told), log=log, seconds=300,
        )  # fmt: skip
        seen = told.with_suffix(".seen")
        return Ended(**vars(said), seen=int(seen.read_text("utf-8")) if seen.exists() else None)

    def look(self, root: Path) -> dict[str, Any]:
        """What is there, as `tests.faults.observed.observe` has it."""
        ended = self.run(root, "look")
        assert ended.code == 0, ended.err
        found: dict[str, Any] = json.loads(ended.out)
        return found

    def copy(self, root: Path, name: str) -> Path:
        """A copy of a project at the same place in its own folder, with its configuration."""
        target = self._folder / name
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(root, target)
        conf = target / "vecmill.toml"
        conf.write_text(conf.read_text("utf-8").replace(str(root), str(target)), encoding="utf-8")
        return target

    def close(self) -> None:
        """End the interpreter."""
        self._forking.close()
