"""Processes that are measured side by side: what each costs, and the ratios between them.

On a machine that others use as well, seconds say little; the ratio of two processes that ran one
after the other says more, and that of their CPU seconds most.
"""

from __future__ import annotations

import os
import statistics
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

Cost = Literal["wall", "cpu", "peak_mib"]
_ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Ran:
    """A process that has ended well.

    Attributes:
        wall, cpu: seconds, start-up and all; CPU of all its threads, user and system.
        peak_mib: the most memory that it held.
        output: what it wrote to standard output.
    """

    wall: float
    cpu: float
    peak_mib: float
    output: str


@dataclass(frozen=True)
class Ratio:
    """How two arms stand to each other over all turns.

    Attributes:
        median, least, most: of the ratios of each turn.
        turns: how many there were.
    """

    median: float
    least: float
    most: float
    turns: int

    def __str__(self) -> str:
        """For a table."""
        return f"{self.median:.2f} ({self.least:.2f} to {self.most:.2f})"

    def plain(self) -> dict[str, float]:
        """For JSON."""
        return {key: round(value, 4) for key, value in vars(self).items()}


def run(*words: object, scratch: Path) -> Ran:
    """Run this interpreter with some arguments from the root of the project.

    The child's peak counts from what this process has held: keep heavy libraries out of it.
    """
    command = [sys.executable, *map(str, words)]
    output = scratch / "output.txt"
    opened = (os.POSIX_SPAWN_OPEN, 1, str(output), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    # Compiled, as what pip installs is: sentence-transformers takes twice as long to import else.
    kept = {name: each for name, each in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    environment = {**kept, "PYTHONPATH": str(_ROOT), "TOKENIZERS_PARALLELISM": "false"}
    started = time.perf_counter()
    child = os.posix_spawn(sys.executable, command, environment, file_actions=[opened])
    _, status, usage = os.wait4(child, 0)
    wall = time.perf_counter() - started
    if status:
        sys.exit(f"a process of the benchmark failed: {' '.join(command)}")
    cpu = usage.ru_utime + usage.ru_stime
    return Ran(wall, cpu, usage.ru_maxrss / 1024, output.read_text("utf-8"))


def interleaved(arms: Mapping[str, Callable[[], Ran]], turns: int) -> dict[str, list[Ran]]:
    """Run all arms in turn, so many times; what slows the machine then slows all of them."""
    found: dict[str, list[Ran]] = {name: [] for name in arms}
    for turn in range(turns):
        for name, arm in arms.items():
            ran = arm()
            found[name].append(ran)
            told = f"turn {turn + 1}, {name}: {ran.wall:.1f} s, {ran.cpu:.1f} s of CPU"
            sys.stderr.write(f"  {told}, {ran.peak_mib:,.0f} MiB\n")
    return found


def ratio(over: Sequence[Ran], under: Sequence[Ran], cost: Cost) -> Ratio:
    """What one arm costs as a multiple of another, turn by turn."""
    return ratios([getattr(ran, cost) for ran in over], [getattr(ran, cost) for ran in under])


def ratios(over: Sequence[float], under: Sequence[float]) -> Ratio:
    """The same of any figures that belong together."""
    found = [one / other for one, other in zip(over, under, strict=True)]
    return Ratio(statistics.median(found), min(found), max(found), len(found))


def costs(found: Mapping[str, Sequence[Ran]]) -> dict[str, Any]:
    """The median cost of each arm, for JSON."""
    return {
        name: {
            cost: round(statistics.median(getattr(ran, cost) for ran in rans), 3)
            for cost in ("wall", "cpu", "peak_mib")
        }
        for name, rans in found.items()
    }
