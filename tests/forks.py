"""An interpreter that forks itself for each piece of code, so that none pays for the imports.

It has imported what a run needs and opened nothing yet, so a fork begins as a fresh process does,
only without the seconds that imports take.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
import warnings
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

MODULES = (
    "flows.pipeline.stages", "flows.upkeep.gc", "flows.lifecycle.promotion",
    "flows.monitoring.looking", "flows.export", "flows.upkeep.erase", "flows.pipeline.backfills",
    "flows.monitors.drift", "flows.monitors.health",
    "flows.monitors.records", "flows.upkeep.derived", "flows.searching.search",
    "flows.sources.table", "flows.lifecycle.status", "flows.output.console", "flows.runner",
    "lancedb", "lance", "duckdb", "polars", "polars.convert", "pyarrow.parquet", "pyarrow.dataset",
    "filelock", "scipy.stats", "sklearn.decomposition", "lancedb.table", "pandas", "PIL.Image",
    "flows.lifecycle.compare", "storage.exports", "importlib.metadata",
    "tests.flows.plugins.letters", "tests.flows.interruptions", "tests.flows.project",
)  # fmt: skip


def prepare(*more: str) -> None:
    """Import what a run needs, and more modules."""
    warnings.filterwarnings("ignore")  # Lance warns of every fork
    for module in (*MODULES, *more):
        __import__(module)


def serve(child: Callable[[dict[str, Any]], None]) -> None:
    """Answer each request of standard input, one JSON object a line.

    Args:
        child: what a fork does with the request; the fork's exit code is that of its `sys.exit`,
            0 where it returns and 99 where it raises.
    """
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    print("{}", file=answers, flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        pid = os.fork()
        if pid == 0:
            _be(child, request)
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        print(json.dumps({"code": code}), file=answers, flush=True)


def _be(child: Callable[[dict[str, Any]], None], request: dict[str, Any]) -> None:
    """End as the child of a request, with what it says in the files that the request names."""
    code = 99
    try:
        for number, name in ((1, "out"), (2, "err")):
            os.dup2(os.open(request[name], os.O_RDWR | os.O_CREAT | os.O_TRUNC), number)
        child(request)
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 0 if end.code is None else 1
    except BaseException:  # noqa: BLE001 - a fork must not go on as its parent
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _execute(request: dict[str, Any]) -> None:
    os.environ.clear()
    os.environ.update(request["environment"])
    sys.argv = ["-c", *request["arguments"]]
    exec(compile(request["code"], "<string>", "exec"), {"__name__": "__main__"})  # noqa: S102 - the tests' own


if __name__ == "__main__":
    prepare()
    serve(_execute)
