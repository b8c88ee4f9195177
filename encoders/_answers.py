"""What is asked of an embedding endpoint, and what counts as an answer.

Two dialects: OpenAI's ``POST /embeddings``, which vLLM, Ollama, LiteLLM and many services speak,
and ``POST /embed`` of Hugging Face's text-embeddings-inference (TEI).
"""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from encoders.metering import EncodingStoppedError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

Api = Literal["openai", "tei"]
PATHS: dict[Api, str] = {"openai": "/embeddings", "tei": "/embed"}

_A_NUMBER = 40
_A_ROW = 1024
_BESIDE = 2**16


class MalformedError(Exception):
    """An answer is not one: cut off, too few rows, no JSON. It may be better the next time."""


class RefusedError(Exception):
    """A request is refused for what is in it; with other texts, or fewer, it may not be.

    Attributes:
        alike: equal for refusals in the same words, which the message may have to hide.
    """

    def __init__(self, message: str, alike: str) -> None:
        super().__init__(message)
        self.alike = alike


class _NoVectorError(Exception):
    """What stands in the place of a vector is none, and would be none again."""


@dataclass(frozen=True)
class Vectors:
    """An answer.

    Attributes:
        rows: ``(n, dim)`` float32, finite; zero where there is none.
        missing: row to reason, of texts for which the endpoint gave no finite vector. They are
            paid for like the others, and asking again would be paid again.
        tokens: that were used, None where the endpoint does not say.
    """

    rows: NDArray[np.float32]
    missing: Mapping[int, str]
    tokens: int | None


@dataclass(frozen=True)
class Wanted:
    """What vectors an endpoint is to give.

    Attributes:
        dim: the width that they must have.
        dimensions: the width to ask for; None for the model's own.
    """

    api: Api
    model: str
    dim: int
    dimensions: int | None
    normalize: bool
    truncate: bool

    def most_bytes(self, n: int) -> int:
        """What an answer of n vectors may weigh, generously: numbers as JSON, indented."""
        return _BESIDE + n * (_A_ROW + self.dim * _A_NUMBER)

    def question(self, texts: Sequence[str], encoding: str) -> dict[str, Any]:
        """The body of a request."""
        size = {} if self.dimensions is None else {"dimensions": self.dimensions}
        if self.api == "tei":
            flags = {"normalize": self.normalize, "truncate": self.truncate}
            return {"inputs": list(texts), **flags, **size}
        return {"model": self.model, "input": list(texts), "encoding_format": encoding, **size}

    def answer(self, body: bytes, headers: Mapping[str, str], n: int) -> Vectors:
        """Read the vectors of n texts.

        Raises:
            MalformedError: if this is no answer to the question.
            EncodingStoppedError: if the vectors have another width than was declared.
        """
        kind = headers.get("content-type", "")
        if kind and "json" not in kind:
            raise MalformedError(f"it answered with {kind[:60]!r}; expected JSON")
        try:
            found = json.loads(body)
        except (ValueError, RecursionError) as error:
            raise MalformedError("its answer is no JSON, or was cut off") from error
        if self.api == "tei":
            given, tokens = found, headers.get("x-compute-tokens")
        else:
            given, tokens = _in_order(found, n), _used(found)
        if not isinstance(given, list) or len(given) != n:
            count = f"{len(given)} vectors" if isinstance(given, list) else "no list of vectors"
            raise MalformedError(f"it gave {count} for {n} texts")
        rows, missing = np.zeros((n, self.dim), np.float32), {}
        for place, one in enumerate(given):
            try:
                rows[place] = self._row(one)
            except _NoVectorError as error:
                missing[place] = str(error)
        return Vectors(rows, missing, _count(tokens))

    def _row(self, given: Any) -> NDArray[np.float32]:  # noqa: ANN401 - any JSON
        row = _numbers(given)
        if len(row) != self.dim:
            raise EncodingStoppedError(
                f"the endpoint gave vectors of {len(row)} dimensions, but dim = {self.dim} is "
                f"declared for the model {self.model!r}; set dim to what it has, or dimensions to "
                "what it is to give"
            )
        if not np.isfinite(row).all():
            raise _NoVectorError("the endpoint gave NaN, infinity or null for it")
        return row


def _in_order(found: Any, n: int) -> list[Any]:  # noqa: ANN401 - any JSON
    data = found.get("data") if isinstance(found, dict) else None
    if not isinstance(data, list) or not all(isinstance(one, dict) for one in data):
        raise MalformedError("its answer has no list 'data' of objects")
    places = [one.get("index") for one in data]
    if all(place is None for place in places):
        return [one.get("embedding") for one in data]
    if sorted(p for p in places if type(p) is int) != list(range(n)) or len(places) != n:
        raise MalformedError(f"its answer does not have each index from 0 to {n - 1} once")
    by_place = {one["index"]: one.get("embedding") for one in data}
    return [by_place[place] for place in range(n)]


def _numbers(given: Any) -> NDArray[np.float32]:  # noqa: ANN401 - any JSON
    """A vector written as base64 of little-endian float32, or as a list of numbers."""
    if isinstance(given, str):
        try:
            return np.frombuffer(base64.b64decode(given, validate=True), "<f4").astype(np.float32)
        except (binascii.Error, ValueError) as error:
            raise MalformedError("a vector is no base64 of float32") from error
    if given is None:
        raise _NoVectorError("the endpoint gave null for it")
    if not isinstance(given, list):
        raise MalformedError("a vector is neither a list of numbers nor base64")
    if any(type(number) not in (float, int, type(None)) for number in given):
        raise MalformedError("a vector holds something else than numbers")
    try:
        with np.errstate(over="ignore"):
            row: NDArray[np.float32] = np.array(given, np.float64).astype(np.float32)
    except OverflowError as error:
        raise _NoVectorError("the endpoint gave numbers beyond all bounds for it") from error
    return row


def _used(found: Any) -> Any:  # noqa: ANN401 - any JSON
    usage = found.get("usage")
    if not isinstance(usage, dict):
        return None
    return usage.get("total_tokens", usage.get("prompt_tokens"))


def _count(tokens: Any) -> int | None:  # noqa: ANN401 - any JSON
    if isinstance(tokens, str):
        tokens = int(tokens) if tokens.isascii() and tokens.isdigit() and len(tokens) < 12 else None  # noqa: PLR2004 - more digits are no count of tokens
    return tokens if type(tokens) is int and tokens >= 0 else None
