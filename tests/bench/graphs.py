"""Cora by node2vec, gcn and sage, beside torch_geometric.

``VECMILL_TEST_DATA=... python -m tests.bench.graphs [seeds]``. The public split of Planetoid for
gcn (accuracy on 1,000 test nodes of a fit on 140 labels); elsewhere a linear probe, fitted on a
half of the nodes and scored on the other, or for sage on the nodes that came after the fit.

torch_geometric's Node2Vec takes its walks from a compiled library; where that is not installed it
is given ours, so that what is compared is what it learns from them.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from encoders import _graphs, gcn, node2vec, sage
from encoders._walks import Walker
from flows.sources import graph

if TYPE_CHECKING:
    from numpy.typing import NDArray

SEEDS = 10
EPOCHS = 3
"""Of torch_geometric's Node2Vec, each over all walks; it learns slowly on a CPU."""
WALKS = {"dim": 128, "walks": 10, "length": 20}


def main() -> None:
    """Print accuracies and seconds."""
    given = sys.argv[1:] if __name__ == "__main__" else []
    seeds = range(int(given[0]) if given else SEEDS)
    folder = Path(os.environ["VECMILL_TEST_DATA"]) / "graph"
    begun = time.perf_counter()
    nodes = _read(folder)
    _told(f"read and gather 2,708 neighbourhoods  {time.perf_counter() - begun:.1f} s")
    _gcn(nodes, seeds)
    _node2vec(nodes)
    _sage(nodes, folder)


def _gcn(nodes: pl.DataFrame, seeds: range) -> None:
    batch, labels = nodes["content"].struct.unnest(), nodes["label"].to_numpy()
    split = nodes["split"].fill_null("").to_numpy()
    known = [label if part == "train" else None for label, part in zip(labels, split, strict=True)]
    found, seconds = [], []
    for seed in seeds:
        begun = time.perf_counter()
        encoder = gcn.build(gcn.Params("label", words=("words",)))
        encoder.fit_labelled(batch, known, np.random.default_rng(seed))
        seconds.append(time.perf_counter() - begun)
        told = np.array(encoder.classes)[encoder.scores(batch).argmax(1)]
        found.append(float((told == labels)[split == "test"].mean()))
    _told(f"gcn                   {_spread(found)}  fit {min(seconds):.1f} s")
    begun = time.perf_counter()
    encoder.encode(batch)
    _told(f"gcn encodes           {len(batch) / (time.perf_counter() - begun):,.0f} nodes/s")
    _told(f"torch_geometric GCN   {_spread([_their_gcn(nodes, seed) for seed in seeds])}")


def _their_gcn(nodes: pl.DataFrame, seed: int) -> float:
    import torch
    from torch.nn.functional import cross_entropy, dropout
    from torch_geometric.nn import GCNConv

    torch.manual_seed(seed)
    x, edges, labels = _tensors(nodes)
    split = nodes["split"].fill_null("").to_numpy()
    train, test = (torch.from_numpy(split == part) for part in ("train", "test"))
    layers = [GCNConv(x.shape[1], 16), GCNConv(16, 7)]
    rates = [{"params": layers[0].parameters(), "weight_decay": 5e-4},
             {"params": layers[1].parameters()}]  # fmt: skip
    optimizer = torch.optim.Adam(rates, lr=0.01)

    def forward(*, training: bool) -> Any:  # noqa: ANN401 - torch's tensor
        hidden = layers[0](dropout(x, training=training), edges).relu()
        return layers[1](dropout(hidden, training=training), edges)

    for _ in range(200):
        optimizer.zero_grad()
        cross_entropy(forward(training=True)[train], labels[train]).backward()  # type: ignore[no-untyped-call] # torch ships half of its types
        optimizer.step()
    with torch.no_grad():
        right = forward(training=False).argmax(1) == labels
    return float(right[test].float().mean())


def _node2vec(nodes: pl.DataFrame) -> None:
    batch, labels = nodes["content"].struct.unnest(), nodes["label"].to_numpy()
    half = np.random.default_rng(0).random(len(nodes)) < 0.5
    begun = time.perf_counter()
    encoder = node2vec.build(node2vec.Params(**WALKS))
    encoder.fit(batch, np.random.default_rng(0))
    seconds = time.perf_counter() - begun
    score = _probe(encoder.encode(batch), labels, half)
    _told(f"node2vec              {score:.3f}  fit {seconds:.1f} s")
    begun = time.perf_counter()
    theirs = _their_node2vec(nodes)
    seconds = time.perf_counter() - begun
    score = _probe(theirs, labels, half)
    _told(f"torch_geometric's     {score:.3f}  fit {seconds:.1f} s, {EPOCHS} epochs")


