"""A batch spread over several requests at once, and put together again in order."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import numpy as np

from encoders._answers import RefusedError
from encoders.metering import PartialError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from encoders._answers import Vectors

    Send = Callable[[range], Vectors]


def requests_of(tokens: Sequence[int], most_texts: int, most_tokens: int) -> Iterator[range]:
    """Cut rows, in order, into requests of so many texts and tokens; one alone may have more."""
    start, held = 0, 0
    for row, count in enumerate(tokens):
        full = row - start == most_texts or held + count > most_tokens
        if full and row > start:
            yield range(start, row)
            start, held = row, 0
        held += count
    if len(tokens) > start:
        yield range(start, len(tokens))


def scatter(
    parts: Sequence[range], shape: tuple[int, int], send: Send, threads: int, stop: threading.Event
) -> NDArray[np.float32]:
    """Send all parts, so many at once; a part that is refused is halved, down to the text at fault.

    Args:
        parts: rows of each request; together, all rows.
        shape: of the result.
        send: gives the vectors of some rows, or raises; a row that it says is missing has failed,
            and is not sent again.
        threads: so many.
        stop: is set at the first error that is no text's fault: what is not sent then never is.

    Returns:
        ``(n, dim)`` float32, rows in order.

    Raises:
        PartialError: if some rows have no vector; what stopped it, if none has.
    """
    work = _Work(parts, shape, send, stop)
    # Daemons, so that a process that is told to end does not wait for an endpoint.
    others = [
        threading.Thread(target=work.go_on, name="request", daemon=True)
        for _ in range(min(threads, len(parts)) - 1)
    ]
    for thread in others:
        thread.start()
    try:
        work.go_on()
    except BaseException:
        stop.set()
        raise
    for thread in others:
        thread.join()
    return work.result()


class _Work:
    def __init__(
        self, parts: Sequence[range], shape: tuple[int, int], send: Send, stop: threading.Event
    ) -> None:
        self._parts = iter(parts)
        self._send = send
        self._stop = stop
        self._lock = threading.Lock()
        self._rows = np.zeros(shape, np.float32)
        self._done: set[int] = set()
        self._failed: dict[int, str] = {}
        self._cause: Exception | None = None

    def go_on(self) -> None:
        """Send parts until there are none, or all are to stop."""
        while not self._stop.is_set():
            with self._lock:
                part = next(self._parts, None)
            if part is None:
                return
            self._try(part)

    def result(self) -> NDArray[np.float32]:
        if self._cause is None and not self._failed:
            return self._rows
        if self._cause is not None and not (self._done or self._failed):
            raise self._cause
        raise PartialError(self._rows, frozenset(self._done), self._failed, self._cause)

    def _try(self, part: range) -> None:
        if self._stop.is_set():
            return
        try:
            found = self._send(part)
        except RefusedError as error:
            if len(part) == 1:
                self._failed[part[0]] = str(error)
                return
            middle = len(part) // 2
            self._try(part[:middle])
            self._try(part[middle:])
        except Exception as error:  # noqa: BLE001 - whatever it is, the caller is to have it
            with self._lock:
                self._cause = self._cause or error
            self._stop.set()
        else:
            self._rows[part.start : part.stop] = found.rows
            missing = {part[place]: why for place, why in found.missing.items()}
            self._failed.update(missing)
            self._done.update(row for row in part if row not in missing)
