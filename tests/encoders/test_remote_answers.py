"""What an endpoint answers text by text: order, refusals, vectors that are none, base64."""

from __future__ import annotations

from dataclasses import replace

import pytest

from encoders._endpoint import EndpointDownError
from encoders.metering import EncodingStoppedError, PartialError
from tests.encoders.asking import TEXTS, answer, check, complaint, remote
from tests.encoders.endpoints import DIM, Asked, Endpoint, Reply, tokens_of


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
