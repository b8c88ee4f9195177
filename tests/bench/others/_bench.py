"""Takes every tool through the steps in turn, checks what it holds, and tells what that cost."""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import numpy as np
from rich.console import Console
from rich.table import Table

from encoders._hub import MINILM, locate
from tests.bench._arms import Cost, Ran, ratio
from tests.bench.others import _environments, _tree
from tests.bench.others._checks import Held, held
from tests.bench.others._steps import changed, news, write

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

_ROOT = Path(__file__).parents[3]
_OURS, _SCRIPT = "vecmill", "script"
_STEPS = {
    "cold": "an empty store",
    "again": "nothing changed",
    "changed": "1 % changed",
    "unaided": "1 % changed, all records handed over, nothing looked up by hand",
}
_CHECKED = {"changed", "unaided"}
"""Steps after which a store is looked into; all but one in a hundred of its vectors are then those
of the first step."""
_QUIET = {
    "COCOINDEX_DISABLE_USAGE_TRACKING": "1",
    "DO_NOT_TRACK": "1",
    "HF_HUB_OFFLINE": "1",
    "PYTHONPATH": str(_ROOT),
    "TOKENIZERS_PARALLELISM": "false",
}


@dataclass
class Tool:
    """One of those that are measured.

    Attributes:
        name: of its module, and of the file of its versions.
        python: its interpreter.
        offers: the actions that its module has.
        version: of itself.
        ran: what its processes cost, by step.
        holds: what it held at the end of a step of the first turn.
        failed: whether a step of it did not end well.
    """

    name: str
    python: Path
    offers: frozenset[str]
    version: str
    ran: dict[str, list[Ran]] = field(default_factory=lambda: {step: [] for step in _STEPS})
    holds: dict[str, Held] = field(default_factory=dict)
    failed: bool = False

    def action(self, step: str) -> str | None:
        """What its module is asked for in a step; None where the step is not for it."""
        aided = "changes" in self.offers
        if step == "unaided":
            return "whole" if aided else None
        if step == "again" and self.name == _SCRIPT:
            return None
        return "changes" if aided and step != "cold" else "whole"


@dataclass
class Bench:
    """The whole of it.

    Attributes:
        scratch: a folder for all files.
        environment: of every process.
        texts: by step, what the source holds then.
        reference: the model's vectors by text, as the script has made them.
    """

    scratch: Path
    environment: dict[str, str]
    texts: dict[str, dict[str, str]]
    reference: dict[str, NDArray[np.float32]] = field(default_factory=dict)

    def turn(
        self, number: int, tools: Sequence[Tool], steps: Sequence[str], note: Callable[[], None]
    ) -> None:
        """Take all tools through the steps, from an empty store each; ``note`` after each step."""
        for tool in tools:
            (self.scratch / f"{number}/{tool.name}").mkdir(parents=True)
            if "prepare" in tool.offers:
                self.call(number, tool, "prepare")
        try:
            for step in steps:
                write(self.records, self.texts[step])
                for tool in tools:
                    self.measure(number, tool, step)
                note()
        finally:
            for tool in tools:
                if "close" in tool.offers:
                    self.call(number, tool, "close")

    def warm(self, tools: Sequence[Tool]) -> None:
        """Take all through a few records, unmeasured, so that what they import is compiled."""
        few = dict([*self.texts["cold"].items()][:40])
        trial = Bench(self.scratch / "warm", self.environment, {"cold": few})
        trial.scratch.mkdir()
        trial.turn(0, tools, ["cold"], lambda: None)
        for tool in tools:
            tool.ran = {step: [] for step in _STEPS}

    def measure(self, number: int, tool: Tool, step: str) -> None:
        """One step of one tool; one that fails is told, and takes no part in later turns."""
        action = tool.action(step)
        if action is None or tool.failed:
            return
        try:
            ran = self.call(number, tool, action)
            _tell(f"turn {number}, {step}, {tool.name}: {ran.wall:.1f} s, {ran.cpu:.1f} s of CPU, "
                  f"{ran.peak_mib:,.0f} MiB")  # fmt: skip
            if number == 1 and (step in _CHECKED or tool.name == _SCRIPT):
                tool.holds[step] = self.check(number, tool, step)
                _tell(f"  {tool.holds[step]}")
        except _tree.FailedError as error:
            tool.failed = True
            _tell(f"{tool.name} failed, {step}: {error}")
        else:
            tool.ran[step].append(ran)

    def check(self, number: int, tool: Tool, step: str) -> Held:
        """What a tool holds."""
        dump = self.scratch / "dump.npz"
        self.call(number, tool, "dump", "--output", str(dump))
        if tool.name == _SCRIPT:
            with np.load(dump) as saved:
                self.reference |= dict(zip(saved["texts"].tolist(), saved["vectors"], strict=True))
        return held(dump, self.texts[step], self.reference)

    def call(self, number: int, tool: Tool, action: str, *more: str) -> Ran:
        """Ask a tool's module for something."""
        store = self.scratch / str(number) / tool.name
        words = [str(tool.python), "-m", f"tests.bench.others.with_{tool.name}", action,
                 "--records", str(self.records), "--store", str(store),
                 "--model", str(locate(MINILM, None)), *more]  # fmt: skip
        return _tree.run(words, self.environment, self.scratch)

    @property
    def records(self) -> Path:
        """The source."""
        return self.scratch / "news.csv"


