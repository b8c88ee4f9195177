"""How many requests, texts and tokens go at once, what they cost, and where a run stops."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace

from encoders.base import EncoderError
from encoders.metering import EncodingStoppedError, PartialError
from encoders.remote import Params, price
from tests.encoders.asking import TEXTS, check, remote
from tests.encoders.endpoints import Endpoint, tokens_of

if TYPE_CHECKING:
    from pathlib import Path


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
