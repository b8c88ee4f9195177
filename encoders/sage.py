"""Nodes by GraphSAGE: what is known of a node, and of its neighbours on average, in two layers.

Hamilton, Ying & Leskovec 2017, "Inductive Representation Learning on Large Graphs", with the mean
aggregator. It learns how to put a neighbourhood together, not the nodes: one that was not in the
fit is encoded as any other.

With a label it learns to tell classes apart; without one, that nodes which meet on short random
walks are alike, and others are not (equation 1 there). Cosines are divided by a temperature first
(Chen et al. 2020, "SimCLR"): by themselves they would end the fit before it had begun.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from encoders import _graphs, _messages, _nodes, _sage
from encoders._learned import expect
from encoders._passing import HOPS, Passing, check
from encoders.base import EncoderError, EncoderUsageError, State
from encoders.learning import QUIET, Watch

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    import polars as pl
    from numpy.typing import NDArray

    from encoders._graphs import Graph
    from encoders._nodes import Column
    from encoders.base import Json, Modality

MODALITY: Modality = "graph"
REVISION = 1
"""Raised whenever equal parameters and state would give other vectors than before."""


@dataclass(frozen=True)
class Params:
    """The keys of ``[encoders.NAME]`` for ``kind = "sage"``.

    Attributes:
        label: the kept column of the source with the class of a node, null where it is not known;
            without it edges are learned from.
        words: features of the nodes that are texts, of which it counts which words stand there.
        categories: features that are numbers or truth values, to be read as categories.
        min_count: in how many nodes of the sample a word or category must stand.
        max_words: how many words are read, those of the most nodes.
        hidden: the width of the first layer.
        dim: the width of the vectors.
        dropout: share of features and of the hidden layer left out at each step of the fit.
        decay: weight decay.
        walk: without a label: nodes so many steps apart at most on a walk are alike.
        negative: without a label: drawn nodes that each pair is told from.
        epochs: steps of the fit, each over the whole graph.
        rate: the learning rate.
        batch_size: nodes encoded at a time.

    Raises:
        ValueError: if a value is out of its range.
    """

    label: str | None = None
    words: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    min_count: int = 2
    max_words: int = 20_000
    hidden: int = 128
    dim: int = 64
    dropout: float = 0.5
    decay: float = 5e-4
    walk: int = 3
    negative: int = 5
    epochs: int = 100
    rate: float = 0.01
    batch_size: int = 256

    def __post_init__(self) -> None:
        check(self, "hidden", "walk", "negative")


def build(params: Params) -> Sage:
    """Build the encoder; it must be fitted or restored before it encodes."""
    return Sage(params)


@dataclass(frozen=True)
class _Model:
    columns: tuple[Column, ...]
    arrays: dict[str, NDArray[np.float32]]
    figures: Json

    def wide(self, name: str) -> NDArray[np.float64]:
        return self.arrays[name].astype("float64")


class Sage(Passing[_Model, Params]):
    """Nodes to ``(n, dim)`` float32 of L2 norm 1."""

    kind = "sage"
    revision = REVISION

    def fit(self, sample: pl.DataFrame, rng: np.random.Generator, watch: Watch = QUIET) -> None:
        """Learn from the edges of the graph that the sample makes; with a `label`, refuse.

        Raises:
            EncoderError: if the sample is no graph of 2 hops, has no features or no edge, or the
                fit diverges.
        """
        if self.label is not None:
            raise EncoderUsageError(
                f"label = {self.label!r} asks to learn from labels, got nodes alone; call "
                "fit_labelled, or leave label out"
            )
        graph = self._whole(sample)
        if not graph.rows.nnz:
            raise EncoderError(
                f"sage learns from edges where it has no label, and the {len(graph.roots)} nodes "
                "of the sample have none; look at the ends that the source names, or set label"
            )
        params = self.params
        self._fit(graph, _sage.Meetings(graph, params.walk, params.negative, rng), rng, watch)

    def fit_labelled(
        self,
        sample: pl.DataFrame,
        labels: Sequence[str | None],
        rng: np.random.Generator,
        watch: Watch = QUIET,
    ) -> None:
        """Learn to tell the classes of the labelled nodes.

        Raises:
            EncoderError: as `fit` does, or if there are fewer than two classes.
        """
        graph, _, nodes, targets = self._labelled(sample, labels, watch)
        self._fit(graph, _sage.Classes(nodes, targets, self.dim, rng), rng, watch)

    def _fit(self, graph: Graph, goal: _sage.Goal, rng: np.random.Generator, watch: Watch) -> None:
        params = self.params
        columns = _nodes.learn(graph.features, params, self.kind)
        features = _nodes.matrix(graph.features, columns)
        steps = _sage.Steps(
            params.hidden, params.dim, params.dropout, params.decay, params.epochs, params.rate
        )
        edges = _messages.mean(graph)
        arrays, losses = _sage.learn(features, edges, goal, steps, rng, watch)
        figures: Json = {"nodes": len(graph.ids), "train_loss": losses[-1]}
        self._take(_Model(columns, arrays, figures))

    def _written(self, model: _Model) -> State:
        """The weights of both layers, and the columns."""
        meta: dict[str, Json] = {
            "columns": _nodes.to_json(model.columns),
            "figures": model.figures,
        }
        return State(model.arrays, meta)

    def _read(self, state: State) -> _Model:
        columns = _nodes.from_json(cast("list[Any]", state.meta["columns"]))
        expect(state, _sage.shapes(_nodes.width(columns), self.params.hidden, self.dim))
        return _Model(columns, dict(state.arrays), state.meta.get("figures"))

    def encode(self, batch: pl.DataFrame) -> NDArray[np.float32]:
        """Encode nodes: ``(n, dim)`` float32, finite.

        Raises:
            EncoderError: before a fit or `restore`, if the batch is no graph of 2 hops, or if a
                feature is missing or changed its type.
        """
        import numpy as np

        known = self._known()
        _graphs.check(batch, self.kind, HOPS)
        if batch.is_empty():
            return np.zeros((0, self.dim), np.float32)
        graph = _graphs.apart(batch)
        edges = _messages.mean(graph)
        x = _nodes.matrix(graph.features, known.columns)
        near = _graphs.product(edges, _graphs.product(x, known.wide("near_1")))
        own = _graphs.product(x, known.wide("own_1"))
        hidden = _unit(np.maximum(own + near + known.wide("bias_1"), 0))
        met = _graphs.product(edges[graph.roots], hidden)
        own = _graphs.product(hidden[graph.roots], known.wide("own_2"))
        near = _graphs.product(met, known.wide("near_2"))
        return _unit(own + near + known.wide("bias_2")).astype(np.float32)


def _unit(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rows of L2 norm 1; zeros stay."""
    import numpy as np

    norms = np.sqrt((rows**2).sum(axis=1, keepdims=True))
    found: NDArray[np.float64] = rows / np.maximum(norms, _sage.LEAST_NORM)
    return found
