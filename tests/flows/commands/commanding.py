"""What the tests of commands share: records, a command's answer, the installed script."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROWS = [("a", "wheel", "x"), ("b", "grain", "y"), ("c", "flour", "z"), ("d", "flour", "z")]
TWO = """
[sources.gone]
kind = "table"
path = "gone.csv"
content = "text"
[features.gone]
source = "gone"
encoder = "mill"
[features.other]
source = "notes"
encoder = "mill"
max_dead = 1.0
"""


@dataclass(frozen=True)
class Answer:
    """What a command gave."""

    code: int
    out: str
    err: str

    @property
    def rows(self) -> list[dict[str, Any]]:
        """Standard output as JSON lines; fails on anything else that stands there."""

        def refuse(constant: str) -> None:
            raise ValueError(f"{constant} is not JSON")

        return [json.loads(line, parse_constant=refuse) for line in self.out.splitlines()]


def script(*arguments: str, cwd: Path, **more: Any) -> subprocess.CompletedProcess[str]:  # noqa: ANN401 - as subprocess.run
    """Run the installed console script."""
    vecmill = Path(sys.executable).with_name("vecmill")
    return subprocess.run(  # noqa: S603 - our own script
        [vecmill, *arguments], cwd=cwd, capture_output=True, text=True, check=False, **more
    )
