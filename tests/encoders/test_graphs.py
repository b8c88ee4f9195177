"""Encoders of nodes, held to the formulas of their papers and to Cora."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import pytest
from scipy import stats
from scipy.sparse import csr_matrix

from encoders import _graphs, _messages, _nodes, gcn, node2vec, sage
from encoders._walks import END, Walker
from encoders.base import EncoderError, EncoderUsageError
from encoders.metering import PartialError
from flows.sources import graph
from tests.encoders import samples

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

SEED = 3
SMALL: dict[str, Any] = {"words": ("about",), "min_count": 1, "epochs": 5}


def usual() -> pl.DataFrame:
    batch: pl.DataFrame = samples.usual("graph")
    return batch


class TestWalks:
    # 0 and 1 share the neighbour 2; 3 hangs on 2, 4 on 3
    EDGES = ((0, 1, 1.0), (0, 2, 2.0), (1, 2, 1.0), (2, 3, 3.0), (3, 4, 1.0))

    def rows(self) -> NDArray[np.float64]:
        found = np.zeros((5, 5))
        for one, other, weight in self.EDGES:
            found[one, other] = found[other, one] = weight
        return found

    @pytest.mark.parametrize("seed", [SEED])
    @pytest.mark.parametrize(("p", "q"), [(1.0, 1.0), (0.25, 4.0), (4.0, 0.5)])
    def test_go_on_as_often_as_p_and_q_say(self, p: float, q: float, seed: int) -> None:
        """Chi-square of the steps from each pair of nodes; Grover & Leskovec 2016, section 3.2."""
        rows, rng = self.rows(), np.random.default_rng(seed)
        walker = Walker(csr_matrix(rows), p, q)
        paths = walker.walks(np.repeat(np.arange(5), 4000), 12, rng)
        counts = np.zeros((5, 5, 5))
        np.add.at(counts, (paths[:, :-2], paths[:, 1:-1], paths[:, 2:]), 1)
        pvalues = []
        for before, at in np.argwhere(rows > 0):
            factor = np.where(rows[before] > 0, 1.0, 1 / q)
            factor[before] = 1 / p
            expected = rows[at] * factor
            seen = counts[before, at]
            assert not seen[expected == 0].any()
            open_ = expected > 0
            if open_.sum() > 1:
                share = expected[open_] / expected.sum()
                pvalues.append(stats.chisquare(seen[open_], share * seen.sum()).pvalue)
        assert len(pvalues) == 9
        assert min(pvalues) > 0.001

    @pytest.mark.parametrize("seed", [SEED])
    def test_first_go_by_weight(self, seed: int) -> None:
        rows = self.rows()
        paths = Walker(csr_matrix(rows), 0.1, 9).walks(
            np.full(20_000, 2), 2, np.random.default_rng(seed)
        )
        seen = np.bincount(paths[:, 1], minlength=5)
        there = rows[2] > 0
        assert not seen[~there].any()
        share = rows[2][there] / rows[2].sum()
        assert stats.chisquare(seen[there], share * len(paths)).pvalue > 0.001

    def test_end_where_no_edge_leads_on(self) -> None:
        one_way = csr_matrix(np.triu(self.rows()))
        paths = Walker(one_way, 2, 0.5).walks(np.array([3, 4]), 4, np.random.default_rng(SEED))
        assert paths.tolist() == [[3, 4, END, END], [4, END, END, END]]

    def test_are_equal_for_equal_seeds(self) -> None:
        walker = Walker(csr_matrix(self.rows()), 0.5, 2)
        one, two, other = (
            walker.walks(np.arange(5), 20, np.random.default_rng(seed)) for seed in (1, 1, 2)
        )
        assert (one == two).all()
        assert (one != other).any()


class TestGraphs:
    def test_neighbourhoods_together_are_the_graph_that_they_are_of(self) -> None:
        batch = usual()
        whole = _graphs.together(batch)
        assert whole.ids.to_list() == batch["node"].to_list()
        dense = whole.rows.toarray()
        np.testing.assert_allclose(dense, dense.T)
        np.testing.assert_allclose(dense.sum(1), whole.degrees)
        part = _graphs.together(batch[[5, 20]])
        assert part.ids[part.roots.tolist()].to_list() == ["n05", "n20"]
        assert set(part.ids) < set(whole.ids)

    def test_apart_each_has_its_own(self) -> None:
        batch = usual()
        parts = _graphs.apart(batch)
        assert parts.ids[parts.roots.tolist()].to_list() == batch["node"].to_list()
        assert len(parts.ids) == batch["ids"].list.len().sum()

    def test_what_is_no_graph_is_told(self) -> None:
        with pytest.raises(EncoderError, match=r"sage reads nodes .* no column 'node'; it has 'a'"):
            _graphs.check(pl.DataFrame({"a": [1]}), "sage", 2)
        near = usual().with_columns(hops=pl.lit(1, pl.UInt8))
        with pytest.raises(EncoderError, match=r"2 edges away, .* end after 1; set hops = 2"):
            _graphs.check(near, "gcn", 2)


class TestFeatures:
    READS = gcn.Params("x", words=("about",), min_count=1)

    def test_words_are_shares_of_those_that_are_known(self) -> None:
        features = pl.DataFrame({"about": ["mill stone mill", "stone", "", None, "strange"]})
        columns = _nodes.learn(features[:4], self.READS, "gcn")
        assert _nodes.width(columns) == 2
        rows = _nodes.matrix(features, columns).toarray()
        assert rows.tolist() == [[0.5, 0.5], [1, 0], [0, 0], [0, 0], [0, 0]]
        assert _nodes.from_json(_nodes.to_json(columns)) == columns  # type: ignore[arg-type] # JSON

    def test_other_columns_stand_beside_them(self) -> None:
        columns = _nodes.learn(_graphs.together(usual()).features, self.READS, "gcn")
        assert [type(column).__name__ for column in columns] == ["Words", "Number", "Category"]

    @pytest.mark.parametrize(
        ("features", "message"),
        [
            (pl.DataFrame(), "gives nothing; name columns of the nodes in its features"),
            (pl.DataFrame({"age": [1, 2]}), "the nodes have no feature 'about'"),
            (pl.DataFrame({"about": [None, ""]}), "none of the 1 features varies"),
            (pl.DataFrame({"about": [1, 2]}), "'about' has type Int64, and words are read from"),
        ],
    )
    def test_what_cannot_be_read_is_told(self, features: pl.DataFrame, message: str) -> None:
        with pytest.raises(EncoderError, match=message):
            _nodes.learn(features, self.READS, "gcn")

    def test_a_feature_that_is_gone_is_told(self) -> None:
        columns = _nodes.learn(pl.DataFrame({"about": ["a", "b"]}), self.READS, "gcn")
        with pytest.raises(EncoderError, match=r"lack 'about', .* they have 'age'"):
            _nodes.matrix(pl.DataFrame({"age": [1]}), columns)


def whole_graph() -> tuple[NDArray[np.float64], pl.DataFrame]:
    """The edges of the usual nodes as a dense matrix, and their features."""
    whole = _graphs.together(usual())
    return whole.rows.toarray(), whole.features


@cache
def fitted_gcn() -> gcn.Gcn:
    encoder = gcn.build(gcn.Params("crowd", **SMALL))
    encoder.fit_labelled(usual(), samples.labels("graph"), np.random.default_rng(SEED))
    return encoder


class TestGcn:
    def test_gives_what_the_paper_says_of_the_whole_graph(self) -> None:
        """Kipf & Welling 2017, equation 9, by dense matrices over all nodes at once."""
        encoder = fitted_gcn()
        state = encoder.state()
        weights = {name: array.astype(float) for name, array in state.arrays.items()}
        edges, features = whole_graph()
        columns = _nodes.from_json(state.meta["columns"])  # type: ignore[arg-type] # JSON
        x = _nodes.matrix(features, columns).toarray()
        own = edges + np.eye(len(edges))
        root = 1 / np.sqrt(own.sum(1))
        a = root[:, None] * own * root
        hidden = np.maximum(a @ x @ weights["hidden"] + weights["hidden_bias"], 0)
        np.testing.assert_allclose(encoder.encode(usual()), a @ hidden, atol=1e-6)
        scores = a @ (hidden @ weights["classes"]) + weights["classes_bias"]
        np.testing.assert_allclose(encoder.scores(usual()), scores, atol=1e-5)
        assert encoder.classes == ("a", "b")

    def test_learns_from_labels_and_nothing_else(self) -> None:
        encoder = gcn.build(gcn.Params("crowd"))
        rng = np.random.default_rng(SEED)
        with pytest.raises(EncoderUsageError, match=r"label = 'crowd'.* call fit_labelled"):
            encoder.fit(usual(), rng)
        with pytest.raises(EncoderError, match="got 1 labels for 48 nodes"):
            encoder.fit_labelled(usual(), ["a"], rng)
        with pytest.raises(EncoderError, match="48 nodes of the sample have 1: label must name"):
            encoder.fit_labelled(usual(), [None, *["a"] * 47], rng)

    def test_tells_crowds_apart_that_it_was_told_of_a_few(self) -> None:
        encoder = gcn.build(gcn.Params("crowd", words=("about",), min_count=1, epochs=60))
        truth = [("a", "b")[row % 2] for row in range(samples.ROWS)]
        known = [label if row < 8 else None for row, label in enumerate(truth)]
        encoder.fit_labelled(usual(), known, np.random.default_rng(SEED))
        found = np.array(encoder.classes)[encoder.scores(usual()).argmax(1)]
        assert (found[8:] == truth[8:]).mean() > 0.9


class TestSage:
    def test_gives_what_the_paper_says_of_the_whole_graph(self) -> None:
        """Hamilton et al. 2017, algorithm 1 with the mean aggregator, by dense matrices."""
        encoder = sage.build(sage.Params(**SMALL, hidden=8, dim=6))
        encoder.fit(usual(), np.random.default_rng(SEED))
        state = encoder.state()
        w = {name: array.astype(float) for name, array in state.arrays.items()}
        edges, features = whole_graph()
        columns = _nodes.from_json(state.meta["columns"])  # type: ignore[arg-type] # JSON
        h = _nodes.matrix(features, columns).toarray()
        mean = edges / edges.sum(1, keepdims=True)
        for layer in ("1", "2"):
            h = h @ w[f"own_{layer}"] + mean @ h @ w[f"near_{layer}"] + w[f"bias_{layer}"]
            h = np.maximum(h, 0) if layer == "1" else h
            h /= np.linalg.norm(h, axis=1, keepdims=True)
        np.testing.assert_allclose(encoder.encode(usual()), h, atol=1e-6)

    def test_learns_that_those_who_meet_are_alike(self) -> None:
        encoder = sage.build(sage.Params(words=("about",), min_count=1, hidden=16, dim=8))
        encoder.fit(usual(), np.random.default_rng(SEED))
        vectors = encoder.encode(usual())
        edges, _ = whole_graph()
        cosines = vectors @ vectors.T
        apart = (edges == 0) & ~np.eye(len(edges), dtype=bool)
        assert cosines[edges > 0].mean() > cosines[apart].mean() + 0.3

    def test_without_edges_or_labels_there_is_nothing_to_learn(self) -> None:
        alone = samples.take(samples.odd("graph"), [0, 0])
        with pytest.raises(EncoderError, match="2 nodes of the sample have none"):
            sage.build(sage.Params()).fit(alone, np.random.default_rng(SEED))
        with pytest.raises(EncoderUsageError, match=r"label = 'crowd'.* or leave label out"):
            sage.build(sage.Params(label="crowd")).fit(usual(), np.random.default_rng(SEED))


class TestNode2Vec:
    def test_a_stranger_is_the_mean_of_its_neighbours_as_edges_weigh(self) -> None:
        encoder = node2vec.build(node2vec.Params(dim=8, length=6))
        encoder.fit(usual(), np.random.default_rng(SEED))
        vectors = encoder.encode(usual())
        cell = {"node": "new", "hops": 1, "ids": ["new", "n01", "n02", "stranger"],
                "degrees": [8.0, 1, 3, 4], "starts": [0, 0, 0], "ends": [1, 2, 3],
                "weights": [1.0, 3.0, 4.0]}  # fmt: skip
        lost = cell | {"node": "lost", "ids": ["lost", *"xyz"]}
        schema = usual().drop("features").schema
        found = encoder.encode(pl.DataFrame([cell], schema=schema))
        np.testing.assert_allclose(found[0], 0.25 * vectors[1] + 0.75 * vectors[2], rtol=1e-5)
        with pytest.raises(PartialError, match="no neighbour that was") as told:
            encoder.encode(pl.DataFrame([cell, lost, cell], schema=schema))
        assert told.value.done == {0, 2}
        assert list(told.value.failed) == [1]
        np.testing.assert_array_equal(told.value.vectors[[0, 2]], found[[0, 0]])

    def test_its_state_names_no_node(self) -> None:
        encoder = node2vec.build(node2vec.Params(dim=8, length=6))
        encoder.fit(usual(), np.random.default_rng(SEED))
        state = encoder.state()
        assert set(state.arrays) == {"keys", "vectors"}
        assert "n07" not in str(state.meta)
        assert b"n07" not in state.arrays["keys"].tobytes()

    def test_without_edges_there_is_nothing_to_walk(self) -> None:
        alone = samples.take(samples.odd("graph"), [0])
        with pytest.raises(EncoderError, match="the 1 nodes of the sample have none"):
            node2vec.build(node2vec.Params()).fit(alone, np.random.default_rng(SEED))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: node2vec.Params(dim=0), "dim must be 1 or more, got 0"),
        (lambda: node2vec.Params(length=1), "length must be 2 or more, got 1"),
        (lambda: node2vec.Params(p=0.0), "p must be from 0.01 to 100, got 0.0"),
        (lambda: node2vec.Params(q=1000.0), "q must be from 0.01 to 100"),
        (lambda: node2vec.Params(rate=float("nan")), "rate must be above 0"),
        (lambda: gcn.Params("x", epochs=0), "epochs must be 1 or more"),
        (lambda: gcn.Params("x", dropout=1.0), "dropout must be from 0 to below 1"),
        (lambda: gcn.Params("x", decay=-1.0), "rate must be positive and decay not negative"),
        (lambda: gcn.Params("x", words="w"), "words must be a list of column names, got 'w'"),  # type: ignore[arg-type] # as TOML may have it
        (lambda: gcn.Params("x", min_count=0), "min_count must be 1 or more"),
        (lambda: sage.Params(walk=0), "walk must be 1 or more"),
        (lambda: sage.Params(dropout=-0.1), "dropout must be from 0 to below 1"),
        (lambda: sage.Params(rate=0.0), "rate must be positive"),
    ],
)
def test_what_cannot_be_is_refused(make: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


def test_a_fit_that_diverges_is_told() -> None:
    encoder = gcn.build(gcn.Params("crowd", words=("about",), rate=1e30))
    with pytest.raises(EncoderError, match="the fit has diverged; lower the learning rate"):
        encoder.fit_labelled(usual(), samples.labels("graph"), np.random.default_rng(SEED))


def test_weights_of_messages_are_those_of_the_paper() -> None:
    whole = _graphs.together(usual())
    found = _messages.symmetric(whole).toarray()
    np.testing.assert_allclose(found, found.T)
    np.testing.assert_allclose(np.diag(found), 1 / (whole.degrees + 1))
    np.testing.assert_allclose(_messages.mean(whole).sum(1), 1)


def cora(data: Path, params: graph.Params | None = None) -> pl.DataFrame:
    """Cora, columns label, split (null where it has none) and content."""
    params = params or cora_params(data / "graph")
    source = graph.open(params, data, "graph")
    return source.fetch(pl.concat([chunk.records for chunk in source.scan()]))


def cora_params(folder: Path) -> graph.Params:
    tables = (str(folder / "cora_nodes.csv"), str(folder / "cora_edges.csv"))
    keep = ["label", "split"]
    return graph.Params(
        *tables, "node", features=["words"], keep=keep, fanout=0, types={"label": "str"}
    )


def probe(vectors: NDArray[np.float32], labels: NDArray[Any], learned: NDArray[np.bool_]) -> float:
    """The accuracy of a linear classifier on the nodes that it has not learned from."""
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(max_iter=1000, C=10).fit(vectors[learned], labels[learned])
    return float(model.score(vectors[~learned], labels[~learned]))


@pytest.mark.slow
@pytest.mark.realdata
class TestCora:
    def test_gcn_tells_its_subjects_from_twenty_labels_each(self, data: Path) -> None:
        """The public split; the paper has 0.815, and ten seeds here 0.815 (tests/bench/graphs)."""
        nodes = cora(data)
        batch = nodes["content"].struct.unnest()
        train = (nodes["split"] == "train").fill_null(value=False)
        test = (nodes["split"] == "test").fill_null(value=False).to_numpy()
        labels = [
            label if known else None for label, known in zip(nodes["label"], train, strict=True)
        ]
        found = []
        for seed in (0, 1):
            encoder = gcn.build(gcn.Params("label", words=("words",)))
            encoder.fit_labelled(batch, labels, np.random.default_rng(seed))
            scores = encoder.scores(batch.filter(pl.Series(test)))
            told = np.array(encoder.classes)[scores.argmax(1)]
            found.append((told == nodes["label"].to_numpy()[test]).mean())
        assert np.mean(found) > 0.795

    def test_node2vec_lays_subjects_together(self, data: Path) -> None:
        nodes = cora(data)
        batch = nodes["content"].struct.unnest()
        encoder = node2vec.build(node2vec.Params(walks=6, length=20))
        encoder.fit(batch, np.random.default_rng(SEED))
        half = np.arange(len(nodes)) % 2 == 0
        assert probe(encoder.encode(batch), nodes["label"].to_numpy(), half) > 0.70

    def test_sage_encodes_nodes_that_came_after_the_fit(self, data: Path, tmp_path: Path) -> None:
        whole = cora(data)
        new = np.random.default_rng(SEED).random(len(whole)) < 0.2
        gone = whole["record_id"].filter(pl.Series(new)).implode()
        tables = {name: pl.read_csv(data / f"graph/cora_{name}.csv", infer_schema=False)
                  for name in ("nodes", "edges")}  # fmt: skip
        left = {
            "nodes": tables["nodes"].filter(~pl.col("node").is_in(gone)),
            "edges": tables["edges"].filter(
                ~(pl.col("source").is_in(gone) | pl.col("target").is_in(gone))
            ),
        }
        for name, table in left.items():
            table.write_csv(tmp_path / f"cora_{name}.csv")
        before = cora(data, cora_params(tmp_path))
        encoder = sage.build(sage.Params(words=("words",), epochs=40))
        encoder.fit(before["content"].struct.unnest(), np.random.default_rng(SEED))
        vectors = encoder.encode(whole["content"].struct.unnest())
        # the share of the largest class is 0.30
        assert probe(vectors, whole["label"].to_numpy(), ~new) > 0.74

        own = encoder.encode(before["content"].struct.unnest())
        same = before.join(whole, on=["record_id", "content_hash"], how="inner")["record_id"]
        assert len(same) > 100
        places = [
            dict(zip(nodes["record_id"], range(len(nodes)), strict=True))
            for nodes in (before, whole)
        ]
        rows = [[at[name] for name in same] for at in places]
        np.testing.assert_array_equal(own[rows[0]], vectors[rows[1]])
