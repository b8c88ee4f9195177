"""How GraphSAGE learns: its two layers in torch, and the two things that it may learn for.

Hamilton, Ying & Leskovec 2017, "Inductive Representation Learning on Large Graphs".
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from encoders import _messages
from encoders._walks import END, Walker

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import numpy as np
    from numpy.typing import NDArray
    from scipy.sparse import csr_matrix
    from torch import Tensor

    from encoders._graphs import Graph
    from encoders.learning import Watch

LEAST_NORM = 1e-12
"""What a vector of zeros is divided by."""

_TEMPERATURE = 0.2
_COMMON = 0.75
"""Negatives are drawn by the degree to this power, as in word2vec."""


@dataclass(frozen=True)
class Steps:
    """How it learns; see `encoders.sage.Params`."""

    hidden: int
    dim: int
    dropout: float
    decay: float
    epochs: int
    rate: float


class Goal(Protocol):
    """What vectors are to be good for.

    Attributes:
        weights: what is learned besides the layers, and let go of after the fit.
    """

    weights: Mapping[str, Tensor]

    def loss(self, vectors: Tensor) -> Tensor:
        """How far the vectors of all nodes, ``(n, dim)`` of L2 norm 1, are from it."""
        ...


class Classes:
    """To tell the classes of some nodes apart, by a layer upon the vectors."""

    def __init__(
        self, nodes: NDArray[np.int64], targets: NDArray[np.int64], dim: int,
        rng: np.random.Generator,
    ) -> None:  # fmt: skip
        import torch

        classes = int(targets.max()) + 1
        self._nodes, self._targets = torch.from_numpy(nodes), torch.from_numpy(targets)
        self.weights: Mapping[str, Tensor] = {
            "head": _messages.glorot((dim, classes), rng),
            "head_bias": torch.zeros(classes),
        }

    def loss(self, vectors: Tensor) -> Tensor:
        """Cross-entropy, in nats."""
        from torch.nn.functional import cross_entropy

        scores = vectors[self._nodes] @ self.weights["head"] / _TEMPERATURE
        return cross_entropy(scores + self.weights["head_bias"], self._targets)


@dataclass
class Meetings:
    """That nodes which meet on short walks are alike, and drawn ones are not; equation 1.

    Attributes:
        graph: walked from record to record; of nodes at the rim too little is known.
        walk: how many steps apart they meet at most.
        negative: how many are drawn for each pair.
        rng: all chance.
    """

    graph: Graph
    walk: int
    negative: int
    rng: np.random.Generator
    weights: Mapping[str, Tensor] = field(default_factory=dict)

    def __post_init__(self) -> None:
        import numpy as np

        self._roots = np.unique(self.graph.roots)
        self._walker = Walker(self.graph.rows[self._roots][:, self._roots])
        self._common = np.cumsum(np.maximum(self.graph.degrees[self._roots], 1e-9) ** _COMMON)

    def loss(self, vectors: Tensor) -> Tensor:
        """The negative log likelihood of pairs, in nats each."""
        import torch
        from torch.nn.functional import logsigmoid

        one, other, drawn = (torch.from_numpy(part) for part in self._pairs())
        left = vectors[one] / _TEMPERATURE
        met = (left * vectors[other]).sum(1)
        not_met = torch.einsum("nd,nkd->nk", left, vectors[drawn])
        return -(logsigmoid(met) + logsigmoid(-not_met).sum(1)).mean()

    def _pairs(self) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        import numpy as np

        rng, count = self.rng, len(self._roots)
        paths = self._walker.walks(np.arange(count), self.walk + 1, rng)
        other = paths[np.arange(count), rng.integers(1, self.walk + 1, count)]
        one = np.flatnonzero((other != END) & (other != np.arange(count)))
        chance = rng.random((len(one), self.negative)) * self._common[-1]
        drawn = np.minimum(np.searchsorted(self._common, chance, side="right"), count - 1)
        return self._roots[one], self._roots[other[one]], self._roots[drawn]


def learn(
    features: csr_matrix,
    edges: csr_matrix,
    goal: Goal,
    steps: Steps,
    rng: np.random.Generator,
    watch: Watch,
) -> tuple[dict[str, NDArray[np.float32]], list[float]]:
    """The weights of both layers, and the loss of every epoch.

    Args:
        features: ``(n, f)``, of all nodes.
        edges: ``(n, n)``, the mean over each node's neighbours.
        goal: what for.
        steps: how.
        rng: all chance.
        watch: hears of each epoch.

    Raises:
        EncoderError: if the loss becomes NaN or infinite.
    """
    from encoders._descent import dropping, seeded
    from encoders._repeatable import one_core

    weights = _begun(features.shape[1], steps, rng)
    chance = seeded(rng, "cpu")
    drop = dropping(steps.dropout, chance)
    x, a = _messages.tensor(features), _messages.tensor(edges)

    def loss() -> Tensor:
        seen = _messages.dropped(x, steps.dropout, chance)
        return goal.loss(_vectors(weights, seen, a, drop))

    every = {**weights, **goal.weights}
    groups = [{"params": list(every.values()), "lr": steps.rate, "weight_decay": steps.decay}]
    with one_core():
        losses = _messages.learn(every, loss, groups, steps.epochs, watch)
    return {name: weight.numpy() for name, weight in weights.items()}, losses


def shapes(features: int, hidden: int, dim: int) -> dict[str, tuple[int, ...]]:
    """Of the weights by name: of each layer for the node itself, its neighbours, and the bias."""
    return {
        "own_1": (features, hidden), "near_1": (features, hidden), "bias_1": (hidden,),
        "own_2": (hidden, dim), "near_2": (hidden, dim), "bias_2": (dim,),
    }  # fmt: skip


def _begun(features: int, steps: Steps, rng: np.random.Generator) -> dict[str, Tensor]:
    import torch

    return {
        name: torch.zeros(shape) if name.startswith("bias")
        else _messages.glorot((shape[0], shape[1]), rng)
        for name, shape in shapes(features, steps.hidden, steps.dim).items()
    }  # fmt: skip


def _vectors(
    weights: dict[str, Tensor], x: Tensor, a: Tensor, drop: Callable[[Tensor], Tensor]
) -> Tensor:
    """All nodes, ``(n, dim)``; algorithm 1."""
    import torch
    from torch.nn.functional import normalize

    near = torch.sparse.mm(a, torch.sparse.mm(x, weights["near_1"]))
    own = torch.sparse.mm(x, weights["own_1"])
    hidden = normalize(torch.relu(own + near + weights["bias_1"]), eps=LEAST_NORM)
    hidden = drop(hidden)
    near = torch.sparse.mm(a, hidden @ weights["near_2"])
    found = hidden @ weights["own_2"] + near + weights["bias_2"]
    return normalize(found, eps=LEAST_NORM)
