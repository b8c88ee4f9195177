"""When requests may be sent: by a clock of the test's own."""

from __future__ import annotations

import html
import json
import re
import urllib.parse
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import TYPE_CHECKING

import pytest

from encoders._complaint import complaint
from encoders._pacing import Pacer, asked_pause
from encoders._scatter import requests_of

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass
class Clock:
    """Moves on when somebody sleeps."""

    now: float = 100.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def times(pacer: Pacer, clock: Clock, tokens: list[int]) -> list[float]:
    found = []
    for count in tokens:
        pacer.wait(count, clock.sleep)
        found.append(clock.now - 100)
    return found


def test_requests_are_spread_over_the_minute() -> None:
    clock = Clock()
    assert times(Pacer(120, None, clock), clock, [1] * 4) == [0, 0.5, 1, 1.5]


def test_so_are_tokens() -> None:
    clock = Clock()
    assert times(Pacer(None, 6000, clock), clock, [100, 300, 50, 1]) == [0, 1, 4, 4.5]


def test_the_tighter_of_both_counts() -> None:
    clock = Clock()
    assert times(Pacer(60, 6000, clock), clock, [10, 300, 10, 10]) == [0, 1, 4, 5]


def test_time_that_passed_unused_is_not_saved_up() -> None:
    clock = Clock()
    pacer = Pacer(60, None, clock)
    times(pacer, clock, [1])
    clock.now += 50
    assert times(pacer, clock, [1, 1, 1]) == [50, 51, 52]


def test_nobody_sends_while_all_are_held() -> None:
    clock = Clock()
    pacer = Pacer(None, None, clock)
    assert times(pacer, clock, [1]) == [0]
    pacer.hold(7)
    pacer.hold(3)
    assert times(pacer, clock, [1, 1]) == [7, 7]


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, None),
        ({"retry-after": "12"}, 12),
        ({"retry-after": " 0.5 "}, 0.5),
        ({"retry-after": "-3"}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "1" * 400}, None),
        ({"retry-after": "Thu, 01 Jan 1970 00:00:00 GMT"}, 0),
        ({"retry-after-ms": "250", "retry-after": "9"}, 0.25),
        ({"x-ratelimit-reset-tokens": "6m0s"}, None),
        ({"x-ratelimit-reset-tokens": "6m0s", "x-ratelimit-remaining-tokens": "0"}, 360),
        ({"x-ratelimit-reset-requests": "20ms", "x-ratelimit-remaining-requests": "0"}, 0.02),
        ({"x-ratelimit-reset-requests": "1h2m3.5s", "x-ratelimit-remaining-requests": "0"}, 3723.5),
        ({"x-ratelimit-reset-requests": "later", "x-ratelimit-remaining-requests": "0"}, None),
    ],
)
def test_what_an_endpoint_asks_for(headers: dict[str, str], expected: float | None) -> None:
    assert asked_pause(headers) == (expected if expected is None else pytest.approx(expected))


def test_a_date_is_a_pause_until_then() -> None:
    moment = datetime.now(UTC) + timedelta(hours=1)
    for text in (
        format_datetime(moment, usegmt=True),
        format_datetime(moment.replace(tzinfo=None)),
    ):
        found = asked_pause({"retry-after": text})
        assert found is not None
        assert 3000 < found <= 3600


@pytest.mark.parametrize(
    ("tokens", "expected"),
    [
        ([], []),
        ([5], [1]),
        ([1] * 7, [3, 3, 1]),
        ([6, 6, 6], [1, 1, 1]),
        ([5, 5, 1, 99, 1], [2, 1, 1, 1]),
    ],
)
def test_requests_are_cut_by_texts_and_tokens(tokens: list[int], expected: list[int]) -> None:
    parts = list(requests_of(tokens, 3, 10))
    assert [len(part) for part in parts] == expected
    assert [row for part in parts for row in part] == list(range(len(tokens)))


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"", ""),
        (b"<html>", ""),
        (b"[" * 100_000, ""),
        (b'{"error": {"message": "too many tokens", "code": "long"}}', "long: too many tokens"),
        (b'{"error": "batch size 64 > 32", "error_type": "Validation"}',
         "Validation: batch size 64 > 32"),
        (b'{"detail": "no such route"}', "no such route"),
        ('{"detail": "cannot read Łódź and secret-words"}'.encode(), "cannot read … and …"),
        (b'{"error": "key k-123 is bad"}', "key *** is bad"),
    ],
)  # fmt: skip
def test_what_may_be_told_of_a_complaint(body: bytes, expected: str) -> None:
    assert complaint(body, ["Secret words, of łódź"], "k-123") == expected


@pytest.mark.parametrize(
    "quoted",
    [
        json.dumps,
        ascii,
        repr,
        lambda text: json.dumps(json.dumps([text])),
        lambda text: json.dumps(text)[:9],
        lambda text: text.encode("unicode_escape").decode(),
        lambda text: str(text.encode())[1:],
        lambda text: "".join(f"\\u{{{ord(c):x}}}" if ord(c) > 127 else c for c in text),
        lambda text: "".join(f"\\{byte:o}" if byte > 127 else chr(byte) for byte in text.encode()),
        urllib.parse.quote,
        lambda text: text.encode("ascii", "xmlcharrefreplace").decode(),
        html.escape,
    ],
)
def test_a_record_is_hidden_however_it_is_quoted(quoted: Callable[[str], str]) -> None:
    text = '患者李雷\nnaïve \U0001f600\t"łódź" & <x>'
    body = json.dumps({"error": {"message": f"cannot read: {quoted(text)}"}}).encode()
    shown = complaint(body, [text], None)
    assert shown.startswith("cannot read: ")
    assert not re.search(r"\w", shown.removeprefix("cannot read: "))


def test_a_long_complaint_is_cut() -> None:
    assert len(complaint(b'{"error": "%s"}' % (b"wheel " * 5000), ["x"], None)) <= 201
