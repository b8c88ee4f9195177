"""One request to an endpoint, tried until it has an answer or there can be none.

What may pass (a cut connection, 408, 409, 425, 429, 5xx, an answer that is none) is tried again
after pauses that are drawn evenly from zero to a bound that doubles ("full jitter", Brooker 2015,
"Exponential Backoff and Jitter"), so that many clients do not come back at once. An endpoint that
says when it wants to be asked again is asked then, and all threads wait for that moment.
"""

from __future__ import annotations

import threading
import weakref
import zlib
from dataclasses import dataclass
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

from encoders._address import is_loopback
from encoders._answers import MalformedError, RefusedError
from encoders._complaint import code, complaint
from encoders._pacing import Pacer, asked_pause
from encoders.metering import EncodingStoppedError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import NoReturn

    import httpx
    import tenacity

    from encoders._allowance import Allowance, Spending, Tally
    from encoders._answers import Vectors, Wanted

LONGEST_PAUSE = 300.0
"""Seconds; an endpoint that asks for a longer one is away, and the run had better say so."""

_LONGEST_BACKOFF = 30.0
_COMPLAINT_BYTES = 2**14
_PASSING = frozenset({408, 409, 424, 425, 429})
_REFUSED = frozenset({400, 413, 422})
_SPENT = frozenset({"insufficient_quota", "billing_hard_limit_reached"})
_CHECK = {
    401: "the key is missing or wrong",
    402: "the account has to be paid for",
    403: "the key may not use this model, or the address is not allowed",
    404: "url must be what stands before /embeddings or /embed, mostly with /v1 at its end, and "
    "model one that is served there",
}


class EndpointDownError(ConnectionError):
    """An endpoint did not answer, however often it was asked; it may later."""


class _AgainError(Exception):
    """Worth another try, after ``pause`` seconds where the endpoint says so."""

    def __init__(self, why: str, pause: float | None = None, *, crowded: bool = False) -> None:
        super().__init__(why)
        self.pause = pause
        self.crowded = crowded


@dataclass(frozen=True)
class Call:
    """What one call of an encoder shares over its requests.

    Attributes:
        allowance: what it may use.
        tally: what it used.
        stop: set when the call is to end: nobody waits or asks any more.
    """

    allowance: Allowance
    tally: Tally
    stop: threading.Event


@dataclass(frozen=True)
class Patience:
    """How long to wait for what.

    Attributes:
        connect: seconds for a connection.
        answer: seconds for a whole answer.
        retries: after the first try.
        backoff: seconds, the bound of the first pause.
    """

    connect: float
    answer: float
    retries: int
    backoff: float


