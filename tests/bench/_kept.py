"""What benchmarks measured, kept as JSON, and the table of it that the README shows."""

from __future__ import annotations

import json
import os
import platform
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.bench._targets import Measure

RESULTS = Path(__file__).with_name("results")
README = Path(__file__).parents[2] / "README.md"
BEGIN = "<!-- made by `make bench` of tests/bench/results -->"
END = "<!-- end of what `make bench` makes -->"


@dataclass(frozen=True)
class Headline:
    """A row of the README's table.

    Attributes:
        what: in words.
        part: of `tests.bench.end_to_end` that measures it.
        measure: its name there.
        baseline: what it is a multiple of.
    """

    what: str
    part: str
    measure: str
    baseline: str


_SAID = (
    "What it costs beside the plain way to do the same, as a ratio (median, least to most of the "
    "turns), by `make bench`:"
)
_SAME = "over a bare loop of the same batch: rate by"
_TEXTS = tuple(
    Headline(
        f"texts of a cold run, {dtype}, by the {how}", "text", f"text, {dtype}, {_SAME} {by}",
        f"rate of `SentenceTransformer.encode`, {dtype}",
    )
    for dtype in ("float32", "bfloat16")
    for how, by in (("clock", "wall"), ("processor", "cpu"))
)  # fmt: skip
HEADLINES = (
    *_TEXTS,
    Headline(
        "images of a cold run, by the clock", "images", "images, cifar10, resnet18: rate by wall",
        "rate of a loop by hand in one process",
    ),
    Headline(
        "images of a cold run, by the processor", "images",
        "images, cifar10, resnet18: rate by cpu", "rate of a loop by hand in one process",
    ),
    Headline(
        "nothing changed, 1,000,000 rows", "growth",
        "1,000,000 rows, nothing changed: beyond start-up", "time of 100 rows",
    ),
    Headline(
        "exact search, 100,000 rows", "asking", "exact search: time over Lance's own",
        "time of the same by Lance",
    ),
    Headline(
        "filter and count in SQL, 100,000 rows", "asking",
        "filter and count: time over Lance's own",
        "time of `count_rows` by Lance",
    ),
    Headline(
        "`vecmill --help`", "start", "vecmill --help, CPU over import pydantic",
        "processor time of `import pydantic`",
    ),
)  # fmt: skip


def keep(part: str, measures: Sequence[Measure], how: str, folder: Path = RESULTS) -> None:
    """Write what a part measured, with when, how and on what machine."""
    folder.mkdir(exist_ok=True)
    told = {
        "taken": f"{datetime.now(UTC):%Y-%m-%d}",
        "how": how,
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "python": platform.python_version(),
        "measures": [measure.plain() for measure in measures],
    }
    text = json.dumps(told, indent=1, ensure_ascii=False)
    (folder / f"{part}.json").write_text(f"{text}\n", encoding="utf-8")


def rendered(folder: Path = RESULTS) -> str:
    """The table of what is kept, in Markdown; rows whose part was not kept are left out."""
    lines = [_SAID, "", "| what | found | beside | target | |", "|---|---|---|---|---|"]
    for line in HEADLINES:
        file = folder / f"{line.part}.json"
        kept = json.loads(file.read_text("utf-8")) if file.is_file() else {"measures": []}
        found = {each["name"]: each for each in kept["measures"]}.get(line.measure)
        if found is not None:
            cells = [line.what, _figure(found), line.baseline, _target(found), _met(found)]
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def put(readme: Path = README, folder: Path = RESULTS) -> None:
    """Put the table into the README, between its two marks."""
    text = readme.read_text(encoding="utf-8")
    before, rest = text.split(BEGIN)
    after = rest.split(END)[1]
    whole = f"{before}{BEGIN}\n{rendered(folder)}\n{END}{after}"
    readme.write_text(whole, encoding="utf-8")


def _figure(found: dict[str, Any]) -> str:
    value = found["value"]
    if not isinstance(value, dict):
        return f"{value:,.3g} {found['unit']}".strip()
    turns = int(value["turns"])
    if turns == 1:
        return f"{value['median']:.2f}, once"
    return f"{value['median']:.2f} ({value['least']:.2f} to {value['most']:.2f}), {turns} times"


def _target(found: dict[str, Any]) -> str:
    least, most = found["least"], found["most"]
    return (
        f"≥ {least:g}" if least is not None else f"≤ {most:g}" if most is not None else "none set"
    )


def _met(found: dict[str, Any]) -> str:
    return {None: "", True: "met", False: "missed"}[found["met"]]
