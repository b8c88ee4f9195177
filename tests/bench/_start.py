"""What it costs to import the package, and to ask the command line for help."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from tests.bench._arms import costs, interleaved, ratio, run
from tests.bench._targets import Measure

if TYPE_CHECKING:
    import argparse
    from pathlib import Path

_HEAVY = ("torch", "prefect", "lancedb", "sklearn")
_TELL = f"import sys; print(len({{*{_HEAVY}}} & {{*sys.modules}}))"
_STARTS = {
    "import pydantic": "import pydantic",
    "import encoders": f"import encoders, encoders.base; {_TELL}",
    "vecmill --help": f"from flows.cli import run_command; run_command(['--help']); {_TELL}",
}


def measure(data: Path, scratch: Path, asked: argparse.Namespace) -> list[Measure]:
    """CPU of a fresh interpreter, as a multiple of one that imports pydantic."""
    del data
    arms = {name: partial(run, "-c", code, scratch=scratch) for name, code in _STARTS.items()}
    found = interleaved(arms, max(asked.turns, 5))
    yardstick = found["import pydantic"]
    measures = []
    for name in list(_STARTS)[1:]:
        told = ratio(found[name], yardstick, "cpu")
        measures.append(
            Measure(f"{name}, CPU over import pydantic", told, most=5, more={"costs": costs(found)})
        )
        heavy = max(int(ran.output.split()[-1]) for ran in found[name])
        measures.append(Measure(f"{name}: of {', '.join(_HEAVY)} loads", heavy, most=0))
    return measures
