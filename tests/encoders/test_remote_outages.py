"""An endpoint that is down, late or talks nonsense: what is tried again and what is an outage."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from encoders._endpoint import EndpointDownError
from encoders.remote import Params, Remote
from tests.encoders.asking import (
    BOMB,
    TEXTS,
    answer,
    check,
    complaint,
    packed,
    remote,
    soon,
    with_first,
)
from tests.encoders.endpoints import DIM, Asked, Endpoint, Reply, endpoint

if TYPE_CHECKING:
    from collections.abc import Callable

PASSING: dict[str, Callable[[Reply], Reply]] = {
    "408": lambda _: complaint(408, "slow"),
    "409": lambda _: complaint(409, "locked"),
    "424": lambda _: complaint(424, "inference"),
    "425": lambda _: complaint(425, "early"),
    "429": lambda _: complaint(429, "rate"),
    "429 with seconds": lambda _: complaint(429, "rate", **{"Retry-After": "0"}),
    "429 with a date": lambda _: complaint(429, "rate", **{"Retry-After": soon()}),
    "500": lambda _: complaint(500, "oh"),
    "503 without a body": lambda _: Reply(503, b""),
    "cut off amid the body": lambda right: replace(right, cut=40),
    "cut off before it": lambda right: replace(right, cut=0),
    "an HTML page": lambda _: Reply(200, b"<html>busy</html>", {"Content-Type": "text/html"}),
    "half a JSON": lambda right: replace(right, body=right.body[:60]),
    "JSON of another kind": lambda right: replace(right, body=b"[1, 2]"),
    "one vector too few": lambda right: answer(right, list.pop),
    "one too many": lambda right: answer(right, lambda data: data.append(data[0])),
    "an index twice": lambda right: answer(right, lambda data: data[0].update(index=1)),
    "broken base64": lambda right: with_first(right, "!!!!"),
    "base64 of three bytes": lambda right: with_first(right, "AAAA"),
    "words in a vector": lambda right: with_first(right, ["1.0"] * DIM),
    "an object for a vector": lambda right: with_first(right, {}),
    "a huge body": lambda right: replace(right, body=right.body + b" " * 2**20),
    "a bomb": lambda right: packed(right, BOMB),
    "broken gzip": lambda right: packed(right, b"nothing of the sort"),
    "another packing": lambda right: packed(right, right.body, "br"),
}


@pytest.mark.parametrize("fault", PASSING)
def test_what_may_pass_is_tried_again(server: Endpoint, fault: str) -> None:
    server.misbehave = lambda asked, right: PASSING[fault](right) if asked.number < 2 else None
    check(remote(server).encode(TEXTS))
    assert len(server.asked) == 5 + 2
    assert set(server.answered) == set(TEXTS)


@pytest.mark.parametrize("fault", PASSING)
def test_what_does_not_pass_is_an_outage(server: Endpoint, fault: str) -> None:
    server.misbehave = lambda _, right: PASSING[fault](right)
    with pytest.raises(ConnectionError, match=r"no answer from http.* in 2 tries, the last time"):
        remote(server, retries=1, concurrency=1).encode(TEXTS)
    assert len(server.asked) == 2


def test_an_answer_that_is_late_is_asked_for_again(server: Endpoint) -> None:
    late = threading.Event()

    def misbehave(asked: Asked, _: Reply) -> None:
        if asked.number == 0:
            late.wait(60)

    server.misbehave = misbehave
    check(remote(server, timeout=1.0).encode(TEXTS[:4]), TEXTS[:4])
    late.set()
    assert len(server.asked) == 2


def test_nobody_asks_before_the_endpoint_wants_to_be_asked(server: Endpoint) -> None:
    times: list[float] = []

    def misbehave(asked: Asked, _: Reply) -> Reply | None:
        times.append(time.monotonic())
        return complaint(429, "rate", **{"retry-after-ms": "400"}) if asked.number == 0 else None

    server.misbehave = misbehave
    check(remote(server, concurrency=1).encode(TEXTS))
    assert times[1] - times[0] >= 0.4


def test_an_endpoint_that_wants_a_long_pause_is_down(server: Endpoint) -> None:
    server.misbehave = lambda *_: complaint(429, "rate", **{"Retry-After": "86400"})
    with pytest.raises(ConnectionError, match=r"HTTP 429.* asks to wait 86,400 s"):
        remote(server, concurrency=1).encode(TEXTS)
    assert len(server.asked) == 1


def test_an_endpoint_that_is_not_there() -> None:
    with endpoint() as gone:
        pass
    meter = remote(gone, retries=1).in_run("a")
    with pytest.raises(ConnectionError, match="it cannot be reached"):
        meter.encode(TEXTS)
    assert (meter.used().requests, meter.used().tokens) == (0, 0)


def test_a_connection_that_does_not_come_about_costs_nothing() -> None:
    with contextlib.ExitStack() as opened:
        full = opened.enter_context(socket.socket())
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        for _ in range(3):  # nobody accepts: those who come later are not let in
            client = opened.enter_context(socket.socket())
            client.settimeout(0)
            client.connect_ex(full.getsockname())
        url = f"http://127.0.0.1:{full.getsockname()[1]}/v1"
        params = Params(url, "m", dim=DIM, connect_timeout=0.2, retries=3, backoff=0.01)
        meter = Remote(replace(params, max_tokens_per_run=1500)).in_run("a")
        with pytest.raises(EndpointDownError, match=r"4 tries.* connect_timeout = 0\.2 s"):
            meter.encode(["x" * 3999])
        assert (meter.used().requests, meter.used().tokens) == (0, 0)
