"""The encoder behind an endpoint, against one on this machine that misbehaves in all known ways."""

from __future__ import annotations

import contextlib
import gzip
import json
import socket
import threading
import time
import traceback
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import pytest
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace

from encoders._endpoint import EndpointDownError
from encoders.base import EncoderError
from encoders.metering import EncodingStoppedError, PartialError
from encoders.registry import build
from encoders.remote import Params, Remote, price, recipe
from tests.encoders.endpoints import (
    DIM,
    Asked,
    Endpoint,
    Reply,
    endpoint,
    tokens_of,
    units_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

TEXTS = [f"mill {n} stone" for n in range(20)]
BOMB = gzip.compress(bytes(2**24))
KEY = "sk-test-0123456789abcdef"


@pytest.fixture
def server() -> Iterator[Endpoint]:
    with endpoint() as found:
        yield found


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


def test_answers_come_in_any_order(server: Endpoint) -> None:
    server.misbehave = lambda _, right: answer(right, list.reverse)
    check(remote(server).encode(TEXTS))
    assert len(server.asked) == 5


def test_answers_without_an_index_are_in_order(server: Endpoint) -> None:
    server.misbehave = lambda _, right: answer(right, lambda data: [d.pop("index") for d in data])
    check(remote(server).encode(TEXTS))


@pytest.mark.parametrize("api", ["openai", "tei"])
@pytest.mark.parametrize("status", [400, 413, 422])
def test_only_the_text_that_is_refused_has_no_vector(
    server: Endpoint, api: str, status: int
) -> None:
    texts = [*TEXTS[:9], "POISON here", *TEXTS[9:]]

    def misbehave(asked: Asked, _: Reply) -> Reply | None:
        found = any("POISON" in text for text in asked.texts)
        return complaint(status, "cannot read POISON, too long") if found else None

    server.misbehave = misbehave
    url = server.openai if api == "openai" else server.url
    with pytest.raises(PartialError, match=f"20 of 21 .* refused it: HTTP {status}") as told:
        remote(server, api=api, url=url).encode(texts)
    assert told.value.done == set(range(21)) - {9}
    assert set(told.value.failed) == {9}
    assert "too long" in told.value.failed[9]
    assert "POISON" not in str(told.value)
    done = sorted(told.value.done)
    check(told.value.vectors[done], [texts[row] for row in done])
    assert max(server.answered.values()) == 1, "a text was paid for twice"


def test_a_batch_that_is_too_large_is_halved(server: Endpoint) -> None:
    server.misbehave = lambda asked, _: complaint(413, "size") if len(asked.texts) > 2 else None
    check(remote(server, batch_size=8).encode(TEXTS))
    assert set(server.answered.values()) == {1}


@pytest.mark.parametrize("value", ["NaN", "Infinity", "-Infinity", "1e400", "1e39", "null"])
def test_a_vector_that_is_not_finite_is_none(server: Endpoint, value: str) -> None:
    def misbehave(asked: Asked, right: Reply) -> Reply | None:
        if TEXTS[6] not in asked.texts:
            return None
        numbers = ["0.5"] * (DIM - 1) + [value]
        at = asked.texts.index(TEXTS[6])
        body = answer(right, lambda data: data[at].update(embedding="HERE")).body
        return replace(right, body=body.replace(b'"HERE"', f"[{', '.join(numbers)}]".encode()))

    server.misbehave = misbehave
    with pytest.raises(PartialError, match=r"19 of 20 .* gave NaN, infinity or null") as told:
        remote(server).encode(TEXTS)
    assert set(told.value.failed) == {6}
    assert told.value.done == set(range(20)) - {6}
    assert len(server.asked) == 5


def test_no_vector_at_all_for_one_text(server: Endpoint) -> None:
    def misbehave(asked: Asked, right: Reply) -> Reply | None:
        if TEXTS[3] not in asked.texts:
            return None
        at = asked.texts.index(TEXTS[3])
        return answer(right, lambda data: data[at].update(embedding=None))

    server.misbehave = misbehave
    meter = remote(server).in_run("a")
    with pytest.raises(PartialError, match="gave null") as told:
        meter.encode(TEXTS)
    assert set(told.value.failed) == {3}
    done = sorted(told.value.done)
    assert done == [row for row in range(20) if row != 3]
    check(told.value.vectors[done], [TEXTS[row] for row in done])
    assert (meter.used().requests, meter.used().tokens) == (5, tokens_of(TEXTS))


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        (complaint(401, "bad key"), "HTTP 401.*the key is missing or wrong"),
        (complaint(402, "pay"), "HTTP 402.*paid"),
        (complaint(403, "no"), "HTTP 403.*may not use this model"),
        (complaint(404, "no such model"), "HTTP 404.*no such model.*with /v1 at its end"),
        (complaint(405, "no"), "HTTP 405.*see what the endpoint supports"),
        (Reply(307, b"", {"Location": "http://example.org/"}), "redirect"),
        (
            Reply(429, b'{"error": {"code": "insufficient_quota", "message": "pay"}}'),
            "HTTP 429.*quota is used up",
        ),
    ],
)
def test_what_cannot_get_better_stops_at_once(
    server: Endpoint, reply: Reply, expected: str
) -> None:
    server.misbehave = lambda *_: reply
    with pytest.raises(EncodingStoppedError, match=expected):
        remote(server, concurrency=1).encode(TEXTS)
    assert len(server.asked) == 1


