"""The other side of `tests.faults.trials`: what each fork of its interpreter does."""

from __future__ import annotations

import ctypes
import json
import os
import pkgutil
import signal
import sys
from functools import partial
from pathlib import Path
from typing import Any

from tests import forks
from tests.flows.plugins import installed


def serve() -> None:
    """Carry out the requests of standard input, one JSON object a line, and answer each."""
    import flows.commands

    commands = [f"flows.commands.{m.name}" for m in pkgutil.iter_modules(flows.commands.__path__)]
    forks.prepare("flows.cli", *commands, "tests.faults.observed", "rich.table", "rich.text")
    shim = ctypes.CDLL(os.environ["LD_PRELOAD"])
    with installed():
        forks.serve(partial(_carry_out, shim))


def _carry_out(shim: ctypes.CDLL, request: dict[str, Any]) -> None:
    signal.alarm(request["seconds"])
    told = Path(request["told"])
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
    sys.exit(code)


def _called(request: dict[str, Any]) -> int:
    if request["argv"] == ["look"]:
        from tests.faults.observed import observe

        sys.stdout.write(json.dumps(observe(Path(request["root"]))))
        return 0
    from flows.cli import run_command

    return run_command([*request["argv"], "--conf", "vecmill.toml"])


if __name__ == "__main__":
    serve()
