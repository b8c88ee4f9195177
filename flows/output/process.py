"""A process that runs one command and nothing else: begun and ended without work for nothing.

Measured with a search by a text, which imports five thousand modules: of 8.3 CPU seconds 1.0 went
into looking for garbage among what is imported and stays, and 1.7 into taking it apart at the end.
"""

from __future__ import annotations

import atexit
import gc
import os
import sys
from contextlib import suppress

_ALLOCATED = 10_000
"""Objects that are made before garbage is looked for; Python's own number is 700."""


class Process:
    """This process, from its first lines on; it is ended by `end`, or as Python does it."""

    def __init__(self) -> None:
        """Begin; other handlers of `atexit` are to come later, since those before are not run."""
        self._code: int | None = None
        gc.set_threshold(_ALLOCATED)
        atexit.register(self._leave)  # the first to be registered is the last to run

    def end(self, code: int) -> None:
        """Exit with a code: what wants to be done at the exit is, and the rest is left as it is."""
        self._code = code
        sys.exit(code)

    def _leave(self) -> None:
        """Leave, after threads were joined and all other handlers have run."""
        if self._code is None:  # an error that nobody expected: Python tells of it
            return
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError):  # the reader has left, or it is closed
                stream.flush()
        os._exit(self._code)
