"""An embedding endpoint on this machine: speaks OpenAI's dialect and TEI's, and misbehaves at will.

The vectors are drawn from a seed that is the text, as float32, so that any answer can be checked.
"""

from __future__ import annotations

import base64
import json
import threading
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import blake2b
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

DIM = 16


def vector_of(text: str, dim: int = DIM) -> NDArray[np.float32]:
    """The vector of a text, not of norm 1; a shorter one is the beginning of a longer one."""
    drawn = np.random.default_rng(list(blake2b(text.encode(), digest_size=16).digest()))
    vector: NDArray[np.float32] = drawn.standard_normal(64).astype(np.float32)[:dim]
    return vector


def vectors_of(texts: Sequence[str], dim: int = DIM) -> NDArray[np.float32]:
    """The vectors of texts, ``(n, dim)``."""
    return np.array([vector_of(text, dim) for text in texts], np.float32).reshape(-1, dim)


def units_of(texts: Sequence[str], dim: int = DIM) -> NDArray[np.float32]:
    """The vectors of texts at norm 1."""
    rows = vectors_of(texts, dim)
    units: NDArray[np.float32] = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return units


def tokens_of(texts: Sequence[str]) -> int:
    """What the endpoint says that texts come to: a token a word, and one more."""
    return sum(len(text.split()) + 1 for text in texts)


@dataclass(frozen=True)
class Asked:
    """A request as it came.

    Attributes:
        number: of the request, from 0.
        at: by the server's clock.
    """

    number: int
    path: str
    headers: dict[str, str]
    texts: list[str]
    body: dict[str, Any]


@dataclass
class Reply:
    """What goes back; ``cut`` bytes of the body are kept, and the connection closed after them."""

    status: int = 200
    body: bytes = b"{}"
    headers: dict[str, str] = field(default_factory=lambda: {"Content-Type": "application/json"})
    cut: int | None = None


@dataclass
class Endpoint:
    """A server under way.

    Attributes:
        misbehave: is given each request and the right reply, and may give another one.
        embed: the vectors of texts, so wide.
        asked: what came so far.
        answered: how often each text got its vector.
    """

    url: str
    misbehave: Callable[[Asked, Reply], Reply | None] | None = None
    embed: Callable[[Sequence[str], int], NDArray[np.float32]] = vectors_of
    asked: list[Asked] = field(default_factory=list)
    answered: Counter[str] = field(default_factory=Counter)
    lock: threading.Lock = field(default_factory=threading.Lock)
    most_at_once: int = 0
    under_way: int = 0

    @property
    def openai(self) -> str:
        """What goes into ``url`` for OpenAI's dialect."""
        return f"{self.url}/v1"


def right_reply(at: Endpoint, asked: Asked) -> Reply:
    """The reply of an endpoint in good order."""
    rows = at.embed(asked.texts, int(asked.body.get("dimensions", DIM)))
    headers = {"Content-Type": "application/json"}
    if asked.path == "/embed":
        if asked.body["normalize"]:
            rows = rows / np.linalg.norm(rows, axis=1, keepdims=True)
        headers["x-compute-tokens"] = str(tokens_of(asked.texts))
        return Reply(body=json.dumps(rows.tolist()).encode(), headers=headers)
    packed = asked.body.get("encoding_format") == "base64"
    data = [
        {
            "index": n,
            "embedding": base64.b64encode(row.tobytes()).decode() if packed else row.tolist(),
        }
        for n, row in enumerate(rows)
    ]
    usage = {"total_tokens": tokens_of(asked.texts)}
    return Reply(body=json.dumps({"data": data, "usage": usage}).encode(), headers=headers)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # or the body waits for the head to be acknowledged, 40 ms
    endpoint: Endpoint

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        at = self.endpoint
        with at.lock:
            at.under_way += 1
            at.most_at_once = max(at.most_at_once, at.under_way)
            texts = body["inputs"] if self.path == "/embed" else body["input"]
            headers = {name.lower(): value for name, value in self.headers.items()}
            asked = Asked(len(at.asked), self.path, headers, texts, body)
            at.asked.append(asked)
        try:
            right = (
                right_reply(at, asked) if self.path in {"/embed", "/v1/embeddings"} else Reply(404)
            )
            reply = (at.misbehave and at.misbehave(asked, right)) or right
        finally:
            with at.lock:
                at.under_way -= 1
        if reply.status == 200 and reply.cut is None and "json" in reply.headers["Content-Type"]:
            with at.lock:
                at.answered.update(texts)
        self._send(reply)

    def _send(self, reply: Reply) -> None:
        self.send_response(reply.status)
        for name, value in reply.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(reply.body)))
        self.end_headers()
        self.wfile.write(reply.body[: reply.cut])
        self.wfile.flush()
        self.close_connection = self.close_connection or reply.cut is not None

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, *_: object) -> None:
        """Clients that hang up are what these tests are about."""


@contextmanager
def endpoint() -> Iterator[Endpoint]:
    """An endpoint for the block."""
    handler = type("Handler", (_Handler,), {})
    with _Server(("127.0.0.1", 0), handler) as server:
        found = Endpoint(f"http://127.0.0.1:{server.server_address[1]}")
        handler.endpoint = found  # type: ignore[attr-defined] # of the class made above
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield found
        finally:
            server.shutdown()
            thread.join()
