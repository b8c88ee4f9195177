"""A process that answers one statement of the SQL box; run as a module, with a file descriptor.

DuckDB looks at its clock and counts memory between batches of rows, so one call over a huge value,
as ``repeat('x', 1000000000)``, is in neither limit until it returns. A process is: it can be ended
at any moment, and the operating system counts what it holds.
"""

from __future__ import annotations

import os
import resource
import signal
import sys
import threading
import traceback
from dataclasses import asdict
from multiprocessing.connection import Connection
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

from flows.ui.wire import Message, Wire
from storage import clusters, damage, disk, guarded, query, views
from storage.calls import Function
from storage.catalog import Catalog
from storage.model import StorageError, UsageError
from storage.vectors import Vectors

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pyarrow as pa

    from storage.query import Connection as Session

_ROOM = 1_000_000_000
"""Bytes beside what DuckDB may hold, for rows on their way, and for what Lance reads them with."""

_ROOM_A_CORE = 64_000_000
_LATE = 5.0
"""Seconds after its time that the system ends the process, should nobody have."""


def main() -> None:
    """Answer the one statement that is asked for, and end; end at once where the server has."""
    wire = Wire(Connection(int(sys.argv[1])))
    heard: SimpleQueue[Message] = SimpleQueue()
    threading.Thread(target=_listen, args=(wire, heard), daemon=True).start()
    guarded.load()
    asked = heard.get().more
    try:
        found = _answer(wire, heard, asked)
    except Exception as error:  # noqa: BLE001 - the server tells of it
        _tell(wire, error)
    else:
        wire.send("rows", found.table, cut=found.cut)
    os._exit(0)  # DuckDB may take its time to give memory back that is gone anyway


def _listen(wire: Wire, heard: SimpleQueue[Message]) -> None:
    try:
        while True:
            heard.put(wire.receive())
    except (EOFError, OSError):
        os._exit(1)


def _answer(wire: Wire, heard: SimpleQueue[Message], asked: Mapping[str, Any]) -> guarded.Rows:
    limits = guarded.Limits(**asked["limits"])
    catalog = Catalog(
        Path(asked["catalog"]), asked["wait_seconds"], lambda words: wire.send("note", words=words)
    )
    con = query.connect(catalog, Vectors(asked["vectors"]))
    files = sorted(clusters.home(catalog).glob("*/*.parquet"))  # what views of clusters read
    guarded.shut(con, files, limits)
    functions = [_function(wire, heard, con, limits, one) for one in asked["functions"]]
    _bound(limits)
    wire.send("opened")
    return guarded.ask(con, asked["statement"], functions, limits)


def _function(
    wire: Wire, heard: SimpleQueue[Message], con: Session, limits: guarded.Limits,
    told: Mapping[str, Any],
) -> Function:  # fmt: skip
    """A table function that the server answers, which keeps encoders loaded."""

    def answer(given: Mapping[str, Any]) -> pa.Table:
        shown = [asdict(view) for view in views.shown(con)]
        wire.send("call", name=told["name"], given=dict(given), shown=shown,
                  missing=views.missing(con))  # fmt: skip
        signal.setitimer(signal.ITIMER_REAL, 0)
        message = heard.get()
        _alarm(limits)
        if message.table is None:
            raise UsageError(str(message.more["words"]))
        return message.table

    return Function(told["name"], told["required"], told["optional"], answer)


def _bound(limits: guarded.Limits) -> None:
    """Have the system keep to the limits, whatever this process is at."""
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    _alarm(limits)
    status = Path("/proc/self/status")
    if not status.exists():
        return  # elsewhere DuckDB counts alone
    held = next(line for line in status.read_text().splitlines() if line.startswith("VmData:"))
    room = limits.memory + _ROOM + _ROOM_A_CORE * (os.cpu_count() or 1)
    most = int(held.split()[1]) * 1024 + room
    resource.setrlimit(resource.RLIMIT_DATA, (most, most))


def _alarm(limits: guarded.Limits) -> None:
    signal.setitimer(signal.ITIMER_REAL, limits.seconds + _LATE)


def _tell(wire: Wire, error: Exception) -> None:
    mended = damage.told(error) or disk.told(error) or error
    if isinstance(mended, MemoryError) or str(mended).startswith("Out of Memory Error"):
        mended = UsageError("this needs more memory than a statement may have; ask for less")
    if isinstance(mended, UsageError | StorageError | OSError):
        wire.send("refused", words=str(mended))
    else:
        wire.send("broken", words=str(error), trace="".join(traceback.format_exception(error)))


if __name__ == "__main__":
    main()
