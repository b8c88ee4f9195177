"""Records without an id of their own go by their content, numbered where one comes again."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import numpy as np
import pytest

from flows.sources.base import CHUNK_ROWS
from storage.ids import hash_text
from tests.flows.plugins.letters import vector_of
from tests.flows.project import vector

if TYPE_CHECKING:
    from tests.flows.project import Project

HEADER = ("text", "label")


@pytest.fixture(autouse=True)
def _without_ids(project: Project) -> None:
    project.source = {"kind": "table", "path": "notes.csv", "content": "text", "keep": ["label"]}


def test_equal_contents_are_numbered(project: Project) -> None:
    project.write([("wheel", "1"), ("grain", "2"), ("wheel", "3"), ("wheel", "4")], HEADER)
    outcome = project.run()
    wheel, grain = hash_text("wheel"), hash_text("grain")
    labels = {record_id: row["label"] for record_id, row in project.rows().items()}
    assert labels == {wheel: 1, f"{wheel}#2": 3, f"{wheel}#3": 4, grain: 2}
    assert (outcome.counts.encoded, outcome.counts.deduplicated) == (2, 2)
    project.write([("wheel", "1"), ("grain", "2"), ("wheel", "3")], HEADER)
    again = project.run()
    assert (again.counts.deleted, again.counts.unchanged) == (1, 3)
    assert f"{wheel}#3" not in project.rows()


def test_a_content_that_is_dead_is_dead_as_often_as_it_comes(project: Project) -> None:
    project.write([("FAIL", "1"), ("grain", "2"), ("FAIL", "3")], HEADER)
    outcome = project.run()
    assert (outcome.counts.dead, outcome.counts.new, len(project.dead())) == (2, 1, 2)


def test_numbers_go_on_over_the_borders_of_chunks(project: Project) -> None:
    project.engine = {"shard_size": 4096}
    different = 700
    total = CHUNK_ROWS + 1000
    texts = [f"text {n % different}" for n in range(total)]
    project.write([(text, n) for n, text in enumerate(texts)], HEADER)
    outcome = project.run()
    assert (outcome.counts.new, outcome.counts.encoded) == (total, different)
    rows = project.rows()
    seen: Counter[str] = Counter()
    for n, text in enumerate(texts):
        seen[text] += 1
        suffix = f"#{seen[text]}" if seen[text] > 1 else ""
        assert rows[hash_text(text) + suffix]["label"] == n
    row = rows[f"{hash_text('text 3')}#12"]
    np.testing.assert_array_equal(vector(row), vector_of("text 3"))
    assert project.run().counts.unchanged == total


def test_a_doubled_id_is_found_over_the_borders_of_chunks(project: Project) -> None:
    project.source = {}
    rows = [(n, "wheel", "x") for n in range(CHUNK_ROWS + 10)]
    project.write([*rows, ("7", "grain", "y")])
    outcome = project.run()
    place = f"notes.csv:{len(rows) + 2}"
    assert project.dead() == {place: "duplicate id, first seen at notes.csv:9"}
    assert outcome.counts.encoded == 1