def main(words: Sequence[str]) -> int:
    """Measure; 1 where Vecmill holds not what it should."""
    asked = _parser().parse_args(words)
    data = os.environ.get("VECMILL_TEST_DATA")
    if not data:
        sys.exit("VECMILL_TEST_DATA is not set; expected the folder of the test data")
    _tree.adopt_orphans()
    environment = _environment(asked.threads, asked.cache)
    with tempfile.TemporaryDirectory(prefix="vecmill-others-") as folder:
        before, spare = news(Path(data), asked.records)
        after = changed(before, spare)
        texts = {"cold": before, "again": before, "changed": after, "unaided": before}
        bench = Bench(Path(folder), environment, texts)
        tools = _tools(asked.tools or [*_environments.pinned()], asked.cache, bench)
        _tell("warming up")
        bench.warm(tools)
        for number in range(1, asked.turns + 1):
            steps = [step for step in _STEPS if number == 1 or step != "unaided"]
            bench.turn(number, tools, steps, partial(_keep, tools, asked))
    console = Console(width=120)
    for step in _STEPS:
        console.print(_table(step, tools))
    ours = tools[1].holds
    return 0 if all(ours[step].right for step in ours) else 1


def _tools(names: Sequence[str], cache: Path, bench: Bench) -> list[Tool]:
    """The script and Vecmill first, then those whose environment can be made."""
    from importlib.metadata import version

    whole = frozenset({"whole"})
    here = Path(sys.executable)
    known = [Tool(_SCRIPT, here, whole, version("sentence-transformers")),
             Tool(_OURS, here, whole, version("vecmill"))]  # fmt: skip
    for name in names:
        try:
            found = _environments.python(name, cache)
            words = [str(found), "-m", f"tests.bench.others.with_{name}", "offers"]
            offers = _tree.run(words, bench.environment, bench.scratch).output.split()
        except (_environments.MissingError, _tree.FailedError) as error:
            _tell(f"{name} is left out: {error}")
            continue
        pins = _environments.versions(_environments.pinned()[name])
        known.append(Tool(name, found, frozenset(offers), pins[name]))
    return known


def _table(step: str, tools: Sequence[Tool]) -> Table:
    """What a step cost each tool, and that as a multiple of Vecmill's."""
    table = Table("tool", "CPU s", "over Vecmill's", "wall s", "over", "peak MiB", "over", "holds",
                  title=f"{step}: {_STEPS[step]}")  # fmt: skip
    for tool in tools:
        if not tool.ran[step]:
            continue
        cells = []
        for cost in get_args(Cost):
            cells += [_figure(tool.ran[step], cost), _over(tool, tools[1], step, cost)]
        cpu, wall = cells[2:4], cells[0:2]
        found = tool.holds.get(step)
        table.add_row(f"{tool.name} {tool.version}", *cpu, *wall, *cells[4:], str(found or ""))
    return table


def _figure(rans: Sequence[Ran], cost: Cost) -> str:
    return f"{np.median([getattr(ran, cost) for ran in rans]):,.1f}"


def _over(tool: Tool, ours: Tool, step: str, cost: Cost) -> str:
    """The ratio of the same turn; Vecmill's own last step is held against that with 1 % changed."""
    under = ours.ran[step] or ours.ran["changed"]
    turns = min(len(tool.ran[step]), len(under))
    return str(ratio(tool.ran[step][:turns], under[:turns], cost)) if turns else ""


def _keep(tools: Sequence[Tool], asked: argparse.Namespace) -> None:
    """All that is known so far, to the file that was asked for."""
    if asked.json is not None:
        asked.json.write_text(json.dumps(_plain(tools, asked), indent=1) + "\n", encoding="utf-8")


def _plain(tools: Sequence[Tool], asked: argparse.Namespace) -> dict[str, Any]:
    """All of it, for JSON."""
    rows: list[Mapping[str, Any]] = [
        {
            "tool": tool.name,
            "version": tool.version,
            "step": step,
            "runs": [{"wall": ran.wall, "cpu": ran.cpu, "peak_mib": ran.peak_mib} for ran in rans],
            "holds": vars(tool.holds[step]) if step in tool.holds else None,
        }
        for tool in tools
        for step, rans in tool.ran.items()
        if rans
    ]
    return {"records": asked.records, "threads": asked.threads, "rows": rows}


def _environment(threads: int, cache: Path) -> dict[str, str]:
    """What all processes are given; bytecode is kept, as it is where one installs with pip."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    bytecode = {"PYTHONPYCACHEPREFIX": str(cache / "bytecode")}
    return {**kept, **_QUIET, **bytecode, "OMP_NUM_THREADS": str(threads)}


def _tell(message: str) -> None:
    sys.stderr.write(f"{message}\n")
    sys.stderr.flush()


def _parser() -> argparse.ArgumentParser:
    known = [*_environments.pinned()]
    parser = argparse.ArgumentParser(prog="others")
    parser.add_argument("tools", nargs="*", choices=[*known, []], help="all where none is named")
    parser.add_argument("--turns", type=int, default=3, help="how often each step is run")
    parser.add_argument("--records", type=int, default=2000, help="news items to keep")
    parser.add_argument("--threads", type=int, default=1, help="that each tool may compute with")
    parser.add_argument("--cache", type=Path, default=_environments.default_cache(),
                        help="a folder for the tools' environments")  # fmt: skip
    parser.add_argument("--json", type=Path, help="a file for the figures")
    return parser