def _their_node2vec(nodes: pl.DataFrame) -> NDArray[np.float32]:
    import torch
    from torch_geometric.nn.models import node2vec as module

    torch.manual_seed(0)
    whole = _graphs.together(nodes["content"].struct.unnest())
    if not module.WITH_PYG_LIB:
        _lend_walks(Walker(whole.rows[whole.roots][:, whole.roots]))
        module.WITH_PYG_LIB = True
    _, edges, _ = _tensors(nodes)
    model = module.Node2Vec(
        edges, WALKS["dim"], WALKS["length"], 10, WALKS["walks"], num_nodes=len(nodes), sparse=True
    )
    optimizer = torch.optim.SparseAdam(list(model.parameters()), lr=0.01)
    for _ in range(EPOCHS):
        for near, far in model.loader(batch_size=128, shuffle=True):
            optimizer.zero_grad()
            model.loss(near, far).backward()
            optimizer.step()  # type: ignore[no-untyped-call] # as above
    return np.asarray(model().detach().numpy())


def _lend_walks(walker: Walker) -> None:
    """Register our walks under the name by which it calls for its own."""
    import torch

    rng = np.random.default_rng(0)

    def walk(_rows: Any, _others: Any, starts: Any, steps: int, _p: float, _q: float) -> Any:  # noqa: ANN401 - torch's tensors
        return torch.from_numpy(walker.walks(starts.numpy(), steps + 1, rng))

    library: Any = torch.library.Library("pyg", "FRAGMENT")  # type: ignore[no-untyped-call] # as above
    library.define("random_walk(Tensor a, Tensor b, Tensor c, int d, float e, float f) -> Tensor")
    library.impl("random_walk", walk, "CPU")
    _KEPT.append(library)


_KEPT: list[object] = []
"""A library of torch goes with its object."""


def _sage(nodes: pl.DataFrame, folder: Path) -> None:
    batch, labels = nodes["content"].struct.unnest(), nodes["label"].to_numpy()
    new = np.random.default_rng(1).random(len(nodes)) < 0.2
    with tempfile.TemporaryDirectory(prefix="vecmill-bench-") as name:
        gone = nodes["record_id"].filter(pl.Series(new)).implode()
        for table, ends in (("nodes", ["node"]), ("edges", ["source", "target"])):
            rows = pl.read_csv(folder / f"cora_{table}.csv", infer_schema=False)
            left = rows.filter(~pl.any_horizontal(pl.col(ends).is_in(gone)))
            left.write_csv(Path(name) / f"cora_{table}.csv")
        before = _read(Path(name))
    seen = before["content"].struct.unnest()
    plain = _tensors(nodes)[0].numpy()
    _told(f"words alone           {_probe(plain, labels, ~new):.3f}  on nodes that came later")
    for label in (None, "label"):
        begun = time.perf_counter()
        encoder = sage.build(sage.Params(label, words=("words",)))
        if label:
            encoder.fit_labelled(seen, before["label"].to_list(), np.random.default_rng(0))
        else:
            encoder.fit(seen, np.random.default_rng(0))
        seconds = time.perf_counter() - begun
        score = _probe(encoder.encode(batch), labels, ~new)
        _told(f"sage, {'labels' if label else 'edges '}          {score:.3f}  fit {seconds:.1f} s")


def _read(folder: Path) -> pl.DataFrame:
    tables = (str(folder / "cora_nodes.csv"), str(folder / "cora_edges.csv"))
    params = graph.Params(
        *tables, "node", features=["words"], keep=["label", "split"], fanout=0,
        types={"label": "str"},
    )  # fmt: skip
    source = graph.open(params, folder, "graph")
    return source.fetch(pl.concat([chunk.records for chunk in source.scan()]))


def _tensors(nodes: pl.DataFrame) -> tuple[Any, Any, Any]:
    """Features, edges and labels as torch_geometric takes them, nodes in the order given."""
    import torch

    batch = nodes["content"].struct.unnest()
    whole = _graphs.together(batch)
    words = [set(text.split()) for text in whole.features["words"]]
    x = np.zeros((len(words), 1433), np.float32)
    for row, known in enumerate(words):
        x[row, [int(word) for word in known]] = 1 / max(len(known), 1)
    x = x[whole.roots]
    edges = whole.rows.tocoo()
    place = np.empty(len(words), np.int64)
    place[whole.roots] = np.arange(len(words))
    pairs = np.vstack([place[edges.row], place[edges.col]])
    labels = nodes["label"].cast(pl.Int64).to_numpy()
    return torch.from_numpy(x), torch.from_numpy(pairs), torch.from_numpy(labels.copy())


def _probe(vectors: NDArray[Any], labels: NDArray[Any], learned: NDArray[np.bool_]) -> float:
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(max_iter=2000, C=10).fit(vectors[learned], labels[learned])
    return float(model.score(vectors[~learned], labels[~learned]))


def _spread(found: list[float]) -> str:
    return f"{np.mean(found):.4f} ± {np.std(found):.4f} over {len(found)} seeds"


def _told(line: str) -> None:
    print(line, flush=True)  # noqa: T201 - a benchmark prints


if __name__ == "__main__":
    main()
