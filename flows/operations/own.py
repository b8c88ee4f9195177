"""The Prefect server that is started for one's own use: it ends with the process that started it.

It would go on for ever otherwise where that is killed, and show its runs as going on.

    python -m flows.operations.own PARENT prefect server start ...
"""

from __future__ import annotations

import runpy
import sys

from flows.operations import ending


def main() -> None:
    """Be a module of Python, with its arguments, for as long as the parent lives."""
    ending.with_parent(int(sys.argv[1]))
    module, sys.argv = sys.argv[2], sys.argv[2:]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
