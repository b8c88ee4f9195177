"""Many processes on one store: forks of this interpreter, one a role.

``python -m tests.faults.many ROOT SECONDS SEED ROLE...``; each writes a file ``ROLE.json``.
"""

from __future__ import annotations

import json
import os
import sys
import time
import traceback
from pathlib import Path

import numpy as np

from tests.faults.roles import Worker
from tests.flows.plugins import installed
from tests.forks import prepare


def main(root: Path, seconds: float, seed: int, roles: list[str]) -> int:
    """Let the roles work side by side; the number of them that failed."""
    prepare()
    children = []
    for number, role in enumerate(roles):
        child = os.fork()
        if child == 0:
            _work(root, seconds, np.random.default_rng([seed, number]), number, role)
        children.append(child)
    codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
    return sum(code != 0 for code in codes)


def _work(root: Path, seconds: float, rng: np.random.Generator, number: int, role: str) -> None:
    code, error = 1, None
    try:
        with installed():
            worker = Worker(root, rng, time.monotonic() + seconds)
            worker.work(role)
        code = 0
    except BaseException:  # noqa: BLE001 - a fork must not go on as its parent
        error = traceback.format_exc()
    told = {"role": role, "done": worker.done, "late": worker.late, "error": error,
            "slowest": worker.slowest, "said": worker.reporter.said}  # fmt: skip
    (root / f"{number}-{role}.json").write_text(json.dumps(told), encoding="utf-8")
    os._exit(code)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3]), sys.argv[4:]))
