"""What monitors say of kept columns, over a feature; and what is left of it after an erasure."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from flows.monitoring.looking import monitor
from flows.output.progress import Silent
from flows.upkeep.erase import Eraser

if TYPE_CHECKING:
    from tests.flows.project import Project

HEADER = ("id", "size", "weight", "label", "words")


def rows(first: int, stop: int, *, moved: bool) -> list[tuple[object, ...]]:
    """Records of three labels; those of label b can be of other numbers and words."""
    rng = np.random.default_rng(first + 1)
    drawn: list[tuple[object, ...]] = []
    for n in range(first, stop):
        label = "abc"[n % 3]
        other = moved and label == "b"
        words = f"seen tonight {'comet' if other else 'planet'} {n} times"
        drawn.append((f"r{n}", *rng.normal(5 + 3 * other, 1, 2), label, words))
    return drawn


@pytest.fixture
def watched(project: Project) -> Project:
    project.source = {"content": ["size", "weight"], "keep": ["label", "words"]}
    project.encoder = {"kind": "tabular"}
    project.feature = {"monitors": ["slices", "drift"]}
    project.write(rows(0, 150, moved=False), HEADER)
    project.run()
    project.write(rows(0, 150, moved=False) + rows(150, 270, moved=True), HEADER)
    project.run()
    return project


def look(project: Project) -> dict[str, Any]:
    return {found.monitor: found for found in monitor(project.settings(), "notes", Silent())}


def test_the_slice_and_the_words_that_moved_are_named(watched: Project) -> None:
    found = look(watched)
    assert found["slices"].verdict == "watch", found["slices"].summary
    changed = [part["name"] for part in found["slices"].parts if part["verdict"] == "alarm"]
    assert changed == ["label = b"]
    assert set(found["slices"].record_ids) <= {f"r{n}" for n in range(150, 270) if n % 3 == 1}
    left_out = [part for part in found["slices"].parts if part["name"] == "words"]
    assert "270 different values" in left_out[0]["summary"]
    words = [part["name"] for part in found["drift"].parts if part["kind"] == "word"]
    assert sorted(words[:2]) == ["comet", "planet"]


def test_columns_can_be_chosen(watched: Project) -> None:
    watched.more = '[monitors.slices]\ncolumns = ["words"]\n'
    finding = look(watched)["slices"]
    assert finding.verdict == "cannot tell"
    assert "no kept columns that can be sliced (words: " in finding.summary


def test_an_erased_record_is_named_by_no_part(watched: Project) -> None:
    found = look(watched)
    (word,) = (part for part in found["drift"].parts if part["name"] == "comet")
    named = word["record_ids"][0]
    catalog = watched.stores().catalog
    kept = "SELECT record_ids, parts::VARCHAR AS parts FROM findings"
    assert f'"{named}"' in json.dumps(catalog.query(kept).to_pylist()).replace("\\", "")
    eraser = Eraser(watched.settings(), "notes", [named])
    assert eraser.look(Silent())["findings"] >= 1
    receipt = eraser.erase(Silent())
    assert receipt["found"]["findings"] >= 1
    left = json.dumps(catalog.query(kept).to_pylist()).replace("\\", "")
    assert f'"{named}"' not in left
    assert word["record_ids"][1] in left


@pytest.mark.parametrize("name", ['the "first" record', "back\\slash-0001", "tab\t-of-0001"])
def test_nor_one_whose_id_json_writes_otherwise(watched: Project, name: str) -> None:
    run = watched.runs()[-1]["run_id"]
    catalog = watched.stores().catalog
    parts = [{"kind": "check", "name": "x", "summary": f"see {name!r}", "record_ids": [name, "b"]}]
    with catalog.transaction() as con:
        con.execute(
            "INSERT INTO findings (feature, version, run_id, monitor, record_ids, parts) "
            "VALUES ('notes', 1, ?, 'health', ?, ?)",
            [run, [name], json.dumps(parts, ensure_ascii=False)],
        )
    receipt = Eraser(watched.settings(), "notes", [name]).erase(Silent())
    assert receipt["proved"], receipt["proof"]
    (left,) = catalog.query("SELECT parts FROM findings").column("parts").to_pylist()
    (part,) = json.loads(left)
    assert part["summary"] == "see '[erased]'"
    assert part["record_ids"] == ["b"], "as from the list of the finding itself"
