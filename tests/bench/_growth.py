"""What runs cost as a store grows: synthetic rows, published by the real pipeline.

The encoder costs nothing (`tests.bench._plugins.hashed`), so that what is seen is all that lies
around it. Vectors are as wide as MiniLM's.
"""

from __future__ import annotations

import json
import statistics
from functools import partial
from typing import TYPE_CHECKING, Any

from tests.bench._arms import Cost, Ran, interleaved, ratios, run
from tests.bench._targets import Measure

if TYPE_CHECKING:
    import argparse
    from pathlib import Path

CONF = """
[sources.rows]
kind = "table"
path = "rows.parquet"
id = "id"
content = "text"
keep = ["label"]

[encoders.hashed]
kind = "hashed"

[features.rows]
source = "rows"
encoder = "hashed"
"""
_WRITE = """
import sys, polars as pl
target, rows, changed = sys.argv[1], int(sys.argv[2]), sys.argv[3] == "changed"
number = pl.int_range(rows).alias("n")
other = pl.when(pl.col("n") % 100 == 50).then(pl.lit(" changed")).otherwise(pl.lit(""))
words = "the record of number {} says that the mill has ground {} sacks of grain since morning{}"
pl.select(number).select(
    id=pl.format("r{}", "n"),
    text=pl.format(words, "n", pl.col("n") * 7919 % 1000, other if changed else pl.lit("")),
    label=pl.format("label {}", pl.col("n") % 10),
).write_parquet(target)
"""
_SMALL = 100
"""Rows of the store that says what starting up costs."""


def measure(data: Path, scratch: Path, asked: argparse.Namespace) -> list[Measure]:
    """Cold, nothing changed, read in full with nothing changed, 1 % changed; each at every size."""
    del data
    sizes = [_SMALL, *asked.rows]
    projects = {size: _project(scratch / str(size), size) for size in sizes}
    cold = {size: _run(scratch, conf) for size, conf in projects.items()}
    for size in sizes:
        assert _outcome(cold[size])["encoded"] == size
    same = interleaved(
        {str(s): partial(_run, scratch, c) for s, c in projects.items()}, asked.turns
    )
    full = interleaved(
        {str(s): partial(_run, scratch, c, "--full") for s, c in projects.items()}, asked.turns
    )
    for rans in [*same.values(), *full.values()]:
        assert {_outcome(ran)["encoded"] for ran in rans} == {0}
    changed = {size: _changed(scratch, conf, size) for size, conf in projects.items()}
    most, before = asked.rows[-1], asked.rows[-2] if len(asked.rows) > 1 else _SMALL
    measures = []
    for size in asked.rows:
        for name, turns in (("nothing changed", same), ("nothing changed, --full", full)):
            over, cpu = (_beyond(turns[str(size)], turns[str(_SMALL)], c) for c in ("wall", "cpu"))
            peak = max(ran.peak_mib for ran in turns[str(size)])
            measures.append(
                Measure(
                    f"{size:,} rows, {name}: beyond start-up", over, "s",
                    most=15 if size == most else None, more={"cpu": cpu, "peak_mib": round(peak)},
                )
            )  # fmt: skip
        measures.append(_commit(size, cold[size]))
        measures.append(
            Measure(f"{size:,} rows, 1 % changed: whole process", changed[size].cpu, "s of CPU")
        )
        for name, turns in (("read in full", full), ("not read", same)):
            # Next to nothing here: all that a real encoder takes makes the ratio smaller.
            encoding = _step(changed[size], "encode", "cpu")
            sum_ = statistics.median(ran.cpu for ran in turns[str(size)]) + encoding
            title = f"{size:,} rows, 1 % changed over nothing changed, {name}, and encoding it"
            target = 1.5 if turns is full else None
            measures.append(Measure(title, ratios([changed[size].cpu], [sum_]), most=target))
    whole = {size: full[str(size)][0] for size in sizes}
    for name, once in (("cold", cold), ("--full", whole), ("1 % changed", changed)):
        grown = ratios([once[most].peak_mib], [once[before].peak_mib])
        measures.append(
            Measure(f"peak memory, {name}, {most:,} over {before:,} rows", grown, most=1.2)
        )
    a_row = [_step(cold[size], "commit", "cpu") / size for size in (most, asked.rows[0])]
    told = ratios(a_row[:1], a_row[1:])
    return [*measures, Measure("commit, CPU a row, most rows over fewest", told, most=1.2)]


def _project(folder: Path, rows: int) -> Path:
    (folder / "conf").mkdir(parents=True)
    conf = folder / "conf/base.toml"
    conf.write_text(CONF)
    _write(folder, rows, "as it was")
    return conf


def _write(folder: Path, rows: int, how: str) -> None:
    run("-c", _WRITE, folder / "rows.parquet", rows, how, scratch=folder)


def _run(scratch: Path, conf: Path, *more: str) -> Ran:
    return run("-m", "tests.bench._run", conf, "rows", *more, scratch=scratch)


def _changed(scratch: Path, conf: Path, rows: int) -> Ran:
    _write(conf.parent.parent, rows, "changed")
    ran = _run(scratch, conf)
    assert _outcome(ran)["encoded"] == rows // 100
    return ran


def _outcome(ran: Ran) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(ran.output)["outcome"]
    return found


def _step(ran: Ran, step: str, cost: str) -> float:
    return float(json.loads(ran.output)["steps"][step][cost])


def _commit(size: int, ran: Ran) -> Measure:
    steps = json.loads(ran.output)["steps"]
    a_row = _step(ran, "commit", "cpu") / size * 1e6
    return Measure(
        f"{size:,} rows, cold: CPU of the commit a row", a_row, "µs", more={"steps": steps}
    )


def _beyond(rans: list[Ran], small: list[Ran], cost: Cost) -> float:
    """Seconds that so many rows take beyond starting up; the median of the turns."""
    beyond: list[float] = [
        getattr(one, cost) - getattr(other, cost) for one, other in zip(rans, small, strict=True)
    ]
    return statistics.median(beyond)
