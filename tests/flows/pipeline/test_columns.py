"""Kept columns and their types: remembered, added, taken away, refused."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING

import polars as pl
import pytest

from flows.sources.base import SourceError
from tests.flows.project import HEADER

if TYPE_CHECKING:
    from tests.flows.project import Project

NUMBERED = (*HEADER, "n")
FOUR = (("a", "wheel", "x", 1), ("b", "grain", "y", 2), ("c", "flour", "z", 3), ("d", "it", "", 4))


def values(project: Project, column: str) -> dict[str, object]:
    return {record_id: row[column] for record_id, row in sorted(project.rows().items())}


def test_one_odd_value_is_a_dead_letter_and_not_another_type(project: Project) -> None:
    project.source = {"keep": ["n"]}
    project.write(FOUR, NUMBERED)
    first = project.run()
    project.write([*FOUR[:3], ("d", "it", "", "four")], NUMBERED)
    second = project.run()
    assert (second.counts.dead, second.counts.unchanged) == (1, 3)
    assert second.lance_version == first.lance_version
    assert values(project, "n") == {"a": 1, "b": 2, "c": 3, "d": 4}


def test_a_column_that_came_later_keeps_its_type_too(project: Project) -> None:
    project.write(FOUR, NUMBERED)
    project.run()
    project.source = {"keep": ["label", "n"]}
    project.run()
    project.write([*FOUR[:3], ("d", "it", "", "four")], NUMBERED)
    assert project.run().counts.dead == 1
    assert values(project, "n") == {"a": 1, "b": 2, "c": 3, "d": 4}


def test_a_new_column_rewrites_the_table_and_encodes_nothing(project: Project) -> None:
    project.feature = {"vanished": "keep"}
    project.write(FOUR, NUMBERED)
    first = project.run()
    before = project.rows()
    project.encoded()
    project.source = {"keep": ["label", "n"]}
    project.write([FOUR[0], ("b", "FAIL", "new", 9), ("c", "stone", "z", 3)], NUMBERED)
    second = project.run()
    c = second.counts
    assert (c.updated, c.dead, c.changed, c.deleted) == (1, 1, 1, 0)
    assert project.encoded() == ["stone"]
    rows = project.rows()
    assert values(project, "n") == {"a": 1, "b": None, "c": 3, "d": None}
    # rows without a readable record keep what they had
    assert values(project, "label") == {"a": "x", "b": "y", "c": "z", "d": None}
    for record_id in "abd":
        assert rows[record_id] == before[record_id] | {"n": rows[record_id]["n"]}
        assert rows[record_id]["run_id"] == first.run
    assert rows["c"]["run_id"] == second.run


def test_a_column_taken_away_rewrites_the_table(project: Project) -> None:
    project.source = {"keep": ["label", "n"]}
    project.write(FOUR, NUMBERED)
    project.run()
    before = project.rows()
    project.encoded()
    project.source = {"keep": ["n"]}
    project.write(FOUR[:3], NUMBERED)
    outcome = project.run()
    assert (outcome.counts.updated, outcome.counts.deleted, project.encoded()) == (3, 1, [])
    expected = {i: {k: v for k, v in before[i].items() if k != "label"} for i in "abc"}
    assert project.rows() == expected


def test_a_column_may_change_its_type(project: Project) -> None:
    project.feature = {"vanished": "keep"}
    project.source = {"keep": ["n"]}
    project.write(FOUR, NUMBERED)
    project.run()
    project.source = {"keep": ["n"], "types": {"n": "str"}}
    project.write(FOUR[:3], NUMBERED)
    outcome = project.run()
    assert outcome.counts.updated == 3
    assert values(project, "n") == {"a": "1", "b": "2", "c": "3", "d": "4"}
    assert project.run().counts.unchanged == 3


@pytest.mark.parametrize(
    "name", ["vector", "VECTOR", "run_id", "a.b", "`n`", "_distance", "_rowid"]
)
def test_a_column_that_no_table_can_hold_is_refused(project: Project, name: str) -> None:
    project.source = {"keep": [name]}
    project.write([], (*HEADER, name))
    with pytest.raises(SourceError, match=r"keeps a column .* cannot hold.*; rename it"):
        project.run()


def test_columns_that_differ_in_case_alone_are_refused(project: Project) -> None:
    project.source = {"keep": ["label", "Label"]}
    project.write([], (*HEADER, "Label"))
    with pytest.raises(SourceError, match=r"'Label'.* in whatever case"):
        project.run()


def test_event_times_are_kept_and_followed(project: Project) -> None:
    project.source = {"event_time": "at"}
    project.write([("a", "wheel", "x", "2026-01-02T03:04:05.678+02:00")], (*HEADER, "at"))
    project.run()
    assert values(project, "event_time") == {
        "a": datetime(2026, 1, 2, 1, 4, 5, 678_000, tzinfo=UTC)
    }
    project.write([("a", "wheel", "x", "2026-01-03")], (*HEADER, "at"))
    assert project.run().counts.updated == 1
    assert values(project, "event_time") == {"a": datetime(2026, 1, 3, tzinfo=UTC)}


def test_columns_of_many_types_are_stored_once_and_for_all(project: Project) -> None:
    moment = datetime(2026, 1, 2, 3, 4, 5, 678_901)  # noqa: DTZ001 - a time without a zone is the point
    frame = pl.DataFrame(
        {
            "id": ["a", "b"],
            "text": ["wheel", "grain"],
            "tiny": pl.Series([1, None], dtype=pl.UInt8),
            "half": pl.Series([1.5, float("nan")], dtype=pl.Float32),
            "yes": [True, None],
            "day": [date(2026, 1, 2), None],
            "plain": pl.Series([moment, None], dtype=pl.Datetime("us")),
            "nano": pl.Series([moment, None], dtype=pl.Datetime("ns")),
            "zoned": pl.Series([moment, None]).dt.replace_time_zone("Europe/Berlin"),
            "money": pl.Series([Decimal("1.23"), None], dtype=pl.Decimal(10, 2)),
            "raw": [b"\x00\xff", None],
            "list": [[1, 2], None],
            "deep": [{"x": 1, "y": "z"}, None],
            "sort": pl.Series(["p", None], dtype=pl.Categorical),
        }
    )
    frame.write_parquet(project.root / "notes.parquet")
    kept = frame.columns[2:]
    project.source = {"path": "notes.parquet", "keep": kept}
    assert project.run().counts.new == 2
    row = project.rows()["a"]
    assert [row[name] for name in ("tiny", "half", "yes", "day")] == [
        *(1, 1.5, True, date(2026, 1, 2))
    ]
    assert (row["money"], row["raw"], row["list"]) == (Decimal("1.23"), b"\x00\xff", [1, 2])
    assert (row["deep"], row["sort"]) == ({"x": 1, "y": "z"}, "p")
    assert row["plain"] == moment
    again = project.run()
    assert (again.counts.unchanged, again.counts.updated) == (2, 0)
