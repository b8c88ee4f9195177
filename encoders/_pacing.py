"""When the next request to an endpoint may be sent: one clock for all threads of an encoder.

Rates are kept by the generic cell rate algorithm (ITU-T I.371), which needs no more than the time
at which the next request fits, so that a library's bucket, one entry a token, is not worth it.
"""

from __future__ import annotations

import re
import threading
import time
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_MINUTE = 60.0
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


class Pacer:
    """Spreads requests evenly over time, and holds all of them back where the endpoint asks to.

    Attributes:
        clock: seconds that only grow.
    """

    def __init__(
        self,
        requests_per_minute: float | None,
        tokens_per_minute: float | None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.clock = clock
        self._per_request = _MINUTE / requests_per_minute if requests_per_minute else 0.0
        self._per_token = _MINUTE / tokens_per_minute if tokens_per_minute else 0.0
        self._lock = threading.Lock()
        self._next = 0.0
        self._held = 0.0

    def wait(self, tokens: int, sleep: Callable[[float], object] = time.sleep) -> None:
        """Wait until a request of so many tokens may be sent.

        Args:
            tokens: of the request.
            sleep: waits so many seconds; may come back early, and then nothing more is waited for.
        """
        with self._lock:
            start = max(self.clock(), self._next)
            self._next = start + max(self._per_request, tokens * self._per_token)
        if (left := start - self.clock()) > 0:
            sleep(left)
        # Whoever waited for a turn may have to wait on: the endpoint has asked for it meanwhile.
        if (left := self._held - self.clock()) > 0:
            sleep(left)

    def hold(self, seconds: float) -> None:
        """Let nobody send before so many seconds have passed."""
        with self._lock:
            self._held = max(self._held, self.clock() + seconds)


def asked_pause(headers: Mapping[str, str]) -> float | None:
    """How many seconds an endpoint asks to wait; None where it does not say.

    ``Retry-After`` as seconds or as an HTTP date (RFC 9110), ``retry-after-ms``, or what OpenAI
    says of the limit that is used up, such as ``x-ratelimit-reset-tokens: 6m0s``.
    """
    if (found := _number(headers.get("retry-after-ms"))) is not None:
        return found / 1000
    after = headers.get("retry-after")
    if (found := _number(after)) is not None:
        return found
    if after is not None and (found := _until(after)) is not None:
        return found
    resets = [
        _duration(headers.get(f"x-ratelimit-reset-{what}", ""))
        for what in ("requests", "tokens")
        if headers.get(f"x-ratelimit-remaining-{what}") == "0"
    ]
    return max((pause for pause in resets if pause is not None), default=None)


def _number(text: str | None) -> float | None:
    return float(text) if text and re.fullmatch(r"\s*\d{1,9}(\.\d{1,9})?\s*", text) else None


def _until(text: str) -> float | None:
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    # A date without a zone is in GMT, as all dates of HTTP are.
    moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
    return max(0.0, (moment - datetime.now(UTC)).total_seconds())


def _duration(text: str) -> float | None:
    parts = _PART.findall(text)
    whole = "".join(number + unit for number, unit in parts)
    if not parts or whole != text.strip():
        return None
    return sum(float(number) * _UNITS[unit] for number, unit in parts)
