"""Other Python processes, for what must hold between processes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]


def python(code: str, *arguments: object) -> subprocess.Popen[str]:
    """Start this interpreter on some code, at the root of the project; talk to it by its pipes."""
    return subprocess.Popen(  # noqa: S603 - our own interpreter and our own code
        [sys.executable, "-c", code, *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )


@dataclass(frozen=True)
class Said:
    """How a process ended, -9 where it was killed, and what it said."""

    code: int
    out: str
    err: str


class Forking:
    """An interpreter that forks itself for each request, see `tests.forks`.

    Args:
        folder: where what the forks say is kept.
        module: what serves the requests.
        environment: variables laid over this process's.
    """

    def __init__(self, folder: Path, module: str = "tests.forks", **environment: str) -> None:
        self._folder, self._number = folder, 0
        self._server = subprocess.Popen(  # noqa: S603 - our own interpreter and our own code
            [sys.executable, "-m", module],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env={**os.environ, **environment},
        )
        self._answer()

    def run(self, code: str, *arguments: object) -> Said:
        """Run some code to its end in a fork, as `python` does in a process that begins anew."""
        arguments = tuple(map(str, arguments))
        return self.ask(code=code, arguments=arguments, environment=dict(os.environ))

    def ask(self, **request: object) -> Said:
        """Have a request carried out in a fork."""
        self._number += 1
        out, err = (self._folder / f"{self._number:05d}.{end}" for end in ("out", "err"))
        assert self._server.stdin is not None
        text = json.dumps({**request, "out": str(out), "err": str(err)})
        self._server.stdin.write(f"{text}\n")
        self._server.stdin.flush()
        code = self._answer()["code"]
        return Said(code, out.read_text("utf-8"), err.read_text("utf-8"))

    def close(self) -> None:
        """End the interpreter."""
        self._server.communicate()

    def _answer(self) -> dict[str, Any]:
        assert self._server.stdout is not None
        line = self._server.stdout.readline()
        assert line, "the interpreter that forks has ended"
        answer: dict[str, Any] = json.loads(line)
        return answer
