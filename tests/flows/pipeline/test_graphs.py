"""Graphs through the pipeline: a change is encoded, and what is near enough to feel it."""

from __future__ import annotations

import csv
import json
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from flows.output.progress import Silent
from flows.pipeline.decode import decode
from flows.pipeline.fitting import encoder_of
from flows.pipeline.versions import open_source
from flows.searching.queries import SearchError
from flows.searching.search import search
from flows.upkeep.erase import Eraser
from tests.flows.project import vector

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from storage.model import Counts
    from tests.flows.project import Project

NODES = 30
RING = [(at, (at + 1) % NODES) for at in range(NODES)]
SAGE = {"kind": "sage", "hidden": 8, "dim": 6, "epochs": 3, "min_count": 1}
NODE2VEC = {"kind": "node2vec", "dim": 6, "length": 8, "walks": 3, "window": 2}


def name(at: int) -> str:
    return f"person-{at:04d}"


@dataclass
class Town:
    """Nodes in a ring, of two sorts, and a few chords; a feature over them.

    Attributes:
        ages: of the nodes by number.
        edges: between numbers.
    """

    project: Project
    ages: dict[int, int] = field(default_factory=lambda: {at: 20 + at % 7 for at in range(NODES)})
    edges: list[tuple[int, int]] = field(default_factory=lambda: [*RING, (0, 15)])

    def configure(self, encoder: dict[str, Any], hops: int = 2) -> None:
        source = {"nodes": "people.csv", "edges": "calls.csv", "id": "id", "hops": hops}
        self.project.source = {"kind": "graph", "features": ["age"], "keep": ["sort"]} | source
        self.project.encoder = encoder

    def write(self) -> None:
        rows = [(name(at), age, "ab"[at % 2]) for at, age in self.ages.items()]
        write(self.project.root / "people.csv", [("id", "age", "sort"), *rows])
        ends = [(name(one), name(other)) for one, other in self.edges]
        write(self.project.root / "calls.csv", [("source", "target"), *ends])

    def run(self) -> Counts:
        self.write()
        return self.project.run().counts

    def within(self, starts: Iterable[int], hops: int) -> set[str]:
        """The nodes so many edges from some, by a search of its own."""
        near = defaultdict(set)
        for one, other in self.edges:
            near[one].add(other)
            near[other].add(one)
        found = set(starts)
        for _ in range(hops):
            found |= {other for at in found for other in near[at]}
        return {name(at) for at in found & set(self.ages)}


