"""What a difference counts, and what it says of each record of a plain table."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa
import pytest

from storage.entries import dead_table
from storage.model import Counts, DeadLetter
from tests.storage.compared import LABEL, Row, day, failures, letters, source, staged, table
from tests.storage.conftest import DIM

if TYPE_CHECKING:
    from pathlib import Path

    from tests.storage.compared import Compare

UNREAD = DeadLetter("f:99", "not JSON", "read", "j")
NAMELESS = DeadLetter("f:98", "no id", "read")


def test_each_record_counts_as_what_became_of_it(compare: Compare) -> None:
    base = [Row(name, name, day=1) for name in "abcdegj"]
    difference = compare(table(*base), LABEL)
    difference.know_dead(failures(["bad", "bad", "unmet"]))
    difference.know_staged(source(Row("", "once staged"), Row("", "once staged")))
    wanted = difference.add(
        source(
            Row("a", "a", day=1),
            Row("b", "made new", day=1),
            Row("c", "c", 1, day=1),
            Row("d", "d"),
            Row("e", "bad", day=1),
            Row("f", "made new", None),  # as bare as a row that is not there
            Row("h", "a"),
            Row("i", "once staged"),
            Row("k", "bad"),
        ),
        [UNREAD],
    )
    assert wanted["record_id"].to_list() == ["b"]
    assert difference.counts(remove_vanished=True) == Counts(
        records=10, new=3, changed=1, updated=2, unchanged=1, deleted=1,
        deduplicated=2, encoded=1, resumed=1, dead=3,
    )  # fmt: skip
    assert [*difference.vanished()] == ["g"]
    assert [*difference.vanished(remove_vanished=False)] == []
    assert difference.counts(remove_vanished=False).deleted == 0
    assert difference.row_change(remove_vanished=True) == 3 - 1
    assert difference.row_change(remove_vanished=False) == 3
    assert (difference.published_ids(), difference.given_records()) == (7, 10)
    assert (difference.gone_records(), difference.held_back()) == (1, 0)
    assert letters(difference) == [
        ("e", "f:4", "no good"),
        ("j", "f:99", "not JSON"),
        ("k", "f:8", "no good"),
    ]


def test_of_what_is_as_published_nothing_is_to_be_done(compare: Compare) -> None:
    rows = [Row("a", "same"), Row("b", "same", 3, day=2), Row("c", "other")]
    difference = compare(table(*rows), LABEL)
    assert len(difference.add(source(*rows[:2]), [])) == 0
    assert len(difference.add(source(rows[2], first=2), [])) == 0
    assert difference.counts(remove_vanished=True) == Counts(records=3, unchanged=3)
    assert difference.used([]) == []
    assert [*difference.gone(remove_vanished=True)] == []
    assert difference.rows([], DIM, "now", remove_vanished=True).read_all().num_rows == 0
    assert difference.row_change(remove_vanished=True) == 0
    difference.add(source(Row("d", "new"), first=3), [])
    assert difference.counts(remove_vanished=True) == Counts(
        records=4, new=1, unchanged=3, encoded=1
    )


def test_without_a_table_all_is_new(compare: Compare) -> None:
    difference = compare(None, LABEL)
    difference.add(source(Row("a", "x"), Row("b", "x")), [])
    assert difference.counts(remove_vanished=True) == Counts(
        records=2, new=2, encoded=1, deduplicated=1
    )
    assert (difference.rewrites, difference.published_ids()) == (False, 0)


def test_what_is_new_to_the_version_is_told_once_by_its_first_record(compare: Compare) -> None:
    difference = compare(table(Row("z", "z")), LABEL)
    difference.know_dead(failures(["failed before"]))
    difference.know_dead(failures(["failed"]), staged=True)
    difference.know_staged(source(Row("", "staged")))
    contents = ["new", "staged", "staged", "failed", "newer", "z", "failed before"]
    rows = [Row(f"r{n}", content) for n, content in enumerate(contents)]
    given = source(rows[0], Row("r0", "staged"), *rows[1:], *rows)
    assert difference.add(given, [])["content"].to_list() == ["new", "newer"]
    assert difference.fresh(given)["place"].to_list() == ["f:0", "f:2", "f:4", "f:5"]
    more = [Row(f"s{n}", content) for n, content in enumerate([*contents, "newest"])]
    later = source(*more, first=len(given))
    assert difference.add(later, [])["content"].to_list() == ["newest"]
    assert difference.fresh(later)["content"].to_list() == ["newest"]


def test_a_record_of_an_id_that_came_before_is_dead_and_says_where(compare: Compare) -> None:
    difference = compare(None, LABEL)
    difference.add(source(Row("a", "1"), Row("b", "2"), Row("b", "3"), Row("b", "3")), [])
    wanted = difference.add(source(Row("b", "4"), Row("c", "5"), Row("a", "1"), first=4), [])
    assert wanted["record_id"].to_list() == ["c"]
    expected = [
        ("a", "f:6", "duplicate id, first seen at f:0"),
        *(("b", place, "duplicate id, first seen at f:1") for place in ("f:2", "f:3", "f:4")),
    ]
    assert letters(difference) == expected
    assert letters(difference) == expected, "asked again it says the same"
    assert difference.counts(remove_vanished=True) == Counts(records=7, new=3, encoded=3, dead=4)
    (letter, *_) = difference.dead_letters().to_pylist()
    assert (letter["stage"], letter["content_hash"]) == ("read", "hash 3")


def test_records_that_go_by_their_content_are_numbered(compare: Compare, tmp_path: Path) -> None:
    x, y, z = ([Row(f"hash {c}", c, n) for n in range(4)] for c in "xyz")
    difference = compare(None, LABEL)
    refused = Row("own", "y")
    difference.add(source(Row("own", "o"), refused, *x[:2], z[0], Row("hash p", "o")), [])
    difference.add(source(y[0], Row("p", "x"), x[2], *z[1:3], first=6), [])
    file = staged(tmp_path / "staged-0.parquet", {"o": 0, "x": 1, "y": 2, "z": 3})
    rows = difference.rows([file], DIM, "now", remove_vanished=True).read_all()
    named = zip(rows["record_id"].to_pylist(), rows["label"].to_pylist(), strict=True)
    assert sorted(named) == [
        *(("hash p", 0), ("hash x", 0), ("hash x#2", 1), ("hash x#3", 2), ("hash y", 0)),
        *(("hash z", 0), ("hash z#2", 1), ("hash z#3", 2), ("own", 0), ("p", 0)),
    ]


def test_contents_of_earlier_chunks_count_where_a_later_one_is_the_first_to_go_by_it(
    compare: Compare,
) -> None:
    difference = compare(None, LABEL)
    difference.add(source(Row("a", "x"), Row("b", "x")), [])
    difference.add(source(Row("hash x", "x"), Row("c", "x"), first=2), [])
    difference.add(source(Row("hash x#3", "y"), first=4), [])
    assert letters(difference) == [("hash x#3", "f:4", "duplicate id, first seen at f:2")]


@pytest.mark.parametrize(("limit", "encoded"), [(-1, 0), (3, 3), (6, 6)])
def test_what_would_need_more_than_the_limit_is_left_out(
    compare: Compare, limit: int, encoded: int
) -> None:
    base = [Row("a", "a"), Row("gone", "gone")]
    fresh = [Row(f"n{n}", f"new {n}") for n in range(6)]
    again = [Row(f"m{n}", f"new {n}") for n in range(6)]
    refused = Row("n0", "new 5")
    difference = compare(table(*base), LABEL)
    given = source(base[0], *fresh, *again, refused, Row("z", "gone"))
    wanted = difference.add(given, [], limit)
    assert wanted["record_id"].to_list() == [f"n{n}" for n in range(encoded)]
    assert difference.fresh(given)["record_id"].to_list() == [f"n{n}" for n in range(encoded)]
    assert difference.counts(remove_vanished=False) == Counts(
        records=3 + 2 * encoded, new=1 + 2 * encoded, unchanged=1,
        encoded=encoded, deduplicated=1 + encoded, dead=1,
    )  # fmt: skip
    if encoded < 6:
        later = difference.add(source(fresh[5], first=15), [])
        assert later["record_id"].to_list() == ["n5"], "nobody has met it"


def test_while_ids_cannot_be_read_nothing_is_gone(compare: Compare) -> None:
    difference = compare(table(*[Row(name, name) for name in "abc"]), LABEL)
    difference.add(source(Row("a", "a")), [NAMELESS])
    difference.add(source(first=1), [UNREAD])
    assert [*difference.vanished()] == []
    assert (difference.held_back(), difference.gone_records()) == (2, 0)
    assert difference.row_change(remove_vanished=True) == 0
    assert difference.given_records() == 3
    counts = difference.counts(remove_vanished=True)
    assert (counts.records, counts.deleted, counts.dead) == (3, 0, 2)


def test_what_fails_is_told_once_and_as_it_was_first(compare: Compare) -> None:
    difference = compare(table(Row("a", "good")), LABEL)
    difference.know_dead(failures(["good", "bad", None], "first", lasting=False))
    difference.know_dead(failures(["bad"], "again"))
    difference.know_dead(failures(["worse", "worse"], "last"))
    mixed = [failures(["odd"], "odd", lasting=lasting) for lasting in (True, False)]
    difference.know_dead(pa.concat_tables(mixed))
    assert difference.passing() == 1
    rows = [Row("a", "good"), Row("b", "bad"), Row("c", "worse"), Row("d", "worse")]
    assert len(difference.add(source(*rows), [])) == 0
    told = {row["record_id"]: row for row in difference.dead_letters().to_pylist()}
    assert {name: (row["reason"], row["stage"]) for name, row in told.items()} == {
        "b": ("first", "read"),
        "c": ("last", "encode"),
        "d": ("last", "encode"),
    }
    assert difference.counts(remove_vanished=True) == Counts(records=4, unchanged=1, dead=3)


def test_a_letter_of_before_stands_unless_its_record_or_place_was_met(compare: Compare) -> None:
    difference = compare(None, LABEL)
    difference.add(source(Row("a", "1"), Row("a", "2")), [UNREAD])
    before = [
        DeadLetter("f:0", "place taken", "read", "x1"),
        DeadLetter("f:1", "place of a letter", "read", "x2"),
        DeadLetter("g:1", "taken", "read", "a"),
        DeadLetter("g:2", "a letter", "read", "j"),
        DeadLetter("g:3", "not met", "encode", "k", "hash k"),
        DeadLetter("g:4", "not met, no name", "read"),
    ]
    found = difference.still_dead(dead_table(before))
    assert sorted(found["reason"].to_pylist()) == ["not met", "not met, no name"]
    assert found.column_names == ["record_id", "place", "reason", "stage", "content_hash"]


def test_each_known_record_counts_once(compare: Compare) -> None:
    difference = compare(table(Row("a", "a"), Row("b", "b")), LABEL)
    difference.add(source(Row("b", "b"), Row("c", "c")), [])
    dead = [
        DeadLetter("g:1", "no good", "encode", "a", "hash 1"),
        DeadLetter("g:2", "no good", "read", "c"),
        DeadLetter("g:3", "not JSON", "read", "new"),
        DeadLetter("g:4", "no id", "read"),
        DeadLetter("g:5", "duplicate id, first seen at f:0", "read", "b"),
        DeadLetter("g:6", "another that is called so", "read", "a"),
    ]
    assert difference.known_records(dead_table(dead)) == 3 + 4
    assert difference.known_records(dead_table([])) == 3


def test_windows_count_their_records_and_what_is_first_encoded_in_them(compare: Compare) -> None:
    difference = compare(table(*(Row(name, name, day=1) for name in "abi")), LABEL)
    difference.know_staged(source(Row("", "staged")))
    difference.know_dead(failures(["bad"]))
    difference.add(
        source(
            Row("a", "a", day=1),
            Row("b", "new", day=4),
            Row("c", "new", day=2),
            Row("d", "newer", day=3),
            Row("e", "staged", day=2),
            Row("f", "bad", day=2),
            Row("g", "late", day=5),
            Row("h", "timeless"),
            Row("i", "changed", day=2),
        ),
        [],
    )
    bounds = [day(1), day(2), day(3), day(5)]
    assert difference.by_window(bounds) == [(1, 0), (4, 2), (2, 1)]
