"""What encoders of nodes that pass messages along edges are alike in, whatever their layers.

They take graphs of two hops, learn over the whole graph of a sample by some epochs of full descent,
and read what is known of a node alike. How edges weigh is in `encoders._messages`.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Protocol, TypeVar

from encoders import _graphs, _messages, _nodes, _words
from encoders._learned import Learned, Model
from encoders._libraries import majors
from encoders._ranges import check_counts, check_steps
from encoders.base import EncoderError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    import polars as pl
    from numpy.typing import NDArray

    from encoders._graphs import Graph
    from encoders.base import Json, Metric, Modality
    from encoders.learning import Watch

HOPS = 2
"""How far from a node its vector sees: a layer looks one edge further."""


class Keys(_nodes.Reads, Protocol):
    """The parameters that all of them have."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    def label(self) -> str | None: ...

    @property
    def dim(self) -> int: ...

    @property
    def dropout(self) -> float: ...

    @property
    def decay(self) -> float: ...

    @property
    def rate(self) -> float: ...

    @property
    def batch_size(self) -> int: ...


Params = TypeVar("Params", bound=Keys)


def check(params: Keys, *counts: str) -> None:
    """Refuse parameters out of their range, besides those that count.

    Raises:
        ValueError: naming the first.
    """
    _nodes.check(params)
    check_counts(params, ("dim", "epochs", "batch_size", *counts))
    if not 0 <= params.dropout < 1:
        raise ValueError(f"dropout must be from 0 to below 1, got {params.dropout}")
    check_steps(params.rate, params.decay)


class Passing(Learned[Model], Generic[Model, Params]):
    """Nodes to ``(n, dim)`` float32."""

    modality: ClassVar[Modality] = "graph"
    metric: Metric = "cosine"
    fit_size = 100_000
    revision: ClassVar[int]

    def __init__(self, params: Params) -> None:
        super().__init__()
        self.params = params
        self.label: str | None = params.label
        self.batch_size = params.batch_size

    @property
    def dim(self) -> int:
        """The width of the vectors."""
        return self.params.dim

    def recipe(self) -> dict[str, Json]:
        """Kind, revisions, parameters, libraries, and the digest of what was learned."""
        params: dict[str, Json] = asdict(self.params)
        params["words"] = [*sorted(self.params.words)]
        params["categories"] = [*sorted(self.params.categories)]
        del params["batch_size"]  # does not change the vectors
        return {
            "kind": self.kind,
            "revision": self.revision,
            "words": _words.REVISION,
            "params": params,
            "libraries": majors("torch"),
            "state": self._digest,
        }

    def _whole(self, sample: pl.DataFrame) -> Graph:
        """The graph that all nodes of a sample make.

        Raises:
            EncoderError: if the sample is no graph of 2 hops.
        """
        _graphs.check(sample, self.kind, HOPS)
        return _graphs.together(sample)

    def _labelled(
        self, sample: pl.DataFrame, labels: Sequence[str | None], watch: Watch
    ) -> tuple[Graph, tuple[str, ...], NDArray[np.int64], NDArray[np.int64]]:
        """The graph of a sample, the classes, the nodes that have one, and which each has.

        Raises:
            EncoderError: if the sample is no graph of 2 hops, or has fewer than two classes.
        """
        if len(labels) != sample.height:
            raise EncoderError(f"got {len(labels)} labels for {sample.height} nodes")
        graph = self._whole(sample)
        classes, there, targets = _messages.classes_of(labels, self.kind, watch)
        return graph, classes, graph.roots[there], targets
