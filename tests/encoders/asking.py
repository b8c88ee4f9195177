"""The encoder behind an endpoint as its tests build it, and the ways that answers go wrong."""

from __future__ import annotations

import gzip
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from encoders.remote import Params, Remote
from tests.encoders.endpoints import DIM, Endpoint, Reply, units_of

if TYPE_CHECKING:
    from collections.abc import Callable

TEXTS = [f"mill {n} stone" for n in range(20)]
BOMB = gzip.compress(bytes(2**24))
KEY = "sk-test-0123456789abcdef"


def remote(server: Endpoint, **changes: Any) -> Remote:  # noqa: ANN401 - any parameter
    keys: dict[str, Any] = {
        "url": server.openai,
        "model": "drawn",
        "dim": DIM,
        "batch_size": 4,
        "concurrency": 2,
    }
    return Remote(Params(**{**keys, "backoff": 0.01, "retries": 3, **changes}))


def check(found: Any, texts: list[str] = TEXTS) -> None:  # noqa: ANN401 - an array
    np.testing.assert_allclose(found, units_of(texts), rtol=0, atol=1e-6)


def answer(right: Reply, change: Callable[[list[Any]], object]) -> Reply:
    """The right reply with its list of vectors changed."""
    body = json.loads(right.body)
    change(body["data"])
    return replace(right, body=json.dumps(body).encode())


def with_first(right: Reply, embedding: object) -> Reply:
    return answer(right, lambda data: data[0].update(embedding=embedding))


def complaint(status: int, message: str, **headers: str) -> Reply:
    body = json.dumps({"error": {"message": message, "type": "some_error"}}).encode()
    return Reply(status, body, {"Content-Type": "application/json", **headers})


def soon() -> str:
    return format_datetime(datetime.now(UTC) + timedelta(seconds=1), usegmt=True)


def packed(right: Reply, body: bytes, by: str = "gzip") -> Reply:
    return replace(right, body=body, headers={**right.headers, "Content-Encoding": by})
