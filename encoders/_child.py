"""A process of our own that answers messages over its pipes, for libraries kept out of this one.

A message is the lengths of head and body (``<IQ``), a head in JSON and a body of bytes; nothing is
ever unpickled. Closing its standard input is what tells the child to end, so it ends with this
process however that ends.
"""

from __future__ import annotations

import json
import os
import select
import signal
import struct
import subprocess
import threading
import time
import weakref
from collections import deque
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

LENGTHS = struct.Struct("<IQ")
_KEPT = 30
_PIECE = 1 << 16


class DiedError(Exception):
    """The child has ended, or closed its pipes.

    Attributes:
        status: its exit status; negative, the signal that killed it.
        words: the last lines that it wrote to standard error.
    """

    def __init__(self, status: int, words: str) -> None:
        how = f"signal {signal.Signals(-status).name}" if status < 0 else f"exit status {status}"
        super().__init__(f"{how}; its last words: {words or 'none'}")
        self.status = status
        self.words = words


class Child:
    """A running child. One thread at a time may ask it; it is killed when this object goes."""

    def __init__(self, command: Sequence[str]) -> None:
        # A session of its own: Ctrl-C is for us, who may have a batch to finish.
        self._process = subprocess.Popen(  # noqa: S603 - the caller's own command
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        pipes = (self._process.stdin, self._process.stdout, self._process.stderr)
        self._in, self._out, self._err = (pipe.fileno() for pipe in pipes if pipe is not None)
        os.set_blocking(self._in, False)
        self._words: deque[bytes] = deque(maxlen=_KEPT)
        self._listener = threading.Thread(
            target=_listen, args=(self._process, self._words), daemon=True
        )
        self._listener.start()
        self._end = weakref.finalize(self, _end, self._process, self._listener, os.getpid())

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def ask(self, head: dict[str, Any], seconds: float) -> tuple[dict[str, Any], bytes]:
        """Send a message and wait for the answer: its head and its body.

        Raises:
            DiedError: if the child ends before it has answered.
            TimeoutError: if that takes longer; the child cannot be asked again.
        """
        deadline = time.monotonic() + seconds
        written = json.dumps(head).encode()
        self._write(LENGTHS.pack(len(written), 0) + written, deadline)
        return self.receive(deadline)

    def receive(self, deadline: float) -> tuple[dict[str, Any], bytes]:
        """Wait for a message, until a moment of `time.monotonic`. Raises as `ask`."""
        head, body = LENGTHS.unpack(self._read(LENGTHS.size, deadline))
        found: dict[str, Any] = json.loads(self._read(head, deadline))
        return found, self._read(body, deadline)

    def close(self) -> None:
        """Kill the child, if it still runs."""
        self._end()

    def _write(self, data: bytes, deadline: float) -> None:
        left = memoryview(data)
        while left:
            self._wait(self._in, select.POLLOUT, deadline)
            try:
                left = left[os.write(self._in, left[:_PIECE]) :]
            except BlockingIOError:
                continue
            except BrokenPipeError:
                raise self._died() from None

    def _read(self, size: int, deadline: float) -> bytes:
        data = bytearray()
        while len(data) < size:
            self._wait(self._out, select.POLLIN, deadline)
            piece = os.read(self._out, min(size - len(data), 1 << 20))
            if not piece:
                raise self._died()
            data += piece
        return bytes(data)

    def _wait(self, pipe: int, event: int, deadline: float) -> None:
        poll = select.poll()
        poll.register(pipe, event)
        if not poll.poll(max(0.0, deadline - time.monotonic()) * 1000):
            raise TimeoutError

    def _died(self) -> DiedError:
        try:
            status = self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()  # it has closed its pipes: there is nothing more to be had
            status = self._process.wait()
        self._listener.join(5)
        words = b"".join(self._words).decode(errors="replace").strip()
        return DiedError(status, words)


def _listen(process: subprocess.Popen[bytes], words: deque[bytes]) -> None:
    if process.stderr is not None:
        with process.stderr:
            words.extend(process.stderr)


def _end(process: subprocess.Popen[bytes], listener: threading.Thread, owner: int) -> None:
    if os.getpid() != owner:
        return  # a fork of ours: the child is not its own
    process.kill()
    process.wait()
    listener.join(1)
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            pipe.close()
