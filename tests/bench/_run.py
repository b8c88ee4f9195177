"""One run of a feature through the pipeline, which tells what each of its steps took.

``python -m tests.bench._run CONF FEATURE [--full]`` prints a JSON object: the run's outcome, and
the seconds of wall time and of CPU of each step. The benchmarks' own encoders are known to it.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import encoders
from encoders import registry
from flows.config.configuration import load
from flows.engines.engine import Direct
from flows.output.progress import Silent
from flows.pipeline import stages as pipeline
from flows.pipeline.scope import Scope

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from flows.engines.engine import Job
    from flows.output.progress import Reporter
    from flows.pipeline.encode import Receipt


@dataclass(frozen=True)
class Timed(Direct):
    """Carries out the steps in this process, and holds what each took.

    Attributes:
        took: by step, seconds of wall time and of CPU.
    """

    took: dict[str, dict[str, float]] = field(default_factory=dict)

    def step(self, name: str, function: Callable[[], None]) -> None:
        """Call the function."""
        begun = _now()
        super().step(name, function)
        self._note(name, begun)

    def encode(self, job: Job, shards: Sequence[Path], reporter: Reporter) -> list[Receipt]:
        """Encode the shards in turn."""
        begun = _now()
        found = super().encode(job, shards, reporter)
        self._note("encode", begun)
        return found

    def _note(self, name: str, begun: tuple[float, float]) -> None:
        wall, cpu = (end - start for end, start in zip(_now(), begun, strict=True))
        self.took[name] = {"wall": wall, "cpu": cpu}


def _now() -> tuple[float, float]:
    return time.perf_counter(), time.process_time()


def main(words: Sequence[str]) -> None:
    """Run the feature and print what it took."""
    parser = argparse.ArgumentParser(prog="_run")
    parser.add_argument("conf", type=Path)
    parser.add_argument("feature")
    parser.add_argument(
        "--full", action="store_true", help="read a source that says it is the same"
    )
    asked = parser.parse_args(words)
    encoders.__path__ = [*encoders.__path__, str(Path(__file__).parent / "_plugins")]
    registry.kinds.cache_clear()
    engine = Timed()
    scope = Scope(full=asked.full)
    outcome = pipeline.embed(load(asked.conf), asked.feature, engine, Silent(), scope=scope)
    told: dict[str, Any] = {"outcome": outcome.row(), "steps": engine.took}
    sys.stdout.write(json.dumps(told, default=str) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
