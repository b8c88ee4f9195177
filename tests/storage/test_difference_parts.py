"""A difference of records in parts: they are numbered, refused, limited and counted whole."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from storage.entries import dead_table
from storage.model import Counts, DeadLetter
from storage.parts import PARTS
from tests.storage.compared import CUT, Row, failures, letters, parts, source, staged, table
from tests.storage.conftest import DIM

if TYPE_CHECKING:
    from pathlib import Path

    from tests.storage.compared import Compare

BASE = [
    *parts("a", "a0", "a1", "a2"),
    *parts("b", "b0", "b1"),
    *parts("kept", "k0", "k1"),
    *parts("gone", "g0", "g1"),
]
UNREAD = DeadLetter("f:99", "not JSON", "read", "kept")
NAMELESS = DeadLetter("f:98", "no id", "read")


def test_parts_count_and_vanish_by_themselves_and_records_whole(
    compare: Compare, tmp_path: Path
) -> None:
    difference = compare(table(*BASE), CUT, parts=PARTS)
    difference.know_dead(failures(["bad"]))
    given = source(*parts("a", "a0", "new"), *parts("b", "b0", "b1"), *parts("c", "c0", "bad"))
    wanted = difference.add(given, [UNREAD])
    assert wanted["content"].to_list() == ["new", "c0"]
    assert difference.counts(remove_vanished=True) == Counts(
        records=7, new=1, changed=1, updated=1, unchanged=2, deleted=3, encoded=2, dead=2
    )
    assert sorted(difference.vanished()) == ["a#2", "gone#0", "gone#1"]
    assert sorted(difference.vanished(remove_vanished=False)) == ["a#2"]
    assert difference.row_change(remove_vanished=True) == 1 - 3
    assert difference.row_change(remove_vanished=False) == 1 - 1
    assert [*difference.gone(remove_vanished=True)] == [0, 1, 2, 7, 8]
    assert [*difference.gone(remove_vanished=False)] == [0, 1, 2]
    assert (difference.gone_records(), difference.held_back()) == (1, 0)
    assert (difference.published_ids(), difference.given_records()) == (4, 4)
    assert letters(difference) == [
        ("c", "f:5", "no good (chunk 1, characters 10 to 19)"),
        ("kept", "f:99", "not JSON"),
    ]
    file = staged(tmp_path / "staged-0.parquet", {"new": 20, "c0": 21})
    rows = difference.rows([file], DIM, "now", remove_vanished=True).read_all().to_pylist()
    assert [(row["record_id"], row["parent_id"], row["vector"][0]) for row in rows] == [
        *(("a#1", "a", 20), ("c#0", "c", 21), ("a#0", "a", 0))
    ]


def test_a_record_that_came_before_is_refused_with_all_its_parts(compare: Compare) -> None:
    difference = compare(None, CUT, parts=PARTS)
    difference.add(source(*parts("a", "1", "2"), *parts("a", "3", "4", "5"), *parts("b", "6")), [])
    wanted = difference.add(source(*parts("b", "7", "8"), *parts("c", "1", "9"), first=6), [])
    assert wanted["content"].to_list() == ["9"]
    assert letters(difference) == [
        ("a", "f:2", "duplicate id, first seen at f:0"),
        ("b", "f:6", "duplicate id, first seen at f:5"),
    ]
    assert difference.given_records() == 5
    assert difference.counts(remove_vanished=True) == Counts(
        records=5 + 2, new=5, encoded=4, deduplicated=1, dead=2
    )


def test_a_record_that_came_twice_loses_what_its_first_has_no_more(compare: Compare) -> None:
    difference = compare(table(*BASE), CUT, parts=PARTS)
    difference.add(source(*parts("a", "a0"), *parts("a", "a0", "a1")), [])
    assert sorted(difference.vanished(remove_vanished=False)) == ["a#1", "a#2"]
    assert {"a#1", "a#2"} < {*difference.vanished()}


def test_records_in_parts_that_go_by_their_content_are_numbered_whole(
    compare: Compare, tmp_path: Path
) -> None:
    own = parts("hash 1|2", "1", "2")
    difference = compare(None, CUT, parts=PARTS)
    difference.add(source(*own, *own), [])
    difference.add(source(*own, first=4), [])
    file = staged(tmp_path / "staged-0.parquet", {"1": 1, "2": 2})
    rows = difference.rows([file], DIM, "now", remove_vanished=True).read_all()
    found = zip(rows["record_id"].to_pylist(), rows["parent_id"].to_pylist(), strict=True)
    names = ["hash 1|2", "hash 1|2#2", "hash 1|2#3"]
    assert sorted(found) == sorted((f"{name}#{n}", name) for name in names for n in (0, 1))


@pytest.mark.parametrize(("limit", "taken"), [(0, "a"), (2, "ab"), (3, "abc"), (4, "abcd")])
def test_a_limit_takes_records_whole_and_in_order(compare: Compare, limit: int, taken: str) -> None:
    records = {
        "a": parts("a", "a0", "a1"),
        "b": parts("b", "a0", "b1", "b2"),
        "c": parts("c", "b1", "c1"),
        "d": parts("d", "a0", "d1"),
    }
    difference = compare(table(*records["a"]), CUT, parts=PARTS)
    difference.add(source(*(row for some in records.values() for row in some)), [], limit)
    names = [name for name in "bcd" if name in taken]
    encoded = {"b": 2, "c": 1, "d": 1}
    rows = sum(len(records[name]) for name in names)
    encodes = sum(encoded[name] for name in names)
    assert difference.counts(remove_vanished=False) == Counts(
        records=2 + rows, new=rows, unchanged=2, encoded=encodes, deduplicated=rows - encodes
    )
    left = [name for name in "bcd" if name not in taken]
    first = 9
    for name in left:
        again = difference.add(source(*records[name], first=first), [])
        first += len(records[name])
        assert len(again) == encoded[name], "a record left out was not met"
    assert difference.counts(remove_vanished=False).dead == 0


def test_while_ids_cannot_be_read_only_read_records_lose_parts(compare: Compare) -> None:
    difference = compare(table(*BASE), CUT, parts=PARTS)
    difference.add(source(*parts("a", "a0", "a1")), [UNREAD, NAMELESS])
    assert [*difference.vanished()] == ["a#2"]
    assert (difference.gone_records(), difference.held_back()) == (0, 2)
    assert difference.row_change(remove_vanished=True) == -1


def test_the_words_about_a_part_are_not_said_twice(compare: Compare) -> None:
    times = replace(PARTS, unit="milliseconds")
    difference = compare(None, CUT, parts=times)
    difference.know_dead(failures(["bad"], "no good (chunk 7, milliseconds 1 to 2)"))
    difference.add(source(*parts("a", "good", "bad")), [])
    assert letters(difference) == [("a", "f:1", "no good (chunk 1, milliseconds 10 to 19)")]


def test_letters_and_records_are_told_by_the_record(compare: Compare) -> None:
    difference = compare(table(*BASE), CUT, parts=PARTS)
    difference.add(source(*parts("b", "b0"), *parts("new", "n0")), [])
    before = [
        DeadLetter("g:1", "place of a part", "encode", "b"),
        DeadLetter("g:2", "not met", "encode", "b#0"),
        DeadLetter("f:0", "place of a record", "encode", "y"),
        DeadLetter("g:4", "published", "encode", "gone"),
    ]
    assert sorted(difference.still_dead(dead_table(before))["reason"].to_pylist()) == [
        *("not met", "published")
    ]
    assert difference.known_records(dead_table(before)) == 5 + 4 - 2


def test_new_columns_keep_to_the_records_of_parts(compare: Compare) -> None:
    whole = table(*BASE)
    kept = CUT.append(CUT.field("parent_hash").with_name("more"))
    difference = compare(whole, kept, parts=PARTS)
    assert difference.rewrites
    given = source(*parts("a", "a0", "a1"), *[Row("b#0", "b0", of=("b", "b0", 0))])
    difference.add(given.with_columns(more=given["content"]), [UNREAD])
    rows = difference.rows([], DIM, "now", remove_vanished=True).read_all().to_pylist()
    assert [(row["record_id"], row["more"]) for row in rows] == [
        *(("a#0", "a0"), ("a#1", "a1"), ("b#0", "b0"), ("kept#0", None), ("kept#1", None))
    ]
    rows = difference.rows([], DIM, "now", remove_vanished=False).read_all().to_pylist()
    assert [row["record_id"] for row in rows] == [
        *("a#0", "a#1", "b#0", "kept#0", "kept#1", "gone#0", "gone#1")
    ]
