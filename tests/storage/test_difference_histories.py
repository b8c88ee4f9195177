"""A difference of a version that keeps every content that a record ever had."""

from __future__ import annotations

from typing import TYPE_CHECKING

from storage.model import Counts
from tests.storage.compared import LABEL, Row, failures, letters, source, staged, table
from tests.storage.conftest import DIM

if TYPE_CHECKING:
    from pathlib import Path

    from tests.storage.compared import Compare

BASE = [
    Row("a", "was", day=1, run="r1"),
    Row("a", "is", day=1, run="r2"),
    Row("b", "x", day=1),
    Row("b", "y", day=2),
    Row("z", "p", day=1),
    Row("z", "q", day=2),
]


def test_contents_are_told_apart_by_record_and_time(compare: Compare, tmp_path: Path) -> None:
    difference = compare(table(*BASE), LABEL, history=True)
    difference.know_dead(failures(["bad"]))
    difference.add(
        source(
            Row("a", "was", day=1),  # overtaken by a later run, so it is to be written again
            Row("a", "is", day=3),
            Row("b", "y", 1, day=2),
            Row("b", "x", day=1),
            Row("c", "new", day=1),
            Row("d", "timeless"),
            Row("e", "bad", day=1),
            Row("b", "new", day=2),
        ),
        [],
    )
    assert difference.counts(remove_vanished=False) == Counts(
        records=8, new=1, changed=2, updated=1, unchanged=1, encoded=1, deduplicated=2, dead=3
    )
    timeless = "no event time: history = true keeps contents by the time they are of"
    assert letters(difference) == [
        ("b", "f:7", "duplicate id and event time, first seen at f:2"),
        ("d", "f:5", timeless),
        ("e", "f:6", "no good"),
    ]
    assert [*difference.gone(remove_vanished=False)] == [0, 3]
    assert difference.row_change(remove_vanished=False) == 2
    file = staged(tmp_path / "staged-0.parquet", {"new": 9})
    rows = difference.rows([file], DIM, "now", remove_vanished=False).read_all().to_pylist()
    assert [(row["record_id"], row["event_time"].day, row["vector"][0]) for row in rows] == [
        *(("c", 1, 9), ("a", 1, 0), ("a", 3, 1), ("b", 2, 3))
    ]
    assert [row["run_id"] for row in rows] == ["now", "now", "now", "old"]


def test_of_runs_that_wrote_for_one_time_the_last_counts(compare: Compare) -> None:
    rows = [Row("a", content, day=1, run=run) for content, run in (("2", "r1"), ("1", "r2"))]
    rows += [Row("b", content, day=1, run="r1") for content in ("2", "1")]
    rows += [Row("c", "1", day=1, run="r9"), Row("c", "1", day=2, run="r1")]
    for row, counts in (
        (rows[0], Counts(records=1, changed=1, deduplicated=1)),
        (rows[1], Counts(records=1, unchanged=1)),
        (rows[2], Counts(records=1, changed=1, deduplicated=1)),
        (rows[3], Counts(records=1, unchanged=1)),
        (rows[5], Counts(records=1, unchanged=1)),
    ):
        difference = compare(table(*rows), LABEL, history=True)
        difference.add(source(row), [])
        assert difference.counts(remove_vanished=False) == counts, row


def test_a_content_of_before_fails_no_record_that_has_it_published(compare: Compare) -> None:
    difference = compare(table(*BASE), LABEL, history=True)
    difference.know_dead(failures(["was", "bad"]))
    difference.add(source(Row("c", "was", day=1), Row("a", "bad", day=1)), [])
    assert difference.counts(remove_vanished=False) == Counts(
        records=2, new=1, deduplicated=1, dead=1
    )
    assert [*difference.gone(remove_vanished=False)] == []


def test_a_record_of_one_time_comes_once_in_all_chunks(compare: Compare) -> None:
    difference = compare(None, LABEL, history=True)
    difference.add(source(Row("a", "1", day=1), Row("a", "2", day=2)), [])
    again = [Row("a", "3", day=2), Row("a", "4", day=3), Row("b", "1", day=1), Row("b", "5")]
    difference.add(source(*again, first=2), [])
    assert difference.counts(remove_vanished=False) == Counts(
        records=6, new=4, encoded=3, deduplicated=1, dead=2
    )
    (first, _) = letters(difference)
    assert first == ("a", "f:2", "duplicate id and event time, first seen at f:1")


def test_records_of_a_history_count_once_and_go_with_all_they_were(compare: Compare) -> None:
    difference = compare(table(*BASE), LABEL, history=True)
    difference.add(source(Row("a", "is", day=1), Row("b", "y", day=2)), [])
    assert (difference.published_ids(), difference.gone_records()) == (3, 1)
    assert [*difference.vanished()] == ["z"]
    assert difference.row_change(remove_vanished=True) == -2
    assert [*difference.gone(remove_vanished=True)] == [4, 5]
    assert difference.counts(remove_vanished=True) == Counts(records=2, unchanged=2, deleted=1)
