"""What the server and a process that answers a statement say to each other: JSON, and Arrow tables.

Nothing is unpickled: the process has run what strangers wrote.
"""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

    import pyarrow as pa

_LARGEST = 256_000_000
"""Bytes of a message; rows are cut long before (`storage.guarded.Limits`)."""


@dataclass(frozen=True)
class Message:
    """One message.

    Attributes:
        kind: what it is.
        more: what it says, as JSON has it.
        table: rows that come with it.
    """

    kind: str
    more: dict[str, Any]
    table: pa.Table | None = None


class Wire:
    """One end of a connection."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def send(self, kind: str, table: pa.Table | None = None, **more: object) -> None:
        """Send a message.

        Raises:
            OSError: if nobody is at the other end.
        """
        head = {"kind": kind, "table": table is not None, "more": more}
        self._connection.send_bytes(json.dumps(head, default=_plain, skipkeys=True).encode())
        if table is not None:
            self._connection.send_bytes(_written(table))

    def receive(self) -> Message:
        """The next message, once it is there.

        Raises:
            EOFError, OSError: if nobody is at the other end.
        """
        head = json.loads(self._connection.recv_bytes(_LARGEST))
        table = _read(self._connection.recv_bytes(_LARGEST)) if head["table"] else None
        return Message(head["kind"], head["more"], table)

    def waits(self, seconds: float | None) -> bool:
        """Whether a message, or the end, comes within some seconds; without them, in any time."""
        return self._connection.poll(seconds)

    def close(self) -> None:
        """Go away; whoever is at the other end is told."""
        self._connection.close()


def _plain(given: object) -> object:
    """A value of DuckDB's as JSON has it: what is no exact number there is a text."""
    return float(given) if isinstance(given, Decimal) else str(given)


def _written(table: pa.Table) -> memoryview:
    import pyarrow as pa

    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getbuffer()


def _read(data: bytes) -> pa.Table:
    import pyarrow as pa

    return pa.ipc.open_stream(data).read_all()
