"""Nodes with what is around them, and hashes that change when that does."""

from __future__ import annotations

import csv
import itertools
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import pytest

from flows.sources import graph
from flows.sources._adjacency import Adjacency, Ends, adjacency
from flows.sources.base import SourceUsageError
from tests.flows.sources.reading import everything

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from flows.sources.graph import GraphSource
    from tests.flows.sources.reading import Everything, Value

PATH = [("a", "b"), ("b", "c"), ("c", "d"), ("d", "e"), ("e", "f")]


def opened(
    root: Path,
    edges: Iterable[Sequence[object]] = PATH,
    ages: Mapping[str, object] | None = None,
    **params: Value,
) -> GraphSource:
    """The nodes a to f, of ages 1 to 6 where none are given, and some edges."""
    ages = ages or {name: at for at, name in enumerate("abcdef", 1)}
    write(root / "nodes.csv", [("id", "age"), *ages.items()])
    ends = ("source", "target", "weight")[: 3 if "weight" in params else 2]
    write(root / "edges.csv", [ends, *edges])
    given = {"nodes": "nodes.csv", "edges": "edges.csv", "id": "id", "features": ["age"]}
    return graph.open(graph.Params(**{**given, **params}), root, "graph")


def write(path: Path, rows: Iterable[Sequence[object]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(rows)


def hashes(source: GraphSource) -> dict[str, str]:
    records = everything(source).records
    return dict(zip(records["record_id"], records["content_hash"], strict=True))


def changed(before: dict[str, str], after: dict[str, str]) -> set[str]:
    return {name for name in after if before.get(name) != after[name]}


def fetched(source: GraphSource) -> tuple[Everything, dict[str, dict[str, Any]]]:
    found = everything(source)
    contents = source.fetch(found.records)["content"].to_list()
    return found, {content["node"]: content for content in contents}


def edges_of(content: dict[str, Any]) -> set[tuple[str, str, float]]:
    ids = content["ids"]
    parts = zip(content["starts"], content["ends"], content["weights"], strict=True)
    return {(ids[start], ids[end], weight) for start, end, weight in parts}


class TestANeighbourhood:
    def test_holds_what_is_near_and_its_edges(self, tmp_path: Path) -> None:
        _, contents = fetched(opened(tmp_path))
        found = contents["c"]
        assert found["ids"] == ["c", "b", "d", "a", "e"]
        assert found["degrees"] == [2, 2, 2, 1, 2]
        assert [f["age"] for f in found["features"]] == [3, 2, 4, 1, 5]
        assert edges_of(found) == {
            *{("c", "b", 1), ("c", "d", 1)},
            *{("b", "a", 1), ("b", "c", 1), ("d", "c", 1), ("d", "e", 1)},
        }
        assert found["hops"] == 2

    def test_of_one_hop_ends_there(self, tmp_path: Path) -> None:
        _, contents = fetched(opened(tmp_path, hops=1))
        assert contents["c"]["ids"] == ["c", "b", "d"]
        assert edges_of(contents["c"]) == {("c", "b", 1), ("c", "d", 1)}

    def test_of_a_node_alone_is_the_node(self, tmp_path: Path) -> None:
        _, contents = fetched(opened(tmp_path, [("a", "b")]))
        assert contents["f"]["ids"] == ["f"]
        assert contents["f"]["degrees"] == [0]
        assert contents["f"]["ends"] == []

    def test_follows_edges_one_way_where_they_are_directed(self, tmp_path: Path) -> None:
        _, contents = fetched(opened(tmp_path, directed=True))
        assert contents["c"]["ids"] == ["c", "d", "e"]
        assert contents["f"]["ids"] == ["f"]

    def test_without_features_has_none(self, tmp_path: Path) -> None:
        _, contents = fetched(opened(tmp_path, features=[]))
        assert "features" not in contents["c"]

    def test_does_not_depend_on_which_others_are_fetched(self, tmp_path: Path) -> None:
        source = opened(tmp_path)
        records, contents = fetched(source)
        (alone,) = source.fetch(records.records[3:4])["content"].to_list()
        assert alone == contents["d"]


class TestEdges:
    def test_loops_are_left_out_and_repeated_ones_count_once(self, tmp_path: Path) -> None:
        source = opened(tmp_path, [*PATH, ("b", "a"), ("a", "b"), ("c", "c")])
        _, contents = fetched(source)
        assert contents["c"]["degrees"][0] == 2
        assert edges_of(contents["a"]) >= {("a", "b", 1)}
        told = " ".join(source.remarks())
        assert "from a node to itself, which are left out: 1" in told
        assert "say again what another says, which counts once: 2" in told
        found = hashes(source)
        assert found == hashes(opened(tmp_path))

    def test_weights_of_repeated_ones_are_added(self, tmp_path: Path) -> None:
        edges = [("a", "b", 0.1), ("b", "a", 0.2), ("a", "b", 0.3)]
        before = hashes(opened(tmp_path, edges, weight="weight"))
        _, contents = fetched(opened(tmp_path, edges, weight="weight"))
        assert contents["a"]["weights"][0] == pytest.approx(0.6)
        for order in itertools.permutations(edges):
            assert hashes(opened(tmp_path, order, weight="weight")) == before

    @pytest.mark.parametrize(
        ("edge", "reason"),
        [
            (("a", "zoe", 1), "'target' names a node that is not in the table"),
            (("", "b", 1), "no node in column 'source'"),
            (("a", "b", 0), "'weight' wants a weight above 0, got 0"),
            (("a", "b", ""), "'weight' wants a weight above 0, got None"),
            (("a", "b", "much"), "'weight' wants float, got 'much'"),
        ],
    )
    def test_that_cannot_be_taken_are_dead_letters(
        self, tmp_path: Path, edge: tuple[object, ...], reason: str
    ) -> None:
        source = opened(tmp_path, [("a", "b", 1), edge, ("b", "c", 1)], weight="weight")
        found = everything(source)
        assert list(found.refused) == ["edges.csv:3"]
        assert reason in found.refused["edges.csv:3"]
        # it must stand for no node, else no record would ever be taken out
        assert [reject.record_id for reject in found.rejects] == ["edges.csv:3"]
        assert len(found.records) == 6
        assert hashes(source) == hashes(
            opened(tmp_path, [("a", "b", 1), ("b", "c", 1)], weight="weight")
        )

    def test_to_strangers_may_be_ignored(self, tmp_path: Path) -> None:
        source = opened(tmp_path, [*PATH, ("a", "zoe")], strangers="ignore")
        assert everything(source).rejects == []
        assert source.remarks()[0].endswith("which the table of nodes has not, ignored: 1")
        assert "zoe" not in str(everything(opened(tmp_path, [("zoe", "a")])).rejects)

    def test_ids_are_taken_as_they_are_written(self, tmp_path: Path) -> None:
        ages = {"01": 1, "1": 2, "1.0": 3}
        source = opened(tmp_path, [("01", "1"), ("1", "1.0")], ages)
        _, contents = fetched(source)
        assert contents["01"]["ids"][:2] == ["01", "1"]
        assert set(contents["1"]["ids"]) == {"01", "1", "1.0"}

    def test_may_be_numbers_in_files_with_types(self, tmp_path: Path) -> None:
        pl.DataFrame({"id": [1, 2, 3]}).write_parquet(tmp_path / "n.parquet")
        pl.DataFrame({"source": [1, 2], "target": [2, 3]}).write_parquet(tmp_path / "e.parquet")
        params = graph.Params("n.parquet", "e.parquet", "id", hops=1)
        _, contents = fetched(graph.open(params, tmp_path, "graph"))
        assert contents["2"]["ids"] == ["2", "1", "3"]


class TestTheHash:
    """It changes exactly where something within so many hops did."""

    @pytest.mark.parametrize(("hops", "near"), [(1, "abc"), (2, "abcd"), (3, "abcde")])
    def test_of_a_feature(self, tmp_path: Path, hops: int, near: str) -> None:
        before = hashes(opened(tmp_path, hops=hops))
        ages = {name: at for at, name in enumerate("abcdef", 1)} | {"b": 99}
        after = hashes(opened(tmp_path, ages=ages, hops=hops))
        assert changed(before, after) == set(near)

    @pytest.mark.parametrize(("hops", "near"), [(1, "abef"), (2, "abcdef")])
    def test_of_an_edge(self, tmp_path: Path, hops: int, near: str) -> None:
        before = hashes(opened(tmp_path, hops=hops))
        after = hashes(opened(tmp_path, [*PATH, ("a", "f")], hops=hops))
        assert changed(before, after) == set(near)

    def test_of_a_weight(self, tmp_path: Path) -> None:
        light = [(*edge, 1) for edge in PATH]
        heavy = [*light[:-1], ("e", "f", 2)]
        before = hashes(opened(tmp_path, light, weight="weight", hops=1))
        after = hashes(opened(tmp_path, heavy, weight="weight", hops=1))
        assert changed(before, after) == set("def")

    def test_of_a_directed_edge_is_that_of_those_who_see_it(self, tmp_path: Path) -> None:
        before = hashes(opened(tmp_path, directed=True))
        after = hashes(opened(tmp_path, [*PATH, ("d", "a")], directed=True))
        assert changed(before, after) == set("bcd")

    def test_says_nothing_of_the_order_of_rows(self, tmp_path: Path) -> None:
        before = hashes(opened(tmp_path))
        turned = [(end, start) for start, end in reversed(PATH)]
        ages = dict(reversed([(name, at) for at, name in enumerate("abcdef", 1)]))
        assert hashes(opened(tmp_path, turned, ages)) == before

    @pytest.mark.parametrize("seed", [7])
    def test_is_equal_for_equal_contents_alone(self, tmp_path: Path, seed: int) -> None:
        """Over random edits: a hash is what it was if, and only if, the content is."""
        rng = np.random.default_rng(seed)
        names = [f"n{at}" for at in range(30)]
        edges = {(str(a), str(b)) for a, b in rng.choice(names, (45, 2))}
        ages: dict[str, object] = {name: int(rng.integers(9)) for name in names}
        seen: dict[tuple[str, str], str] = {}
        for _ in range(12):
            kind = rng.integers(3)
            if kind == 0:
                ages[str(rng.choice(names))] = int(rng.integers(9))
            elif kind == 1:
                edges.add((str(rng.choice(names)), str(rng.choice(names))))
            else:
                edges.discard(sorted(edges)[rng.integers(len(edges))])
            source = opened(tmp_path, sorted(edges), ages, fanout=4)
            found, contents = fetched(source)
            for name, own in zip(found.ids, found.records["content_hash"], strict=True):
                content = repr(contents[name])
                assert seen.setdefault((name, own), content) == content
        assert len(seen) == len(set(seen.values()))
        assert len(names) < len(seen) < 12 * len(names)


class TestTheFanout:
    def test_keeps_so_many_neighbours_and_the_sum_of_their_weights(self) -> None:
        ids = [f"n{at}" for at in range(50)]
        spokes = np.arange(1, 50)
        star = Ends(np.zeros(49, np.int64), spokes, spokes.astype(float))
        cut = adjacency(ids, star, directed=False, fanout=10)
        whole = adjacency(ids, star, directed=False, fanout=0)
        assert len(neighbours(cut, 0)) == 10
        assert cut.weights[:10].sum() == pytest.approx(whole.weights[:49].sum())
        assert cut.degrees.tolist() == whole.degrees.tolist()
        assert cut.cut == 1
        assert all(neighbours(cut, at) == {0} for at in range(1, 50))

    def test_keeps_the_same_ones_when_others_come_and_go(self) -> None:
        ids = [f"n{at:02d}" for at in range(60)]
        few = Ends(np.zeros(40, np.int64), np.arange(1, 41))
        more = Ends(np.zeros(50, np.int64), np.arange(1, 51))
        before = neighbours(adjacency(ids, few, directed=False, fanout=10), 0)
        after = neighbours(adjacency(ids, more, directed=False, fanout=10), 0)
        assert after & set(range(1, 41)) <= before
        assert len(after) == 10

    def test_bounds_the_neighbourhood_of_a_hub(self, tmp_path: Path) -> None:
        names = [f"n{at}" for at in range(300)]
        star = [("n0", name) for name in names[1:]]
        source = opened(tmp_path, star, dict.fromkeys(names, 1), fanout=20)
        found, contents = fetched(source)
        assert len(found.records) == 300
        assert max(len(content["ids"]) for content in contents.values()) <= 1 + 20 + 20
        assert source.remarks() == ["nodes with more neighbours than fanout = 20 shows: 1"]


def neighbours(graph: Adjacency, node: int) -> set[int]:
    return set(graph.others[graph.begins[node] : graph.begins[node + 1]].tolist())


class TestNodes:
    def test_that_stand_twice_are_left_to_the_pipeline(self, tmp_path: Path) -> None:
        source = opened(tmp_path)
        before = hashes(source)
        with (tmp_path / "nodes.csv").open("a", encoding="utf-8") as file:
            file.write("c,77\n")
        found = everything(source)
        assert found.ids == [*"abcdef", "c"]
        assert found.records["content_hash"].to_list()[2] == before["c"]

    def test_whose_features_are_all_missing_are_nodes_all_the_same(self, tmp_path: Path) -> None:
        found = everything(opened(tmp_path, ages={"a": 1, "b": "", "c": 3}))
        assert "b" in found.ids

    def test_need_not_have_edges(self, tmp_path: Path) -> None:
        found, contents = fetched(opened(tmp_path, []))
        assert len(found.records) == 6
        assert all(len(content["ids"]) == 1 for content in contents.values())


def test_a_table_without_nodes_has_no_records_and_every_edge_is_at_fault(tmp_path: Path) -> None:
    def read(*keep: str) -> Everything:
        params = graph.Params("nodes.csv", "edges.csv", "id", features=["age"], keep=[*keep])
        return everything(graph.open(params, tmp_path, "graph"))

    write(tmp_path / "nodes.csv", [("id", "age")])
    write(tmp_path / "edges.csv", [("source", "target"), *PATH])
    found = read("age")
    assert len(found.records) == 0
    assert [reject.place for reject in found.rejects] == [f"edges.csv:{n}" for n in range(2, 7)]
    write(tmp_path / "edges.csv", [("source", "target")])
    found = read()
    assert (len(found.records), found.rejects) == (0, [])


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"nodes": ""}, "nodes must name at least one file"),
        ({"edges": []}, "edges must name at least one file"),
        ({"ends": ["a"]}, "ends must name the two columns"),
        ({"ends": ["a", "a"]}, "ends must name the two columns"),
        ({"weight": "source"}, "weight names 'source', which is one of the ends"),
        ({"features": ["id"]}, "features names the column of ids"),
        ({"hops": 0}, "hops must be from 1 to 4, got 0"),
        ({"fanout": -1}, "fanout must be 1 or more"),
        ({"strangers": "refuse"}, "strangers must be one of reject, ignore, got 'refuse'"),
        ({"keep": ["content"]}, "keep cannot hold 'content'"),
        ({"features": ["x", "x"]}, "features names 'x' more than once"),
        ({"types": {"x": "number"}}, "types.x must be one of"),
    ],
)
def test_what_cannot_be_is_refused(params: dict[str, Any], message: str) -> None:
    given: dict[str, Any] = {"nodes": "n.csv", "edges": "e.csv", "id": "id"}
    with pytest.raises(SourceUsageError, match=message):
        graph.Params(**{**given, **params})


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"features": ["agee"]}, "no column 'agee', which `features` names .did you mean 'age'"),
        ({"ends": ["source", "to"]}, "no column 'to', which `ends` or `weight` names"),
        ({"id": "name"}, "no column 'name', which `id` names"),
        ({"weight": "times"}, "no column 'times', which `ends` or `weight` names"),
    ],
)
def test_columns_that_are_missing_are_told(
    tmp_path: Path, params: dict[str, Any], message: str
) -> None:
    opened(tmp_path)
    given: dict[str, Any] = {"nodes": "nodes.csv", "edges": "edges.csv", "id": "id"}
    with pytest.raises(SourceUsageError, match=message):
        graph.open(graph.Params(**{**given, **params}), tmp_path, "graph")
