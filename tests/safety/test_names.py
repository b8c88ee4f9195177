"""What records are called is never SQL and never a path."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from flows.config.settings import SettingsError
from flows.searching.search import search

if TYPE_CHECKING:
    from tests.flows.project import Project

HOSTILE = [
    "plain",
    "'; DROP TABLE runs; --",
    '" OR "1"=\'1',
    "it's",
    "''",
    "back\\slash\\",
    "../../etc/passwd",
    "/etc/passwd",
    "a/../../b",
    "line\nend\r\n",
    "tab\tand nul\x00in it",
    "\x1b[31mred\x1b]0;title\x07",
    "`rm -rf x` $(id) ${HOME} %s %d {0} {record_id}",
    "[bold]markup[/bold]",
    "NULL",
    "\u202egnp.exe",
    "é\u0301 \ufeff 🙈",
    "x" * 5000,
]
COLUMNS = ["we'ird", 'quo"ted', "semi; DROP TABLE x", "per%cent", "up/down", "sp ace", "select"]


def write(project: Project, ids: list[str], label: str = "") -> None:
    rows = [
        {"id": id_, "text": f"text of {id_}", **dict.fromkeys(COLUMNS, label + id_)} for id_ in ids
    ]
    text = "\n".join(map(json.dumps, rows))
    (project.root / "notes.jsonl").write_text(text + "\n", encoding="utf-8")


@pytest.fixture
def hostile(project: Project) -> Project:
    project.source = {
        "kind": "table", "path": "notes.jsonl", "id": "id", "content": "text", "keep": COLUMNS,
    }  # fmt: skip
    write(project, HOSTILE)
    return project


def test_hostile_ids_labels_and_columns_are_kept_as_they_are(hostile: Project) -> None:
    outside = {path.name for path in hostile.root.parent.iterdir()}
    assert hostile.run().rows == len(HOSTILE)
    rows = hostile.rows()
    assert set(rows) == set(HOSTILE)
    for id_, row in rows.items():
        assert {column: row[column] for column in COLUMNS} == dict.fromkeys(COLUMNS, id_)
    write(hostile, HOSTILE, "new ")
    assert hostile.run().counts.updated == len(HOSTILE)
    assert hostile.rows()["it's"]["we'ird"] == "new it's"
    write(hostile, HOSTILE[1::2], "new ")
    outcome = hostile.run()
    assert (outcome.counts.deleted, outcome.rows) == (len(HOSTILE[::2]), len(HOSTILE[1::2]))
    assert set(hostile.rows()) == set(HOSTILE[1::2])
    assert {path.name for path in hostile.root.parent.iterdir()} == outside


def test_hostile_ids_are_found_and_find_nothing_else(hostile: Project) -> None:
    hostile.run()
    for id_ in HOSTILE:
        found = search(hostile.settings(), "notes", "id", id_, len(HOSTILE))
        assert set(found["record_id"].to_pylist()) == set(HOSTILE) - {id_}


def test_hostile_records_that_fail_are_dead_letters(hostile: Project) -> None:
    write(hostile, [f"FAIL {id_}" for id_ in HOSTILE] + ["good"])
    outcome = hostile.run()
    assert (outcome.counts.dead, outcome.rows) == (len(HOSTILE), 1)
    assert len(hostile.dead()) == len(HOSTILE)


@pytest.mark.parametrize("name", ["../up", "a;b", 'a"b', "a'b", "A", "", "a b", "runs", "é", "x\n"])
def test_a_feature_has_a_plain_name(project: Project, name: str) -> None:
    project.more = f'[features.{json.dumps(name)}]\nsource = "notes"\nencoder = "mill"\n'
    with pytest.raises(SettingsError, match="a feature cannot be called"):
        project.settings()
