"""The encoder behind an endpoint: what it is built of, how it asks, and what it never tells."""

from __future__ import annotations

import json
import traceback
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import pytest

from encoders.base import EncoderError
from encoders.metering import EncodingStoppedError, PartialError
from encoders.registry import build
from encoders.remote import Params, recipe
from tests.encoders.asking import KEY, TEXTS, check, complaint, remote
from tests.encoders.endpoints import DIM, Asked, Endpoint, Reply, endpoint

if TYPE_CHECKING:
    from pathlib import Path


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
