"""Nodes by a graph convolutional network, learned from the labels of some of them.

Kipf & Welling 2017, "Semi-Supervised Classification with Graph Convolutional Networks": two layers,
each of which takes for a node the sum over itself and its neighbours, weighed by their degrees.

The vector of a node is what the second layer multiplies by its weights: the hidden layer, summed
over the neighbours once more. So a linear reading of the vectors is the classification of the
paper, and they see two edges far, as that does.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from encoders import _graphs, _messages, _nodes
from encoders._learned import expect
from encoders._passing import HOPS, Passing, check
from encoders.base import EncoderUsageError, State
from encoders.learning import QUIET, Watch

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    import polars as pl
    from numpy.typing import NDArray
    from scipy.sparse import csr_matrix

    from encoders._nodes import Column
    from encoders.base import Json, Modality

MODALITY: Modality = "graph"
REVISION = 1
"""Raised whenever equal parameters and state would give other vectors than before."""


@dataclass(frozen=True)
class Params:
    """The keys of ``[encoders.NAME]`` for ``kind = "gcn"``.

    Attributes:
        label: the kept column of the source with the class of a node, null where it is not known.
        words: features of the nodes that are texts, of which it counts which words stand there.
        categories: features that are numbers or truth values, to be read as categories.
        min_count: in how many nodes of the sample a word or category must stand.
        max_words: how many words are read, those of the most nodes.
        dim: the width of the hidden layer, and of the vectors.
        dropout: share of features and of the hidden layer left out at each step of the fit.
        decay: weight decay of the first layer.
        epochs: steps of the fit, each over the whole graph.
        rate: the learning rate.
        batch_size: nodes encoded at a time.

    Raises:
        ValueError: if a value is out of its range.
    """

    label: str
    words: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    min_count: int = 2
    max_words: int = 20_000
    dim: int = 16
    dropout: float = 0.5
    decay: float = 5e-4
    epochs: int = 200
    rate: float = 0.01
    batch_size: int = 256

    def __post_init__(self) -> None:
        check(self)


def build(params: Params) -> Gcn:
    """Build the encoder; it must be fitted or restored before it encodes."""
    return Gcn(params)


@dataclass(frozen=True)
class _Model:
    columns: tuple[Column, ...]
    classes: tuple[str, ...]
    arrays: dict[str, NDArray[np.float32]]
    figures: Json

    def wide(self, name: str) -> NDArray[np.float64]:
        return self.arrays[name].astype("float64")


class Gcn(Passing[_Model, Params]):
    """Nodes to ``(n, dim)`` float32, none below 0."""

    kind = "gcn"
    revision = REVISION

    @property
    def classes(self) -> tuple[str, ...]:
        """The labels that it was fitted on, in the order of `scores`.

        Raises:
            EncoderError: before `fit_labelled` or `restore`.
        """
        return self._known().classes

    def fit(self, sample: pl.DataFrame, rng: np.random.Generator, watch: Watch = QUIET) -> None:
        """Raise, since there is nothing to learn without labels.

        Raises:
            EncoderUsageError: always.
        """
        del sample, rng, watch
        raise EncoderUsageError(
            f"gcn learns from labels (label = {self.label!r}), got nodes alone; call fit_labelled"
        )

    def fit_labelled(
        self,
        sample: pl.DataFrame,
        labels: Sequence[str | None],
        rng: np.random.Generator,
        watch: Watch = QUIET,
    ) -> None:
        """Learn to tell the classes of the labelled nodes, over the graph that all of them make.

        Raises:
            EncoderError: if the sample is no graph of 2 hops, has no features or fewer than two
                classes, or the fit diverges.
        """
        graph, classes, nodes, targets = self._labelled(sample, labels, watch)
        columns = _nodes.learn(graph.features, self.params, self.kind)
        features = _nodes.matrix(graph.features, columns)
        edges = _messages.symmetric(graph)
        arrays, losses = self._learn(features, edges, (nodes, targets), rng, watch)
        figures: Json = {"nodes": len(graph.ids), "labelled": len(nodes), "classes": len(classes),
                         "train_loss": losses[-1]}  # fmt: skip
        self._take(_Model(columns, classes, arrays, figures))

    def _learn(
        self,
        features: csr_matrix,
        edges: csr_matrix,
        known: tuple[NDArray[np.int64], NDArray[np.int64]],
        rng: np.random.Generator,
        watch: Watch,
    ) -> tuple[dict[str, NDArray[np.float32]], list[float]]:
        import torch
        from torch.nn.functional import cross_entropy

        from encoders._descent import dropping, seeded
        from encoders._repeatable import one_core

        params = self.params
        weights = {
            "hidden": _messages.glorot((features.shape[1], params.dim), rng),
            "hidden_bias": torch.zeros(params.dim),
            "classes": _messages.glorot((params.dim, int(known[1].max()) + 1), rng),
            "classes_bias": torch.zeros(int(known[1].max()) + 1),
        }
        chance = seeded(rng, "cpu")
        drop = dropping(params.dropout, chance)
        x, a = _messages.tensor(features), _messages.tensor(edges)
        nodes, targets = (torch.from_numpy(part) for part in known)

        def loss() -> torch.Tensor:
            seen = torch.sparse.mm(_messages.dropped(x, params.dropout, chance), weights["hidden"])
            hidden = torch.relu(torch.sparse.mm(a, seen) + weights["hidden_bias"])
            scores = torch.sparse.mm(a, drop(hidden) @ weights["classes"])
            return cross_entropy(scores[nodes] + weights["classes_bias"], targets)

        first = [weights["hidden"], weights["hidden_bias"]]
        second = [weights["classes"], weights["classes_bias"]]
        groups = [
            {"params": first, "lr": params.rate, "weight_decay": params.decay},
            {"params": second, "lr": params.rate},
        ]
        with one_core():
            losses = _messages.learn(weights, loss, groups, params.epochs, watch)
        return {name: weight.numpy() for name, weight in weights.items()}, losses

    def _written(self, model: _Model) -> State:
        """The weights of both layers, the columns and the classes."""
        return State(
            model.arrays,
            {
                "columns": _nodes.to_json(model.columns),
                "classes": list(model.classes),
                "figures": model.figures,
            },
        )

    def _read(self, state: State) -> _Model:
        columns = _nodes.from_json(cast("list[Any]", state.meta["columns"]))
        classes = tuple(cast("list[str]", state.meta["classes"]))
        shapes: dict[str, tuple[int, ...]] = {
            "hidden": (_nodes.width(columns), self.dim),
            "hidden_bias": (self.dim,),
            "classes": (self.dim, len(classes)),
            "classes_bias": (len(classes),),
        }
        expect(state, shapes)
        return _Model(columns, classes, dict(state.arrays), state.meta.get("figures"))

    def encode(self, batch: pl.DataFrame) -> NDArray[np.float32]:
        """Encode nodes: ``(n, dim)`` float32, finite; zeros where nothing known is near.

        Raises:
            EncoderError: before `fit_labelled` or `restore`, if the batch is no graph of 2 hops, or
                if a feature is missing or changed its type.
        """
        return self._vectors(batch).astype("float32")

    def scores(self, batch: pl.DataFrame) -> NDArray[np.float32]:
        """The logits of each class: ``(n, len(classes))`` float32.

        Raises:
            EncoderError: as `encode` does.
        """
        known = self._known()
        found = self._vectors(batch) @ known.wide("classes") + known.wide("classes_bias")
        return found.astype("float32")

    def _vectors(self, batch: pl.DataFrame) -> NDArray[np.float64]:
        import numpy as np

        known = self._known()
        _graphs.check(batch, self.kind, HOPS)
        if batch.is_empty():
            return np.zeros((0, self.dim))
        graph = _graphs.apart(batch)
        edges = _messages.symmetric(graph)
        seen = _graphs.product(_nodes.matrix(graph.features, known.columns), known.wide("hidden"))
        hidden = np.maximum(_graphs.product(edges, seen) + known.wide("hidden_bias"), 0)
        return _graphs.product(edges[graph.roots], hidden)
