"""Whole runs beside what one would write by hand, and what they cost as stores grow.

``python -m tests.bench.end_to_end [part …] [--turns N] [--json FILE] [--keep]``; the parts are

- ``start``: ``import encoders`` and ``vecmill --help`` beside a bare ``import pydantic``;
- ``text``: a cold run over AG News, from CSV to published vectors, beside a script that calls
  ``SentenceTransformer.encode`` with the same weights and saves an array;
- ``images``: a cold run over image files beside a script that opens, transforms and encodes them,
  a batch at a time;
- ``asking``: an exact search and a filtered count of 100,000 rows beside the same by Lance itself;
- ``growth``: synthetic stores of 10⁴ to 10⁶ rows, published by the real pipeline with an encoder
  that costs nothing: rows with nothing changed and with 1 % changed, memory, cost of a commit.

Each arm is a process of its own and pays for its start-up, its imports and its model; arms take
turns. A ratio is the median of the turns, with the least and the most beside it. What is kept lies
in ``tests/bench/results`` and makes the table in the README; `make bench` keeps all parts.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from tests.bench import _asking, _growth, _kept, _photographs, _start, _texts

if TYPE_CHECKING:
    from collections.abc import Sequence

PARTS = {
    "start": _start.measure,
    "text": _texts.measure,
    "images": _photographs.measure,
    "asking": _asking.measure,
    "growth": _growth.measure,
}


def main(words: Sequence[str] = ("--keep",)) -> int:
    """Print a table; 1 where a target is missed."""
    asked = _parser().parse_args(words)
    parts = asked.parts or [*PARTS]
    folder = os.environ.get("VECMILL_TEST_DATA")
    if not folder and {"text", "images"} & {*parts}:
        sys.exit("VECMILL_TEST_DATA is not set; expected the folder of the test data")
    data = Path(folder or ".").resolve()
    table = Table("measured", "ratio or figure", "target", "")
    found = []
    for part in parts:
        sys.stderr.write(f"{part}\n")
        with tempfile.TemporaryDirectory(prefix="vecmill-bench-") as scratch:
            measured = PARTS[part](data, Path(scratch), asked)
        if asked.keep:
            _kept.keep(part, measured, f"{part} --turns {asked.turns}")
        for measure in measured:
            table.add_row(*measure.row())
            found.append({"part": part, **measure.plain()})
    Console(width=120).print(table)
    if asked.keep:
        _kept.put()
    if asked.json is not None:
        asked.json.write_text(json.dumps(found, indent=1, ensure_ascii=False), encoding="utf-8")
    return 1 if any(each["met"] is False for each in found) else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="end_to_end")
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], help="all where none is named")
    parser.add_argument("--turns", type=int, default=3, help="how often each arm is run")
    parser.add_argument("--records", type=int, default=2000, help="news items to encode")
    parser.add_argument("--images", type=int, default=500, help="image files to encode")
    parser.add_argument("--network", default="resnet18", help="of torchvision, random weights")
    parser.add_argument("--files", default="cifar10", choices=("cifar10", "imagenet_sample"))
    parser.add_argument("--rows", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument(
        "--keep", action="store_true", help="keep the figures, and put them into the README"
    )
    parser.add_argument("--json", type=Path, help="a file for the figures")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
