"""Text by a model behind an endpoint: OpenAI's ``/v1/embeddings``, whoever speaks it, or TEI.

TEI is Hugging Face's text-embeddings-inference. The texts leave this machine, and most endpoints
are paid by the token: see docs/encoders/remote.md.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, Literal, get_args

import numpy as np

from encoders._address import check_key_env, check_url, key_of
from encoders._allowance import Allowance, Tally, count_tokens
from encoders._answers import PATHS as REQUESTS
from encoders._answers import Api, RefusedError, Wanted
from encoders._endpoint import Call, Endpoint, Patience
from encoders._pacing import Pacer
from encoders._packing import Packing
from encoders._scatter import requests_of, scatter
from encoders.base import EncoderError, EncoderUsageError, Json, Metric, Modality
from encoders.metering import EncodingStoppedError, PartialError, Usage

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from encoders._answers import Vectors
    from encoders._packing import Encoding

MODALITY: Modality = "text"
PATHS = ("tokenizer",)
REVISION = 1
"""To be raised with any change of this file that changes vectors."""

_RUNS = 64
_AT_LEAST = {
    "dim": 1, "dimensions": 1, "batch_size": 1, "max_batch_tokens": 1, "concurrency": 1,
    "retries": 0, "max_tokens_per_run": 1, "price_per_million_tokens": 0,
}  # fmt: skip
_ABOVE_ZERO = ("timeout", "connect_timeout", "backoff", "requests_per_minute", "tokens_per_minute")


@dataclass(frozen=True)
class Params:
    """The keys of ``[encoders.NAME]`` for ``kind = "remote"``.

    Attributes:
        url: what stands before ``/embeddings`` or ``/embed``, as ``https://api.openai.com/v1``.
        model: its name there. TEI serves one model and is not told; name it all the same, since it
            tells the vectors apart.
        dim: the width of the vectors, which every answer is held to; may be left out where
            ``dimensions`` says it.
        api: ``openai`` or ``tei``.
        dimensions: the width to ask for, of models that can shorten (Matryoshka).
        revision: any text; change it when you know that another model answers to the same name.
        key_env: the *name* of the environment variable that holds the key; none for endpoints that
            want none.
        allow_insecure: let the key go over ``http://`` to another machine, for all to read.
        prompt: put before every text.
        query_prompt: put before what is searched for; by default ``prompt``.
        normalize: give vectors of L2 norm 1.
        truncate: let TEI cut texts that are too long for it; else they become dead letters.
        encoding_format: ``base64`` is half the bytes; an endpoint that refuses it gets ``float``.
        batch_size: texts a request.
        max_batch_tokens: and tokens; a text that has more goes alone.
        concurrency: requests at once.
        timeout: seconds that a whole answer may take.
        connect_timeout: seconds that a connection may take.
        retries: of a request that failed for a reason that may pass.
        backoff: seconds, the longest pause before the first retry; doubles with each.
        requests_per_minute, tokens_per_minute: kept on this side, evenly spread.
        max_tokens_per_run: a run that would go beyond stops before it does, and keeps what it has.
        tokenizer: a tokenizer.json, or a folder with one, by which tokens are counted; estimated
            as a quarter of the text's bytes without.
        price_per_million_tokens: for the costs that plans and outcomes tell.
        currency: of the price.

    Raises:
        ValueError: if a value is out of its range, or could give away a key.
    """

    url: str
    model: str
    dim: int | None = None
    api: Api = "openai"
    dimensions: int | None = None
    revision: str | None = None
    key_env: str | None = None
    allow_insecure: bool = False
    prompt: str = ""
    query_prompt: str | None = None
    normalize: bool = True
    truncate: bool = False
    encoding_format: Literal["base64", "float"] = "base64"
    batch_size: int = 64
    max_batch_tokens: int = 100_000
    concurrency: int = 4
    timeout: float = 60.0
    connect_timeout: float = 10.0
    retries: int = 6
    backoff: float = 0.5
    requests_per_minute: float | None = None
    tokens_per_minute: float | None = None
    max_tokens_per_run: int | None = None
    tokenizer: str | None = None
    price_per_million_tokens: float | None = None
    currency: str = "USD"

    def __post_init__(self) -> None:
        check_url(self.url)
        if self.api not in get_args(Api):
            raise ValueError(f"api must be 'openai' or 'tei', got {self.api!r}")
        if self.encoding_format not in {"base64", "float"}:
            raise ValueError(
                f"encoding_format must be 'base64' or 'float', got {self.encoding_format!r}"
            )
        for name, least in _AT_LEAST.items():
            value = getattr(self, name)
            if value is not None and not value >= least:
                raise ValueError(f"{name} must be {least} or more, got {value}")
        for name in _ABOVE_ZERO:
            value = getattr(self, name)
            if value is not None and not 0 < value < float("inf"):
                raise ValueError(f"{name} must be above 0, got {value}")
        if self.dim is None and self.dimensions is None:
            raise ValueError(
                "dim is missing: a plan asks nobody, so say how wide the model's vectors are, as "
                "its documentation does (1536 for text-embedding-3-small)"
            )
        if self.dim and self.dimensions and self.dim != self.dimensions:
            raise ValueError(
                f"dim = {self.dim} and dimensions = {self.dimensions} differ; the vectors have the "
                "width that is asked for, so leave dim out"
            )
        if self.key_env is not None:
            check_key_env(self.key_env, self.url, insecure=self.allow_insecure)


class Remote:
    """The encoder: ``(n, dim)`` float32, L2 norm 1 unless ``normalize`` is off.

    Nothing is sent before something is encoded. Where some texts get no vector, `encode` raises
    `encoders.metering.PartialError`, which holds those of the others.
    """

    modality: ClassVar[Modality] = "text"
    metric: Metric = "cosine"

    def __init__(self, params: Params) -> None:
        self.params = params
        self.dim = _dim(params)
        self.batch_size = params.batch_size * params.concurrency
        flags = (params.normalize, params.truncate)
        self._wanted = Wanted(params.api, params.model, self.dim, params.dimensions, *flags)
        self._endpoint = Endpoint(
            params.url.rstrip("/") + REQUESTS[params.api],
            key_of(params.key_env),
            Patience(params.connect_timeout, params.timeout, params.retries, params.backoff),
            Pacer(params.requests_per_minute, params.tokens_per_minute),
            params.concurrency,
        )
        self._packing = Packing("float" if params.api == "tei" else params.encoding_format)
        self._taken = threading.Event()  # whether the endpoint ever gave anything
        self._runs: OrderedDict[str, Allowance] = OrderedDict()
        self._lock = threading.Lock()

    def recipe(self) -> dict[str, Json]:
        """All that decides the vectors and is known here; see the function `recipe`."""
        return recipe(self.params)

    def encode(self, batch: Sequence[str]) -> NDArray[np.float32]:
        """Encode texts.

        Raises:
            PartialError: if some of them get no vector.
            EncodingStoppedError: if none does, and none would: a wrong key, a wrong width, an
                endpoint that never took anything and refuses every text in the same words.
            EndpointDownError: if none does because the endpoint does not answer.
        """
        return self.send(batch, Allowance(None), Tally())

    def encode_query(self, batch: Sequence[str]) -> NDArray[np.float32]:
        """Encode queries: ``query_prompt`` stands before them in place of ``prompt``.

        Raises:
            EncoderError: if any of them gets no vector; one search has no use for the others.
        """
        try:
            return self.send(batch, Allowance(None), Tally(), query=True)
        except PartialError as part:
            raise part.cause or EncoderError(str(part)) from None

    def in_run(self, run: str) -> InRun:
        """The encoder with a meter, and with ``max_tokens_per_run`` to share with its run."""
        with self._lock:
            allowance = self._runs.setdefault(run, Allowance(self.params.max_tokens_per_run))
            self._runs.move_to_end(run)
            while len(self._runs) > _RUNS:
                self._runs.popitem(last=False)
        return InRun(self, allowance)

    def send(
        self, batch: Sequence[str], allowance: Allowance, tally: Tally, *, query: bool = False
    ) -> NDArray[np.float32]:
        """Encode texts or queries within an allowance, and count what that takes."""
        params, call = self.params, Call(allowance, tally, threading.Event())
        texts = _sent(params, batch, query=query)
        tokens = count_tokens(texts, params.tokenizer)
        refusals: set[str] = set()

        def vectors_of(part: range) -> Vectors:
            rows = slice(part.start, part.stop)
            try:
                return self._asked(texts[rows], sum(tokens[rows]), call)
            except RefusedError as error:
                if len(part) == 1:
                    refusals.add(error.alike)
                raise

        parts = list(requests_of(tokens, params.batch_size, params.max_batch_tokens))
        shape = (len(texts), self.dim)
        try:
            return scatter(parts, shape, vectors_of, params.concurrency, call.stop)
        except PartialError as part:
            # One text may be at fault by itself; several, in the same words, hardly.
            if self._taken.is_set() or len(part.failed) == 1 or len(refusals) > 1:
                raise
            raise part.cause or _none_taken(params, part) from None

    def _asked(self, texts: Sequence[str], tokens: int, call: Call) -> Vectors:
        encoding = self._packing.first()
        try:
            found = self._endpoint.ask(texts, tokens, self._wanted, encoding, call)
            self._packing.taken(encoding, instead=False)
        except RefusedError:
            other = self._packing.instead(encoding)
            if other is None:
                raise
            found = self._asked_instead(texts, tokens, other, call)
        self._taken.set()
        if not self.params.normalize:
            return found
        norms = np.linalg.norm(found.rows, axis=1, keepdims=True)
        return replace(found, rows=found.rows / np.maximum(norms, np.finfo(np.float32).tiny))

    def _asked_instead(
        self, texts: Sequence[str], tokens: int, encoding: Encoding, call: Call
    ) -> Vectors:
        try:
            found = self._endpoint.ask(texts, tokens, self._wanted, encoding, call)
        except RefusedError:
            self._packing.refused()
            raise
        self._packing.taken(encoding, instead=True)
        return found


def _none_taken(params: Params, part: PartialError) -> EncodingStoppedError:
    n = len(part.failed)
    texts = "the one text" if n == 1 else f"{n} texts"
    return EncodingStoppedError(
        f"{params.url} took none of {texts}, nor any before, and said the same of each: "
        f"{next(iter(part.failed.values()))}. See whether model, dimensions and api "
        "are what it supports; if not, look into the texts"
    )


class InRun:
    """A `Remote` as one run uses it: see `encoders.metering.Meter`."""

    modality: ClassVar[Modality] = "text"

    def __init__(self, remote: Remote, allowance: Allowance) -> None:
        self.metric: Metric = remote.metric
        self.batch_size = remote.batch_size
        self.dim = remote.dim
        self._remote = remote
        self._allowance = allowance
        self._tally = Tally()

    def recipe(self) -> dict[str, Json]:
        """That of the encoder itself."""
        return self._remote.recipe()

    def encode(self, batch: Sequence[str]) -> NDArray[np.float32]:
        """Encode texts, as `Remote.encode` does, within the allowance of the run."""
        return self._remote.send(batch, self._allowance, self._tally)

    def used(self) -> Usage:
        """What went through it so far."""
        amount, currency = _price(self._remote.params, self._tally.tokens) or (None, None)
        return Usage(self._tally.requests, self._tally.tokens, amount, currency)


def build(params: Params) -> Remote:
    """Build the encoder, whose key must be in the environment. Nobody is asked anything yet."""
    return Remote(params)


def recipe(params: Params) -> dict[str, Json]:
    """All that decides the vectors, as far as it can be known here.

    The url is no part of it: a model that moves, or that stands behind two addresses, gives the
    vectors it gave before, and encoding all again would cost money. Where two models go by one
    name, ``revision`` tells them apart. Nor is ``query_prompt``, which is in no stored vector.
    """
    return {
        "kind": "remote",
        "code": REVISION,
        "api": params.api,
        "model": params.model,
        "revision": params.revision,
        "dim": _dim(params),
        "dimensions": params.dimensions,
        "prompt": params.prompt,
        "normalize": params.normalize,
        "truncate": params.truncate,
    }


def price(params: Params, batch: Sequence[str]) -> tuple[float, str] | None:
    """What encoding these texts costs, by ``price_per_million_tokens``; None without one."""
    if params.price_per_million_tokens is None:
        return None
    return _price(params, sum(count_tokens(_sent(params, batch), params.tokenizer)))


def _price(params: Params, tokens: int) -> tuple[float, str] | None:
    if params.price_per_million_tokens is None:
        return None
    return tokens * params.price_per_million_tokens / 1e6, params.currency


def _dim(params: Params) -> int:
    dim = params.dimensions or params.dim
    if dim is None:
        raise EncoderUsageError("a remote encoder needs dim or dimensions, and has neither")
    return dim


def _sent(params: Params, batch: Sequence[str], *, query: bool = False) -> list[str]:
    prompt = params.query_prompt if query and params.query_prompt is not None else params.prompt
    # Half a surrogate pair, which Python can hold, cannot be sent.
    return [(prompt + text).encode("utf-8", "replace").decode() for text in batch]