def write(path: Path, rows: Iterable[Iterable[object]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(rows)


@pytest.fixture
def town(project: Project) -> Town:
    town = Town(project)
    town.configure(SAGE)
    return town


def encoded_again(before: dict[str, dict[str, Any]], after: dict[str, dict[str, Any]]) -> set[str]:
    """The records whose vectors were made anew."""
    return {
        record
        for record, row in after.items()
        if record not in before or before[record]["encoded_at"] != row["encoded_at"]
    }


def as_from_nothing(town: Town) -> dict[str, Any]:
    """What the encoder of the version gives for all nodes as they stand."""
    settings = town.project.settings()
    (version,) = town.project.versions()
    source = open_source(settings, settings.feature("notes"), version)
    records = source.fetch(next(iter(source.scan())).records)  # type: ignore[attr-defined] # it is Deferred
    batch = decode("graph", records["content"]).batch
    vectors = encoder_of(version, town.project.stores().states).encode(batch)
    return dict(zip(records["record_id"], vectors, strict=True))


def older(town: Town) -> None:
    town.ages[4] += 1


def befriended(town: Town) -> None:
    town.edges.append((4, 20))


def parted(town: Town) -> None:
    town.edges.remove((4, 20))


def joined_by_a_new_one(town: Town) -> None:
    town.ages[99] = 50
    town.edges.append((99, 4))


CHANGES = ((older, {4}), (befriended, {4, 20}), (parted, {4, 20}), (joined_by_a_new_one, {4, 99}))


@pytest.mark.parametrize("hops", [2, 3])
def test_a_change_reaches_exactly_those_within_so_many_hops(town: Town, hops: int) -> None:
    town.configure(SAGE, hops)
    assert town.run().encoded == NODES
    assert town.run().encoded == 0

    for change, touched in CHANGES:
        before, near = town.project.rows(), town.within(touched, hops)
        change(town)
        near |= town.within(touched, hops)
        counts = town.run()
        assert encoded_again(before, town.project.rows()) == near, change
        assert counts.encoded == len(near), change
        assert 0 < len(near) < NODES

    for record, expected in as_from_nothing(town).items():
        np.testing.assert_array_equal(vector(town.project.rows()[record]), expected)


def test_the_plan_says_how_many_there_are(town: Town) -> None:
    town.run()
    town.ages[4] += 1
    town.write()
    planned = town.project.plan()
    assert planned.counts.changed == len(town.within({4}, 2)) == 5


def test_a_kept_column_is_no_reason_to_encode(town: Town) -> None:
    town.run()
    path = town.project.root / "people.csv"
    path.write_text(path.read_text().replace("person-0004,24,a", "person-0004,24,c"))
    counts = town.project.run().counts
    assert (counts.updated, counts.encoded) == (1, 0)
    assert town.project.rows()[name(4)]["sort"] == "c"


def test_edges_to_nobody_are_dead_letters_and_keep_no_node_from_going(town: Town) -> None:
    town.run()
    before = town.project.rows()
    del town.ages[4]
    counts = town.run()
    after = town.project.rows()
    assert counts.deleted == 1
    assert name(4) not in after
    # its edges lead nowhere, so those who had them are other nodes now
    assert encoded_again(before, after) == town.within({3, 5}, 2)
    dead = town.project.dead()
    assert set(dead) == {"calls.csv:5", "calls.csv:6"}
    assert all("not in the table of nodes" in reason for reason in dead.values())
    assert name(4) not in json.dumps(dead)


def test_a_node_that_stands_twice_is_a_dead_letter(town: Town) -> None:
    town.run()
    with (town.project.root / "people.csv").open("a") as file:
        file.write(f"{name(4)},99,a\n")
    counts = town.project.run().counts
    assert (counts.dead, counts.encoded) == (1, 0)


def test_an_erased_node_is_nowhere_any_more(town: Town) -> None:
    town.configure(NODE2VEC, 1)
    town.run()
    del town.ages[4]
    town.edges = [edge for edge in town.edges if 4 not in edge]
    town.run()
    receipt = Eraser(town.project.settings(), "notes", [name(4)]).erase(Silent())
    assert receipt["proved"], receipt["proof"]
    assert receipt["still_in_source"] == {"records": 0, "why": ""}
    store = [path for path in town.project.root.rglob("*") if path.is_file()]
    assert store
    assert not [path for path in store if name(4).encode() in path.read_bytes()]


def test_node2vec_takes_the_mean_of_neighbours_or_says_that_it_has_none(town: Town) -> None:
    town.configure(NODE2VEC, 1)
    town.run()
    town.ages |= {77: 30, 78: 30}
    town.edges += [(77, 2), (77, 9)]
    counts = town.run()
    rows = town.project.rows()
    mean = (vector(rows[name(2)]) + vector(rows[name(9)])) / 2
    np.testing.assert_allclose(vector(rows[name(77)]), mean, rtol=1e-5)
    assert counts.dead == 1
    (reason,) = town.project.dead().values()
    assert "not in the fit of node2vec, and has no neighbour that was" in reason


def test_a_node_is_searched_by_id_and_by_nothing_else(town: Town) -> None:
    town.run()
    settings = town.project.settings()
    found = search(settings, "notes", "id", name(3), 5)["record_id"].to_pylist()
    assert len(found) == 5
    assert name(3) not in found
    for modality, query in (("text", "a person"), ("row", '{"age": 3}'), ("image", "a.jpg")):
        with pytest.raises(SearchError, match=r"vectors of nodes, .* search it with --id"):
            search(settings, "notes", modality, query, 5)


def test_what_is_over_nodes_takes_no_query_either(town: Town) -> None:
    town.project.more = """
[encoders.bytes]
kind = "quantize"

[features.small]
over = ["notes"]
encoder = "bytes"
"""
    town.run()
    town.project.run(name="small")
    assert len(search(town.project.settings(), "small", "id", name(3), 5)) == 5
    with pytest.raises(SearchError, match=r"query by text, or by anything else .*; .* with --id"):
        search(town.project.settings(), "small", "text", "a person", 5)


def test_nodes_that_are_all_gone_are_deleted_as_other_records_are(town: Town) -> None:
    town.run()
    town.ages, town.edges = {}, []
    counts = town.run()
    assert (counts.records, counts.deleted) == (0, NODES)
    assert town.project.rows() == {}


def test_labels_are_learned_from_where_there_are_any(town: Town) -> None:
    town.configure({"kind": "gcn", "label": "sort", "dim": 4, "epochs": 5})
    assert town.run().encoded == NODES
    (version,) = town.project.versions()
    encoder: Any = encoder_of(version, town.project.stores().states)
    assert encoder.classes == ("a", "b")


def test_a_neighbourhood_that_ends_too_near_is_told(town: Town) -> None:
    town.configure(SAGE, 1)
    town.write()
    with pytest.raises(Exception, match=r"sage reads what is 2 edges away.*set hops = 2"):
        town.project.run()
