"""Many processes on one store at once: all end right, and every reader sees whole runs."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from storage.ids import hash_text
from tests.faults.roles import write
from tests.flows.plugins.letters import vector_of
from tests.flows.project import vector
from tests.processes import ROOT

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tests.flows.project import Project

pytestmark = pytest.mark.slow

SECONDS = float(os.environ.get("VECMILL_STRESS_SECONDS", "25"))
SEED = int(os.environ.get("VECMILL_SEED", "1"))

FEATURES = """
[sources.others]
kind = "table"
path = "others.csv"
id = "id"
content = "text"
event_time = "at"
keep = ["label"]

[sources.days]
kind = "table"
path = "days.csv"
id = "id"
content = "text"
event_time = "at"
keep = ["label"]

[features.others]
source = "others"
encoder = "mill"
max_deleted = 1.0

[features.days]
source = "days"
encoder = "mill"
max_deleted = 1.0
"""
EIGHT = ("runs_notes", "runs_others", "backfills", "promotes", "cleans", "reads", "dawdles",
         "exports")  # fmt: skip


@pytest.fixture
def busy(project: Project) -> Project:
    """Three features with something published; one has two versions."""
    project.more = FEATURES
    project.source = {"event_time": "at"}
    project.engine = {"wait_seconds": 300.0, "shard_size": 32}
    rng = np.random.default_rng(SEED)
    for name in ("notes", "others", "days"):
        write(project.root, name, rng)
    for name in ("notes", "others", "days"):
        project.run(name=name)
    project.encoder = {"revision": 2}
    project.run()
    return project


@pytest.mark.parametrize("roles", [("runs_notes", "reads"), EIGHT], ids=["two", "eight"])
def test_all_end_right(busy: Project, roles: Sequence[str]) -> None:
    told = side_by_side(busy.root, roles)
    assert [one["error"] for one in told if one["error"]] == []
    assert all(one["done"] for one in told), [(one["role"], one["done"]) for one in told]
    check_store(busy)


def side_by_side(root: Path, roles: Sequence[str]) -> list[dict[str, Any]]:
    """Let the roles work for a while; what each of them says of it."""
    given = [str(root), str(SECONDS), str(SEED), *roles]
    command = [sys.executable, "-m", "tests.faults.many", *given]
    ended = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True)  # noqa: S603 - our own interpreter and our own code
    found = sorted(root.glob("*-*.json"))
    assert len(found) == len(roles), ended.stderr
    return [json.loads(path.read_text("utf-8")) for path in found]


def check_store(project: Project) -> None:
    """Nothing is lost or doubled, and the catalog and the tables say the same."""
    catalog, vectors = project.stores().catalog, project.stores().vectors
    states = set(catalog.query("SELECT DISTINCT status FROM runs")["status"].to_pylist())
    assert states <= {"done"}, "a run failed or was left running"
    for name, number in (("notes", 1), ("notes", 2), ("others", 1), ("days", 1)):
        version = next(v for v in catalog.versions(name) if v.version == number)
        for manifest in catalog.manifests(version):
            if manifest.forgotten_at is None:
                assert vectors.rows(version.table, manifest.lance_version) == manifest.rows
        project.run(name=name, target=number)
        # The others were made before the encoder was changed, and are brought up to date as made.
        assert_equal_to_source(project, name, version.table, number)
    live = "SELECT feature, count(*) AS n FROM versions WHERE standing = 'live' GROUP BY ALL"
    assert {row["n"] for row in catalog.query(live).to_pylist()} == {1}
    ids = catalog.query("SELECT count(*) AS n, count(DISTINCT run_id) AS ids FROM manifests")
    assert len({*ids.to_pylist()[0].values()}) == 1
    assert not any((project.root / "data" / "staging").rglob("*.*"))


def assert_equal_to_source(project: Project, name: str, table: str, revision: int) -> None:
    """Every record of the source has its row, and its own vector bit for bit."""
    with (project.root / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        source = {row["id"]: row for row in csv.DictReader(file)}
    rows = project.rows(table)
    assert rows.keys() == source.keys()
    for key, row in rows.items():
        text = source[key]["text"]
        assert (row["content_hash"], str(row["label"])) == (hash_text(text), source[key]["label"])
        np.testing.assert_array_equal(vector(row), vector_of(text, revision=revision))