def test_what_was_answered_before_a_stop_is_handed_over(server: Endpoint) -> None:
    server.misbehave = lambda asked, _: complaint(401, "gone") if asked.number == 2 else None
    with pytest.raises(PartialError, match=r"8 of 20 .* HTTP 401") as told:
        remote(server, concurrency=1).encode(TEXTS)
    assert isinstance(told.value.cause, EncodingStoppedError)
    assert told.value.done == set(range(8))
    check(told.value.vectors[:8], TEXTS[:8])
    assert not told.value.failed


def test_vectors_of_another_width_are_refused(server: Endpoint) -> None:
    with pytest.raises(EncodingStoppedError, match="of 16 dimensions, but dim = 12 is declared"):
        remote(server, dim=12, concurrency=1).encode(TEXTS)
    assert len(server.asked) == 1


def test_a_redirect_takes_nothing_elsewhere(
    server: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("A_KEY", KEY)
    with endpoint() as other:
        away = Reply(308, b"", {"Location": f"{other.openai}/embeddings"})
        server.misbehave = lambda *_: away
        with pytest.raises(EncodingStoppedError, match="not followed"):
            remote(server, key_env="A_KEY").encode(TEXTS)
        assert not other.asked


@pytest.mark.parametrize("status", [200, 400, 401, 429, 500])
def test_no_error_holds_the_key_or_a_text(
    server: Endpoint, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    monkeypatch.setenv("A_KEY", f"{KEY}\n")
    texts = ["Johanna Müller, born 1970"]

    def misbehave(asked: Asked, _: Reply) -> Reply:
        sent = asked.headers["authorization"]
        reply = complaint(status, f"{sent} may not read {asked.texts}, nor {asked.body}")
        return replace(reply, headers={**reply.headers, "x-ratelimit": sent})

    server.misbehave = misbehave
    with pytest.raises((PartialError, EncoderError, ConnectionError), match=r".") as told:
        remote(server, key_env="A_KEY", retries=1).encode(texts)
    assert server.asked[0].headers["authorization"] == f"Bearer {KEY}"
    words = "".join(traceback.format_exception(told.value)) + repr(told.value)
    for hidden in (KEY, "Johanna", "ller", "1970"):
        assert hidden not in words
    if status in {400, 401, 429, 500}:
        assert "may not read" in words


def test_base64_is_given_up_where_it_is_refused(server: Endpoint) -> None:
    def misbehave(asked: Asked, _: Reply) -> Reply | None:
        refused = asked.body["encoding_format"] == "base64"
        return complaint(400, "unknown encoding_format") if refused else None

    server.misbehave = misbehave
    encoder = remote(server, concurrency=1)
    check(encoder.encode(TEXTS))
    assert [a.body["encoding_format"] for a in server.asked] == ["base64"] + ["float"] * 5


@pytest.mark.parametrize("concurrency", [1, 4])
def test_a_request_that_is_refused_whatever_it_holds_stops_the_run(
    server: Endpoint, concurrency: int
) -> None:
    server.misbehave = lambda *_: complaint(400, "dimensions not supported by this mill")
    expected = r"none of 20 texts.* HTTP 400, 'some_error: dimensions not .*model, dimensions"
    with pytest.raises(EncodingStoppedError, match=expected) as told:
        remote(server, concurrency=concurrency).encode(TEXTS)
    assert "mill" not in str(told.value)
    halves = 5 * (2 * 4 - 1)
    assert len(server.asked) in range(halves + 1, halves + 1 + concurrency)


def test_an_endpoint_that_has_taken_something_may_refuse_all_the_rest(server: Endpoint) -> None:
    server.misbehave = lambda asked, _: complaint(400, "too long") if asked.number else None
    encoder = remote(server, concurrency=1)
    check(encoder.encode(TEXTS[:4]), TEXTS[:4])
    with pytest.raises(PartialError, match=r"0 of 4 .* too long") as told:
        encoder.encode(TEXTS[4:8])
    assert set(told.value.failed) == {0, 1, 2, 3}


def test_texts_that_are_refused_for_different_reasons_are_at_fault_themselves(
    server: Endpoint,
) -> None:
    server.misbehave = lambda asked, _: complaint(400, f"{asked.number} tokens")
    with pytest.raises(PartialError, match=r"0 of 4 .* tokens") as told:
        remote(server).encode(TEXTS[:4])
    assert set(told.value.failed) == {0, 1, 2, 3}


def test_an_outage_amid_refusals_blames_no_text(server: Endpoint) -> None:
    server.misbehave = lambda asked, _: complaint(400 if asked.number < 6 else 500, "oh")
    with pytest.raises(EndpointDownError, match="HTTP 500"):
        remote(server, concurrency=1, retries=0).encode(TEXTS)


def test_base64_is_tried_again_after_a_text_that_no_encoding_helps(server: Endpoint) -> None:
    poison = [TEXTS[0], "POISON", *TEXTS[1:]]
    server.misbehave = lambda asked, _: complaint(400, "no") if "POISON" in asked.texts else None
    with pytest.raises(PartialError, match="20 of 21"):
        remote(server, concurrency=1).encode(poison)
    asked = [(len(a.texts), a.body["encoding_format"]) for a in server.asked]
    assert asked[:4] == [(4, "base64"), (4, "float"), (2, "float"), (1, "float")]
    assert asked[4:6] == [(1, "base64"), (1, "float")]
    assert {encoding for _, encoding in asked[-4:]} == {"base64"}


def test_floats_are_read_where_base64_is_overlooked(server: Endpoint) -> None:
    def misbehave(asked: Asked, right: Reply) -> Reply:
        rows = server.embed(asked.texts, DIM).tolist()
        return answer(
            right,
            lambda data: [one.update(embedding=row) for one, row in zip(data, rows, strict=True)],
        )

    server.misbehave = misbehave
    check(remote(server).encode(TEXTS))
    assert len(server.asked) == 5


def test_so_many_requests_at_once_and_no_more(server: Endpoint) -> None:
    together = threading.Barrier(3)
    server.misbehave = lambda *_: (together.wait(60), None)[1]
    encoder = remote(server, concurrency=3, batch_size=1)
    texts = [f"text {n}" for n in range(12)]
    threads = [threading.Thread(target=encoder.encode, args=(texts[:6],)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert server.most_at_once == 3


def test_requests_hold_so_many_texts_and_tokens(server: Endpoint) -> None:
    texts = ["a" * 400, *("b" * 40 for _ in range(6)), "c" * 4000]
    found = remote(server, concurrency=1, max_batch_tokens=120, batch_size=4).encode(texts)
    check(found, texts)
    assert [len(asked.texts) for asked in server.asked] == [2, 4, 1, 1]


def test_tokens_are_counted_by_a_tokenizer_where_there_is_one(tmp_path: Path) -> None:
    words = Tokenizer(WordLevel({"mill": 0, "stone": 1, "?": 2}, unk_token="?"))  # noqa: S106 - a word
    words.pre_tokenizer = Whitespace()
    words.save(str(tmp_path / "tokenizer.json"))
    keys: dict[str, Any] = {"url": "https://a.example/v1", "model": "m", "dim": 4}
    keys["price_per_million_tokens"] = 1e6
    texts = ["mill stone", "the cat sat"]
    assert price(Params(**keys), texts) == (3 + 3, "USD")
    for place in (tmp_path, tmp_path / "tokenizer.json"):
        told = price(Params(**keys, tokenizer=str(place), currency="EUR"), texts)
        assert told == (2 + 3, "EUR")
    assert price(Params(**{**keys, "price_per_million_tokens": None}), texts) is None
    with pytest.raises(EncoderError, match="tokenizer = '/nowhere' is not there"):
        price(Params(**keys, tokenizer="/nowhere"), texts)


def test_a_run_counts_what_the_endpoint_reports(server: Endpoint) -> None:
    meter = remote(server, price_per_million_tokens=0.5).in_run("a")
    check(meter.encode(TEXTS))
    used = meter.used()
    assert (used.requests, used.tokens) == (5, tokens_of(TEXTS))
    assert used.amount == pytest.approx(tokens_of(TEXTS) / 2e6)
    assert used.currency == "USD"


@pytest.mark.parametrize("concurrency", [1, 4])
def test_a_run_stops_before_the_request_that_would_cost_too_much(
    server: Endpoint, concurrency: int
) -> None:
    limit = tokens_of(TEXTS[:13])
    encoder = remote(server, max_tokens_per_run=limit, concurrency=concurrency)
    with pytest.raises(PartialError, match=rf"would exceed max_tokens_per_run = {limit}") as told:
        encoder.in_run("a").encode(TEXTS)
    assert told.value.done == set(range(12))
    assert tokens_of(list(server.answered.elements())) <= limit
    with pytest.raises(EncodingStoppedError, match="has used 48 tokens"):
        encoder.in_run("a").encode(TEXTS[12:])
    check(encoder.in_run("b").encode(TEXTS[12:]), TEXTS[12:])
    assert set(server.answered.values()) == {1}


def test_a_low_estimate_is_mended_by_what_is_reported(server: Endpoint) -> None:
    texts = ["a b c d e f g h i j k l"] * 20  # six tokens by length, thirteen by the endpoint
    encoder = remote(server, max_tokens_per_run=tokens_of(texts[:13]), concurrency=1)
    with pytest.raises(PartialError, match="would exceed"):
        encoder.in_run("a").encode(texts)
    assert sum(server.answered.values()) == 12


def test_queries_have_a_prompt_of_their_own(server: Endpoint) -> None:
    encoder = remote(server, prompt="passage: ", query_prompt="query: ")
    check(encoder.encode(["mill"]), ["passage: mill"])
    check(encoder.encode_query(["mill"]), ["query: mill"])
    check(remote(server, prompt="p: ").encode_query(["mill"]), ["p: mill"])


def test_a_query_that_is_refused_is_an_error_of_its_own(server: Endpoint) -> None:
    server.misbehave = lambda *_: complaint(400, "too long")
    with pytest.raises(EncoderError, match=r"0 of 1 record was encoded: .* too long"):
        remote(server).encode_query(["mill"])


def test_building_asks_nobody(server: Endpoint) -> None:
    encoder = remote(server)
    assert encoder.dim == DIM
    assert encoder.encode([]).shape == (0, DIM)
    assert not server.asked


def test_a_model_that_moves_keeps_its_fingerprint() -> None:
    here = Params("https://a.example/v1", "m", dim=8, key_env="A_KEY", concurrency=2)
    there = Params("https://b.example/v1", "m", dim=8, timeout=5.0, price_per_million_tokens=1.0)
    there = replace(there, query_prompt="query: ")
    assert recipe(here) == recipe(there)
    changes: list[dict[str, Any]]
    changes = [{"model": "n"}, {"revision": "2"}, {"prompt": "x"}, {"normalize": False}]
    for change in changes:
        assert recipe(replace(here, **change)) != recipe(here)
    assert "example" not in json.dumps(recipe(here))


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ({"dim": None}, "dim is missing"),
        ({"dimensions": 8}, "dim = 16 and dimensions = 8 differ"),
        ({"url": "api.openai.com/v1"}, "url must be an address"),
        ({"url": "https://"}, "url must be an address"),
        ({"url": "https://a.example:port/v1"}, "url must be an address"),
        ({"url": "ftp://a.example/"}, "url must be an address"),
        ({"url": "https://me:secret@a.example/v1"}, "no user or password"),
        ({"url": "https://a.example/v1?key=secret"}, "end before any"),
        ({"url": "http://a.example/v1", "key_env": "A_KEY"}, "anybody on the way"),
        ({"key_env": KEY}, "the name of an environment variable"),
        ({"key_env": "0123456789abcdef"}, "the name of an environment variable"),
        ({"api": "cohere"}, "api must be 'openai' or 'tei'"),
        ({"encoding_format": "hex"}, "encoding_format must be"),
        ({"batch_size": 0}, "batch_size must be 1 or more"),
        ({"retries": -1}, "retries must be 0 or more"),
        ({"timeout": float("nan")}, "timeout must be above 0"),
        ({"tokens_per_minute": 0.0}, "tokens_per_minute must be above 0"),
        ({"price_per_million_tokens": -1.0}, "price_per_million_tokens must be 0 or more"),
        ({"max_tokens_per_run": 0}, "max_tokens_per_run must be 1 or more"),
    ],
)
def test_wrong_values_are_refused(keys: dict[str, Any], expected: str) -> None:
    with pytest.raises(ValueError, match=expected) as told:
        Params(**{"url": "https://a.example/v1", "model": "m", "dim": 16, **keys})
    assert "secret" not in str(told.value)
    assert KEY not in str(told.value)


def test_an_open_connection_is_allowed_where_it_is_asked_for_or_stays_here() -> None:
    Params("http://a.example/v1", "m", dim=8, key_env="A_KEY", allow_insecure=True)
    for host in ("localhost", "127.0.0.1", "127.8.8.8", "[::1]"):
        Params(f"http://{host}:80/v1", "m", dim=8, key_env="A_KEY")


@pytest.mark.parametrize(("key", "expected"), [("", "is not set"), ("a b", "white space")])
def test_a_key_must_be_there(monkeypatch: pytest.MonkeyPatch, key: str, expected: str) -> None:
    monkeypatch.setenv("A_KEY", key)
    params = Params("https://a.example/v1", "m", dim=8, key_env="A_KEY")
    with pytest.raises(EncoderError, match=f"A_KEY.*{expected}"):
        build("remote", params)
    assert recipe(params)["model"] == "m"  # which a plan needs, without a key


@pytest.mark.realdata
@pytest.mark.slow
@pytest.mark.parametrize("api", ["openai", "tei"])
def test_gives_what_sentence_transformers_gives(server: Endpoint, data: Path, api: str) -> None:
    from encoders import sentence

    news = pl.read_csv(data / "text" / "ag_news.csv", n_rows=60)["body"].to_list()
    model = sentence.build(sentence.Params())
    server.embed = lambda texts, _: model.encode(texts)
    url = server.openai if api == "openai" else server.url
    found = remote(server, api=api, url=url, dim=384, batch_size=7).encode(news)
    np.testing.assert_allclose(found, model.encode(news), rtol=0, atol=2e-6)
