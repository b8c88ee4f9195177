"""cluster: what goes of a feature's groups with records, versions and damaged files."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from flows.analysis import clusters
from flows.config.settings import Gc
from flows.output.progress import Silent
from flows.upkeep.erase import Eraser
from flows.upkeep.gc import Collector
from storage import cluster_removal
from storage import clusters as kept
from tests.flows.analysis.grouping import assigned, cluster, cut_short, garbled
from tests.flows.chunked import cut
from tests.flows.topics import texts, topical
from tests.flows.upkeep.test_gc import age

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.flows.project import Project


@pytest.mark.parametrize("harm", [cut_short, garbled, Path.unlink])
def test_groups_that_cannot_be_read_are_erased_whole(
    project: Project, harm: Callable[[Path], None]
) -> None:
    topical(project, [*texts(40), (ID, "milla millb millc", "mill")])
    project.run()
    cluster(project, k=41)
    (file,) = (project.root / "data" / "clusters").rglob("*.parquet")
    harm(file)
    project.write(texts(40))
    receipt = Eraser(project.settings(), "notes", [ID]).erase(Silent())
    assert receipt["proved"], receipt["proof"]
    data = project.root / "data"
    assert [f for f in data.rglob("*") if f.is_file() and ID.encode() in f.read_bytes()] == []
    assert not list((data / "clusters").rglob("*.*"))
    assert cluster(project).fresh


ID = "MARKWORD-ID-01"


def everything(project: Project) -> list[Path]:
    """All files of the store that hold a marker, found without Vecmill's help.

    But what encoders learned, which an erasure names as not covered.
    """
    data = project.root / "data"
    files = (path for path in data.rglob("*") if path.is_file() and path.parent.name != "states")
    return [path for path in files if b"markword" in path.read_bytes().lower()]


def test_erased_records_are_in_no_group_and_no_file(project: Project) -> None:
    text = " ".join(["milla millb", *["markword"] * 9])
    marked = [(ID, text, "mill"), ("other", f"{text} newsa", "mill")]
    topical(project, [*texts(60), *marked])
    project.run()
    cluster(project, k=3)
    found = cluster(project, words="text")  # and the file of the one before stays too
    assert any("markword" in group.words for group in found.groups)
    folder = project.root / "data" / "clusters"
    assert any(folder in path.parents for path in everything(project))
    before = assigned(project)
    project.write(texts(60))
    receipt = Eraser(project.settings(), "notes", [ID, "other"]).erase(Silent())
    assert receipt["proved"], receipt["proof"]
    assert receipt["removed"]["clusters of notes_v1"] == 2
    assert {check["place"] for check in receipt["proof"]} >= {"clusters of notes_v1"}
    assert everything(project) == []
    assert assigned(project) == {k: v for k, v in before.items() if k not in {ID, "other"}}
    shown = clusters.show(project.settings(), "notes")
    assert sum(group.size for group in shown.groups) == shown.clustering.rows == 60
    assert all(not group.words and not group.examples for group in shown.groups)
    again = cluster(project)
    assert all(group.words and group.examples for group in again.groups)
    assert assigned(project) == {k: v for k, v in before.items() if k not in {ID, "other"}}


def test_a_centre_that_was_a_records_own_vector_goes_with_it(project: Project) -> None:
    project.write([*((f"r{n}", f"text {n}", "x") for n in range(11)), (ID, "markword text", "y")])
    project.run()
    cluster(project, k=12)
    number = assigned(project)[ID]
    Eraser(project.settings(), "notes", [ID]).erase(Silent())
    assert everything(project) == []
    catalog, version = project.stores().catalog, project.versions()[0]
    known = kept.find(catalog, version)
    assert known is not None
    centres = kept.model(catalog, version, known.clustering)["centres"]
    assert np.isnan(centres).all(axis=1).tolist() == [c == number for c in range(12)]
    project.write([(f"r{n}", f"text {n}", "x") for n in range(20)])
    project.run()
    assert cluster(project).new == 9
    assert number not in assigned(project).values()


def test_an_erasure_of_chunks_goes_by_their_record(project: Project) -> None:
    cut(project)
    words = "one two three four five six seven"
    project.write([*((f"r{n}", f"{words} {n}", "x") for n in range(6)), (ID, f"{words} 7", "y")])
    project.run()
    cluster(project, k=2)
    before = assigned(project)
    mine = {one for one in before if one.startswith(f"{ID}#")}
    assert len(mine) == 3
    Eraser(project.settings(), "notes", [ID]).erase(Silent())
    assert everything(project) == []
    assert assigned(project) == {k: v for k, v in before.items() if k not in mine}


def test_groups_go_with_the_table_of_their_version(topics: Project) -> None:
    cluster(topics, k=3)
    topics.encoder = topics.encoder | {"dim": 5}
    topics.run()
    topics.promote(2)
    cluster(topics, k=2)
    age(topics, 91)
    policy = Gc(keep_runs=1, keep_days=0.0, drop_retired_after_days=90.0, grace_hours=0.0)
    Collector(topics.settings(), policy).collect(["notes"], Silent())
    assert topics.stores().vectors.tables() == ["notes_v2"]
    folders = {path.name for path in (topics.root / "data" / "clusters").iterdir()}
    assert folders == {"notes_v2"}
    found = topics.stores().catalog.query("SELECT DISTINCT version FROM clustering_groups")
    assert found.to_pylist() == [{"version": 2}]
    assert set(assigned(topics).values()) == {0, 1}


def test_files_of_groups_before_these_go_after_a_grace(topics: Project) -> None:
    cluster(topics, k=3)
    cluster(topics)
    catalog, version = topics.stores().catalog, topics.versions()[0]
    policy = Gc(keep_runs=1, keep_days=0.0, grace_hours=1.0)
    Collector(topics.settings(), policy).collect(["notes"], Silent())
    assert len(cluster_removal.loose(catalog, version)) == 2
    items = Collector(topics.settings(), dataclasses.replace(policy, grace_hours=0.0)).collect(
        ["notes"], Silent()
    )
    assert "clusters of notes_v1" in {item.what for item in items if item.goes}
    assert cluster_removal.loose(catalog, version) == []
    assert len(assigned(topics)) == 90
