"""How an endpoint is to write its numbers: base64 where it can, which is found out by asking."""

from __future__ import annotations

import threading
from typing import Literal

Encoding = Literal["base64", "float"]


class Packing:
    """What is known of one endpoint; threads may share it.

    A refusal does not say whether it is meant for base64 or for the texts, so that the texts are
    sent once more, as floats. Where that is refused as well, no base64 is tried until something
    has been taken: else each half of a request that is refused as a whole would be sent twice.

    Args:
        wished: ``float`` where nothing else is to be asked for.
    """

    def __init__(self, wished: Encoding) -> None:
        self._wished: Encoding = wished
        self._known: Encoding | Literal["refused"] | None = None
        self._lock = threading.Lock()

    def first(self) -> Encoding:
        """What to ask for."""
        return "float" if self._known in {"float", "refused"} else self._wished

    def instead(self, refused: Encoding) -> Encoding | None:
        """What to ask for after a refusal; None if the encoding was not at fault."""
        return None if refused == "float" or self._known == "base64" else "float"

    def taken(self, encoding: Encoding, *, instead: bool) -> None:
        """Hear that an encoding was taken, perhaps instead of one that was not."""
        with self._lock:
            if encoding == "base64" or instead:
                self._known = encoding
            elif self._known == "refused":
                self._known = None

    def refused(self) -> None:
        """Hear that both were refused for the same texts."""
        with self._lock:
            self._known = self._known or "refused"
