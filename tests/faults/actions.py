"""The other side of `tests.faults.trials`: one interpreter that forks itself for every trial.

It has imported what a command needs and opened nothing yet, so a fork begins as a fresh process
does, only without the seconds that imports take.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import sys
import traceback
import warnings
from pathlib import Path
from typing import Any

MODULES = (
    "flows.pipeline", "flows.gc", "flows.lifecycle", "flows.monitoring", "flows.export",
    "flows.erase", "flows.backfills", "flows.monitors.drift", "flows.monitors.health",
    "flows.monitors.records",
    "flows.sources.table", "flows.status", "flows.console", "flows.commands.runs", "flows.runner",
    "lancedb", "lance", "duckdb", "polars", "pyarrow.parquet", "pyarrow.dataset", "filelock",
    "scipy.stats", "sklearn.decomposition", "lancedb.table", "tests.faults.observed",
    "flows.compare", "storage.exports", "importlib.metadata", "tests.flows.plugins.letters",
)  # fmt: skip


def serve() -> None:
    """Carry out the requests of standard input, one JSON object a line, and answer each."""
    warnings.filterwarnings("ignore")  # Lance warns of every fork
    for module in MODULES:
        __import__(module)
    from tests.flows.plugins import installed

    shim = ctypes.CDLL(os.environ["LD_PRELOAD"])
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    with installed():
        print("{}", file=answers, flush=True)
        for line in sys.stdin:
            request = json.loads(line)
            print(json.dumps(_forked(shim, request)), file=answers, flush=True)


def _forked(shim: ctypes.CDLL, request: dict[str, Any]) -> dict[str, Any]:
    """Carry out one request in a fork: its exit code (-9 where killed) and what it said."""
    told = Path(request["told"])
    child = os.fork()
    if child == 0:
        _carry_out(shim, request, told)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return {
        "code": code,
        "out": told.with_suffix(".out").read_text("utf-8"),
        "err": told.with_suffix(".err").read_text("utf-8"),
    }


def _carry_out(shim: ctypes.CDLL, request: dict[str, Any], told: Path) -> None:
    signal.alarm(request["seconds"])
    for number, suffix in ((1, ".out"), (2, ".err")):
        os.dup2(os.open(told.with_suffix(suffix), os.O_RDWR | os.O_CREAT | os.O_TRUNC), number)
    code = 99
    try:
        os.chdir(request["root"])
        if request["log"]:
            log = os.open(told.with_suffix(".log"), os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            shim.log_changes(log)
        if request["mode"] >= 0:
            folder = str(Path(request["root"]) / request["folder"]).encode()
            shim.strike_at(folder, request["mode"], ctypes.c_long(request["at"]))
        code = _called(request)
        shim.changes_seen.restype = ctypes.c_long
        seen = shim.changes_seen()
        shim.strike_at(b"/nowhere", 0, ctypes.c_long(0))
        told.with_suffix(".seen").write_text(str(seen), encoding="utf-8")
    except BaseException:  # noqa: BLE001 - a fork must not go on as its parent
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _called(request: dict[str, Any]) -> int:
    if request["argv"] == ["look"]:
        from tests.faults.observed import observe

        sys.stdout.write(json.dumps(observe(Path(request["root"]))))
        return 0
    from flows.cli import run_command

    return run_command([*request["argv"], "--conf", "vecmill.toml"])


if __name__ == "__main__":
    serve()
