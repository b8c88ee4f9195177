"""What is erased goes from texts whole, and what it is a part of stays."""

from __future__ import annotations

import json

import pytest

from storage.blotting import Blotter, holding

IDS = frozenset({"record-10", "7", "the", "naïve-ключ", "a\nline-of-two", "photos/cat.jpg"})
VALUES = frozenset({"a value of nobody else"})
OTHERS = frozenset({"record-10/2", "my record-10", "record-10 ", "record-10.", "record-100"})
CLEANS = Blotter(IDS, VALUES, OTHERS)


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("record-10 is far out", "[erased] is far out"),
        ("record-100 is far out", "record-100 is far out"),
        ("record-10, record-100 and record-10.", "[erased], record-100 and [erased]."),
        ("'record-10' and 'record-100'", "'[erased]' and 'record-100'"),
        ("record-1001 and record-10b and Xrecord-10", "record-1001 and record-10b and Xrecord-10"),
        ("record-10/2, (record-10), record-10/3", "record-10/2, ([erased]), [erased]/3"),
        ("record-10/25 is not record-10/2", "[erased]/25 is not record-10/2"),
        ("'my record-10' stays, my record-10 goes", "'my record-10' stays, my [erased] goes"),
        ("'record-10.' stays, not record-10.", "'record-10.' stays, not [erased]."),
        ("7 of the 77: '7', '77', \"the\"", "7 of the 77: '[erased]', '77', \"[erased]\""),
        ("наивный naïve-ключ, naïve-ключи", "наивный [erased], naïve-ключи"),
        ("naïve-ключは読めない", "[erased]は読めない"),
        (r"in 'a\nline-of-two' or a\\nline-of-two", "in '[erased]' or [erased]"),
        (r"two\nrecord-10, x%2Frecord-10", r"two\n[erased], x%2F[erased]"),
        ("/old/photos/cat.jpg: broken", "/old/[erased]: broken"),
        ("xa value of nobody elsex", "x[erased]x"),
    ],
)
def test_whole_ids_go_from_texts(text: str, cleaned: str) -> None:
    assert CLEANS.text(text) == cleaned
    held = json.dumps({text: [text, {"told": text, "n": 1.5, "none": None}]}, ensure_ascii=False)
    expected = {cleaned: [cleaned, {"told": cleaned, "n": 1.5, "none": None}]}
    assert CLEANS.json(json.loads(held), named=True) == expected


def test_ids_in_fields_of_their_own_are_compared() -> None:
    value = [{"record_ids": ["record-10", "record-100", "7", "the"], "name": "'record-10'"}]
    (own,) = CLEANS.json(value, named=True)
    assert own == {"record_ids": ["record-100"], "name": "'[erased]'"}
    (others,) = CLEANS.json(value, named=False)
    assert others["record_ids"] == value[0]["record_ids"]


def test_ids_that_begin_at_once_and_overlap_are_each_seen() -> None:
    cleans = Blotter(frozenset({"ab-record", "record-10"}), frozenset())
    assert cleans.text("xab-record-10") == "xab-[erased]"


def test_ids_that_hold_others_are_found() -> None:
    assert holding(["record-100", "record-10", "ord-1", "x"], ["record-10"]) == {"record-100"}
