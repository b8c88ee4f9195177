"""What a run costs besides its encoder, from 10,000 records on, and what 10⁹ would then take.

Texts of some 200 bytes get vectors of 384 dimensions from a seed, which takes next to nothing. Each
size is a process of its own, so that its peak memory is. Seconds are of the clock and of the
processor: on a busy machine only the second mean much. Sizes are arguments of the module:
``python -m tests.bench.scale 10000 100000``.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from flows.engines.engine import Direct

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from flows.engines.engine import Job
    from flows.output.progress import Reporter
    from flows.pipeline.encode import Receipt

SIZES = (10_000, 100_000, 1_000_000)
DIM = 384
BILLION = 1_000_000_000
CONF = """
[engine]
shard_size = {shard}

[sources.texts]
kind = "table"
path = "texts.parquet"
id = "id"
content = "text"
keep = ["label"]

[encoders.drawn]
kind = "letters"
log = "/dev/null"
dim = {dim}
batch_size = 1024

[features.texts]
source = "texts"
encoder = "drawn"
"""


@dataclass
class Stages:
    """A reporter that notes when stages begin: by the clock, and by the processor."""

    begun: list[tuple[str, float, float]] = field(default_factory=list)

    def stage(self, feature: str, name: str, total: int | None) -> None:  # noqa: ARG002 - as reporters have it
        """Note it."""
        self.begun.append((name, time.perf_counter(), time.process_time()))

    def advance(self, records: int) -> None:
        """Nothing."""

    def note(self, message: str) -> None:
        """Nothing."""


@dataclass(frozen=True)
class Measured:
    """A first run, and one with nothing changed.

    Attributes:
        wall, cpu: seconds a stage.
        again: seconds of the processor that a run takes which reads all and finds nothing changed.
        peak: bytes of memory, with all libraries.
        staging: bytes on their way as the commit begins: shards, staged vectors, and the scratch.
        vectors: bytes of the table.
    """

    records: int
    shards: int
    wall: dict[str, float]
    cpu: dict[str, float]
    again: float
    peak: int
    staging: int
    vectors: int


def main(sizes: list[int] | None = None) -> None:
    """Measure, print the table and the model, and write JSON."""
    found = []
    for size in sizes or [int(a) for a in sys.argv[1:] if a.isdigit()] or SIZES:
        with tempfile.TemporaryDirectory(prefix="vecmill-scale-") as folder:
            done = subprocess.run(  # noqa: S603 - our own interpreter
                [sys.executable, "-m", "tests.bench.scale", "one", folder, str(size)],
                stdout=subprocess.PIPE, text=True, check=True,
            )  # fmt: skip
        found.append(Measured(**json.loads(done.stdout.splitlines()[-1])))
        _show(found[-1])
    print(model(found[-1]))  # noqa: T201 - a benchmark prints
    target = Path("build/scale.json")
    target.parent.mkdir(exist_ok=True)
    target.write_text(json.dumps([asdict(one) for one in found], indent=1), encoding="utf-8")


def model(largest: Measured, records: int = BILLION) -> str:
    """What so many records would take, at the largest size's cost a record."""
    times = records / largest.records
    hours = {name: seconds * times / 3600 for name, seconds in largest.cpu.items()}
    told = ", ".join(f"{name} {hours[name]:.1f} h" for name in hours)
    return (
        f"{records:,} records: {told}, nothing changed {largest.again * times / 3600:.1f} h of one "
        f"process; {largest.staging * times / 1e12:.2f} TB on their way, "
        f"{largest.vectors * times / 1e12:.2f} TB of vectors"
    )


def measure(root: Path, records: int) -> Measured:
    """One size, in this process."""
    from flows.config.configuration import load
    from flows.pipeline import stages as pipeline
    from flows.pipeline.scope import Scope
    from tests.flows.plugins import install

    install()
    _write(root, records)
    shard = max(2048, records // 500)
    (root / "vecmill.toml").write_text(CONF.format(shard=shard, dim=DIM), encoding="utf-8")
    settings = load(root / "vecmill.toml")
    stages, engine = Stages(), _Weighed(root=root)
    pipeline.embed(settings, "texts", engine, stages)
    stages.stage("texts", "end", None)
    before = time.process_time()
    pipeline.embed(settings, "texts", Direct(), Stages(), scope=Scope(full=True))
    again = time.process_time() - before
    wall, cpu = {}, {}
    for (name, *begun), (_, *ended) in zip(stages.begun[:-1], stages.begun[1:], strict=True):
        wall[name], cpu[name] = (end - begin for begin, end in zip(begun, ended, strict=True))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    vectors = _bytes(root / "data/vectors")
    weights = engine.weights
    return Measured(
        *(records, weights["shards"], wall, cpu, again, peak, weights["staging"], vectors)
    )


@dataclass(frozen=True)
class _Weighed(Direct):
    """The direct engine, which weighs what is on its way before the commit."""

    root: Path = Path()
    weights: dict[str, int] = field(default_factory=dict)

    def step(self, name: str, function: Callable[[], None]) -> None:
        """Carry it out."""
        if name == "commit":
            self.weights["staging"] = _bytes(self.root / "data/staging")
        super().step(name, function)

    def encode(self, job: Job, shards: Sequence[Path], reporter: Reporter) -> list[Receipt]:
        """Carry it out."""
        self.weights["shards"] = len(shards)
        return super().encode(job, shards, reporter)


def _write(root: Path, records: int) -> None:
    rng = np.random.default_rng(0)
    words = np.array([f"word{n}" for n in range(1000)])
    numbers = np.arange(records)
    picked = words[rng.integers(0, len(words), (records, 27))]
    texts = [f"{number} {' '.join(row)}" for number, row in zip(numbers, picked, strict=True)]
    labels = rng.choice(["a", "b", "c"], records)
    frame = pl.DataFrame({"id": numbers, "text": texts, "label": labels})
    frame.write_parquet(root / "texts.parquet", row_group_size=100_000)


def _bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _show(one: Measured) -> None:
    stages = " · ".join(
        f"{name} {one.wall[name]:.1f} s ({one.cpu[name]:.1f} s)" for name in one.wall
    )
    print(  # noqa: T201 - a benchmark prints
        f"{one.records:>11,} records in {one.shards} shards: {stages} · "
        f"again ({one.again:.1f} s) · peak {one.peak / 2**20:,.0f} MiB · "
        f"on its way {one.staging / 1e6:,.0f} MB · vectors {one.vectors / 1e6:,.0f} MB",
        flush=True,
    )


if __name__ == "__main__":
    if sys.argv[1:2] == ["one"]:
        print(json.dumps(asdict(measure(Path(sys.argv[2]), int(sys.argv[3])))))  # noqa: T201 - as above
    else:
        main()