class Endpoint:
    """A pool of connections to one address; threads may share it.

    Attributes:
        url: of the requests.
    """

    def __init__(
        self, url: str, key: str | None, patience: Patience, pacer: Pacer, connections: int
    ) -> None:
        self.url = url
        self._key = key
        self._patience = patience
        self._pacer = pacer
        self._turn = threading.BoundedSemaphore(connections)
        self._client = _client(url, key, patience, connections)
        weakref.finalize(self, self._client.close)

    def ask(self, texts: Sequence[str], tokens: int, wanted: Wanted, encoding: str, call: Call) -> Vectors:  # fmt: skip # noqa: E501
        """Ask for the vectors of some texts, again and again if need be.

        Raises:
            RefusedError: if the endpoint does not take these texts.
            EncodingStoppedError: if it takes none, or the allowance is used up.
            EndpointDownError: if it could not be reached, or gave no answer.
        """
        import tenacity

        attempts = tenacity.Retrying(
            stop=tenacity.stop_after_attempt(self._patience.retries + 1)
            | tenacity.stop_when_event_set(call.stop),
            retry=tenacity.retry_if_exception_type(_AgainError),
            wait=self._pause,
            sleep=tenacity.sleep_using_event(call.stop),
            reraise=True,
        )
        try:
            return attempts(self._once, texts, tokens, wanted, encoding, call)
        except _AgainError as error:
            tries = self._patience.retries + 1
            # Not from the cause: what httpx raises holds the request, and that the key.
            raise EndpointDownError(
                f"no answer from {self.url} in {tries} tries, the last time because {error}; see "
                "whether it runs and can be reached from here, then run again"
            ) from None

    def _once(
        self, texts: Sequence[str], tokens: int, wanted: Wanted, encoding: str, call: Call
    ) -> Vectors:
        with self._turn, call.allowance.spend(tokens, call.tally) as spending:
            self._pacer.wait(spending.tokens, call.stop.wait)
            if call.stop.is_set():
                raise _AgainError("the call has ended")
            status, headers, body = self._exchange(texts, wanted, encoding, spending)
            if not 200 <= status < 300:  # noqa: PLR2004 - the class of success
                spending.tokens = 0
                self._fail(status, headers, body, texts)
            try:
                found = wanted.answer(body, headers, len(texts))
            except MalformedError as error:
                raise _AgainError(str(error)) from None
            if found.tokens is not None:
                spending.tokens = found.tokens
                call.allowance.learn(tokens, found.tokens)
            return found

    def _exchange(
        self, texts: Sequence[str], wanted: Wanted, encoding: str, spending: Spending
    ) -> tuple[int, Mapping[str, str], bytes]:
        import httpx

        question = wanted.question(texts, encoding)
        spending.sent = True
        try:
            with self._client.stream("POST", self.url, json=question) as response:
                good = response.is_success
                most = wanted.most_bytes(len(texts)) if good else _COMPLAINT_BYTES
                body = _body(response, most, self._pacer, self._patience.answer, whole=good)
                return response.status_code, response.headers, body
        except httpx.ConnectTimeout:  # before what it is a kind of: nothing was sent yet
            spending.sent = False
            raise _AgainError(
                f"no connection came about in connect_timeout = {self._patience.connect:g} s"
            ) from None
        except httpx.ConnectError as error:
            spending.sent = False
            if "CERTIFICATE_VERIFY_FAILED" in str(error):
                raise EncodingStoppedError(
                    f"the certificate of {self.url} is not one that this machine trusts; name its "
                    "authority with the environment variable SSL_CERT_FILE"
                ) from None
            raise _AgainError(f"it cannot be reached ({self._hidden(error)})") from None
        except httpx.TimeoutException:
            raise _AgainError(
                f"it took longer than timeout = {self._patience.answer:g} s"
            ) from None
        except httpx.TransportError as error:
            raise _AgainError(f"the connection broke ({self._hidden(error)})") from None

    def _fail(
        self, status: int, headers: Mapping[str, str], body: bytes, texts: Sequence[str]
    ) -> NoReturn:
        said = complaint(body, texts, self._key)
        told = f"HTTP {status}" + (f", {said!r}" if said else "")
        if status in _REFUSED:
            words = f"{status} {complaint(body, (), self._key)}".encode("utf-8", "replace")
            raise RefusedError(f"the endpoint refused it: {told}", blake2b(words).hexdigest())
        if 300 <= status < 400:  # noqa: PLR2004 - the class of redirects
            raise EncodingStoppedError(
                f"{self.url} answered with a redirect (HTTP {status}), which is not followed: it "
                "might take records and key elsewhere. Set url to where it leads, if you trust that"
            )
        if (status in _PASSING or status >= 500) and code(body) not in _SPENT:  # noqa: PLR2004 - the class of the server's own errors
            pause = asked_pause(headers)
            if pause is not None and pause > LONGEST_PAUSE:
                raise EndpointDownError(
                    f"{self.url} answered {told} and asks to wait {pause:,.0f} s; run again then"
                )
            raise _AgainError(f"it answered {told}", pause, crowded=status in {429, 503})
        check = _CHECK.get(status, "see what the endpoint supports")
        if code(body) in _SPENT:
            check = "the account's quota is used up"
        raise EncodingStoppedError(f"{self.url} answered {told}: {check}")

    def _pause(self, state: tenacity.RetryCallState) -> float:
        import tenacity

        jitter = tenacity.wait_random_exponential(self._patience.backoff, _LONGEST_BACKOFF)(state)
        error = state.outcome.exception() if state.outcome else None
        if not isinstance(error, _AgainError):
            return jitter
        if error.pause is not None:
            # Just after the moment, and not all at once.
            jitter = error.pause + min(jitter, self._patience.backoff)
        if error.crowded:
            self._pacer.hold(jitter if error.pause is None else error.pause)
        return jitter

    def _hidden(self, error: Exception) -> str:
        words = str(error) or type(error).__name__
        return words.replace(self._key, "***") if self._key else words


def _client(url: str, key: str | None, patience: Patience, connections: int) -> httpx.Client:
    import httpx

    headers = {"User-Agent": "vecmill", "Accept": "application/json", "Accept-Encoding": "identity"}
    if key is not None:
        headers["Authorization"] = f"Bearer {key}"
    return httpx.Client(
        headers=headers,
        timeout=httpx.Timeout(patience.answer, connect=patience.connect, pool=None),
        limits=httpx.Limits(max_connections=connections, max_keepalive_connections=connections),
        follow_redirects=False,
        trust_env=not is_loopback(url),  # a proxy has no business between this machine and itself
    )


def _body(response: httpx.Response, most: int, pacer: Pacer, seconds: float, *, whole: bool) -> bytes:  # fmt: skip # noqa: E501
    """The body, never more of it in memory than it may weigh, unpacked.

    Raises:
        _AgainError: if it is heavier and ``whole`` is asked for, comes too slowly, or is packed in
            a way that was not asked for.
    """
    packing = response.headers.get("content-encoding", "identity").lower()
    if packing not in {"identity", "", "gzip", "deflate"}:
        raise _AgainError(f"its answer is packed with {packing[:20]!r}; expected none")
    unpack: Any = None if packing in {"identity", ""} else zlib.decompressobj(zlib.MAX_WBITS | 32)
    begun, found = pacer.clock(), bytearray()
    for raw in response.iter_raw():
        try:
            found += raw if unpack is None else unpack.decompress(raw, most + 1 - len(found))
        except zlib.error:
            raise _AgainError("its answer cannot be unpacked") from None
        if len(found) > most:
            if not whole:
                break
            raise _AgainError(f"its answer is larger than the {most:,} bytes that it could need")
        if pacer.clock() - begun > seconds:
            raise _AgainError(f"its answer took longer than {seconds:g} s")
    return bytes(found[:most])
