"""What a run does, seen from outside: what is encoded, what is published, what is counted."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from storage.ids import hash_text
from tests.flows.plugins.letters import vector_of
from tests.flows.project import vector

if TYPE_CHECKING:
    from tests.flows.project import Project

THREE = (("a", "wheel", "x"), ("b", "grain", "y"), ("c", "flour", "z"))


def test_a_first_run_publishes_every_record(project: Project) -> None:
    project.write(THREE)
    outcome = project.run()
    rows = project.rows()
    assert (outcome.counts.new, outcome.rows, outcome.standing) == (3, 3, "live")
    assert list(rows["a"]) == [
        *("record_id", "vector", "content_hash", "event_time", "encoded_at", "run_id", "label")
    ]
    for record_id, text, label in THREE:
        row = rows[record_id]
        assert (row["content_hash"], row["label"]) == (hash_text(text), label)
        assert (row["run_id"], row["event_time"]) == (outcome.run, None)
        np.testing.assert_array_equal(vector(row), vector_of(text))


def test_nothing_is_encoded_or_written_where_nothing_changed(project: Project) -> None:
    project.write(THREE)
    first = project.run()
    project.encoded()
    second = project.run()
    assert (second.counts.unchanged, second.counts.encoded, project.encoded()) == (3, 0, [])
    assert second.lance_version == first.lance_version


def test_only_changed_contents_are_encoded(project: Project) -> None:
    project.write(THREE)
    first = project.run()
    project.encoded()
    project.write([*THREE[:2], ("c", "stone", "z"), ("d", "mill", "z")])
    second = project.run()
    rows = project.rows()
    assert project.encoded() == ["mill", "stone"]
    assert (second.counts.changed, second.counts.new, second.counts.unchanged) == (1, 1, 2)
    assert [rows[i]["run_id"] for i in "abcd"] == [first.run, first.run, second.run, second.run]
    np.testing.assert_array_equal(vector(rows["c"]), vector_of("stone"))


def test_a_kept_column_changes_without_its_vector(project: Project) -> None:
    project.write(THREE)
    project.run()
    before = project.rows()
    project.encoded()
    project.write([("a", "wheel", "other"), *THREE[1:]])
    outcome = project.run()
    assert (outcome.counts.updated, outcome.counts.unchanged, project.encoded()) == (1, 2, [])
    assert project.rows() == before | {"a": before["a"] | {"label": "other"}}


def test_a_vanished_record_is_removed(project: Project) -> None:
    project.write(THREE)
    project.run()
    project.write(THREE[:1])
    outcome = project.run()
    assert (outcome.counts.deleted, outcome.rows, [*project.rows()]) == (2, 1, ["a"])


def test_a_vanished_record_is_kept_where_the_policy_says_so(project: Project) -> None:
    project.feature = {"vanished": "keep"}
    project.write(THREE)
    project.run()
    before = project.rows()
    project.write(THREE[:1])
    outcome = project.run()
    assert (outcome.counts.deleted, outcome.rows, project.rows()) == (0, 3, before)


def test_equal_contents_are_encoded_once_and_across_runs(project: Project) -> None:
    project.write([*THREE, ("d", "wheel", "x"), ("e", "wheel", "x")])
    first = project.run()
    assert project.encoded() == ["flour", "grain", "wheel"]
    assert (first.counts.encoded, first.counts.deduplicated) == (3, 2)
    project.write([*THREE, ("d", "wheel", "x"), ("e", "grain", "x"), ("f", "flour", "x")])
    second = project.run()
    rows = project.rows()
    assert (second.counts.deduplicated, second.counts.encoded, project.encoded()) == (2, 0, [])
    np.testing.assert_array_equal(vector(rows["e"]), vector_of("grain"))
    assert rows["f"]["encoded_at"] == rows["c"]["encoded_at"]
    assert rows["f"]["run_id"] == second.run


def test_the_content_of_a_record_that_vanishes_in_the_same_run_is_used(project: Project) -> None:
    project.write(THREE)
    project.run()
    project.encoded()
    project.write([("z", "wheel", "x")])
    outcome = project.run()
    assert (outcome.counts.deduplicated, outcome.counts.deleted, project.encoded()) == (1, 3, [])
    np.testing.assert_array_equal(vector(project.rows()["z"]), vector_of("wheel"))


def test_an_empty_source_publishes_an_empty_table(project: Project) -> None:
    project.write([])
    outcome = project.run()
    assert (outcome.rows, project.rows(), project.run().counts.records) == (0, {}, 0)
    project.write(THREE)
    assert project.run().rows == 3
    project.write([])
    assert (project.run().counts.deleted, project.rows()) == (3, {})
