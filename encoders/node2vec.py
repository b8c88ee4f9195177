"""Nodes by node2vec: near each other are those that stand on the same walks.

Grover & Leskovec 2016, "node2vec: Scalable Feature Learning for Networks": biased random walks are
read as sentences, and skip-gram with negative sampling learns vectors of their words, the nodes
(Mikolov et al. 2013; by gensim, Řehůřek & Sojka 2010). With p = q = 1 it is DeepWalk (Perozzi,
Al-Rfou & Skiena 2014).

It knows the nodes that were in the fit. Another one gets the mean of its neighbours' vectors, as
its edges weigh, and none where no neighbour is known.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from hashlib import blake2b
from typing import TYPE_CHECKING, ClassVar

from encoders import _gensim, _graphs
from encoders._learned import Learned, expect
from encoders._libraries import majors
from encoders._ranges import check_counts
from encoders._walks import END, Walker
from encoders.base import EncoderError, State
from encoders.learning import QUIET, Watch
from encoders.metering import PartialError

if TYPE_CHECKING:
    from collections.abc import Iterable

    import numpy as np
    import polars as pl
    from numpy.typing import NDArray

    from encoders.base import Json, Metric, Modality

MODALITY: Modality = "graph"
REVISION = 1
"""Raised whenever equal parameters and state would give other vectors than before."""

_KEY_BYTES = 16
_COUNTS = ("dim", "walks", "window", "negative", "epochs", "batch_size")
_FARTHEST = 100.0


@dataclass(frozen=True)
class Params:
    """The keys of ``[encoders.NAME]`` for ``kind = "node2vec"``.

    Attributes:
        dim: the width of the vectors.
        walks: how many begin at each node.
        length: nodes of a walk.
        p: above 1 walks seldom go straight back, below 1 often: they keep near their beginning.
        q: above 1 walks keep to the neighbours of where they were, and like nodes are those of one
            community; below 1 they go far, and like nodes are those of one role.
        window: how many nodes to each side of a walk count as near, at most.
        negative: drawn nodes that each near one is told from.
        epochs: how often the walks are gone through.
        rate: the learning rate at the beginning; it falls evenly.
        batch_size: nodes looked up at a time.

    Raises:
        ValueError: if a value is out of its range.
    """

    dim: int = 128
    walks: int = 10
    length: int = 40
    p: float = 1.0
    q: float = 1.0
    window: int = 10
    negative: int = 5
    epochs: int = 1
    rate: float = 0.025
    batch_size: int = 4096

    def __post_init__(self) -> None:
        check_counts(self, _COUNTS)
        if self.length < 2:  # noqa: PLR2004 - one step
            raise ValueError(f"length must be 2 or more, got {self.length}")
        for name in ("p", "q"):
            if not 1 / _FARTHEST <= getattr(self, name) <= _FARTHEST:
                raise ValueError(f"{name} must be from 0.01 to 100, got {getattr(self, name)}")
        if not self.rate > 0:  # NaN too
            raise ValueError(f"rate must be above 0, got {self.rate}")


def build(params: Params) -> Node2Vec:
    """Build the encoder; it must be fitted or restored before it encodes."""
    return Node2Vec(params)


@dataclass(frozen=True)
class _Model:
    """``vectors`` is ``(nodes, dim)`` float32, ``places`` says where that of a node stands."""

    places: dict[bytes, int]
    vectors: NDArray[np.float32]
    figures: dict[str, Json]


class Node2Vec(Learned[_Model]):
    """Nodes to ``(n, dim)`` float32."""

    modality: ClassVar[Modality] = "graph"
    metric: Metric = "cosine"
    fit_size = 100_000
    kind = "node2vec"
    nothing = "has walked no graph yet"

    def __init__(self, params: Params) -> None:
        super().__init__()
        self.params = params
        self.batch_size = params.batch_size

    @property
    def dim(self) -> int:
        """The width of the vectors."""
        return self.params.dim

    def fit(self, sample: pl.DataFrame, rng: np.random.Generator, watch: Watch = QUIET) -> None:
        """Walk the graph that the nodes of the sample and their neighbours make, and learn.

        Raises:
            EncoderError: if the sample is no graph, or has no edge.
        """
        import numpy as np

        _graphs.check(sample, self.kind, 1)
        graph = _graphs.together(sample)
        if not graph.rows.nnz:
            raise EncoderError(
                f"node2vec walks along edges, and the {len(graph.roots)} nodes of the sample have "
                "none; look at the ends that the source names"
            )
        params = self.params
        watch.stage("walk", params.walks)
        walker, sentences = Walker(graph.rows, params.p, params.q), []
        starts = np.unique(graph.roots)
        names = [str(place) for place in range(len(graph.ids))]
        for _ in range(params.walks):
            paths = walker.walks(rng.permutation(starts), params.length, rng)
            sentences += [[names[at] for at in path if at != END] for path in paths.tolist()]
            watch.advance(1)
        model = self._skip_gram(sentences, rng, watch)
        met = sorted(int(name) for name in model.index_to_key)
        keys = _keys(graph.ids[met])
        vectors = model[[str(at) for at in met]]
        edges = graph.rows.nnz
        figures: dict[str, Json] = {"nodes": len(met), "edges_seen": edges, "walks": len(sentences)}
        places = {key: at for at, key in enumerate(keys)}
        self._take(_Model(places, np.asarray(vectors, np.float32), figures))

    def _skip_gram(self, sentences: list[list[str]], rng: np.random.Generator, watch: Watch):  # type: ignore[no-untyped-def]  # noqa: ANN202 - gensim ships no types
        from gensim.models import Word2Vec

        params = self.params
        model = Word2Vec(
            sg=1,
            vector_size=params.dim,
            window=params.window,
            min_count=1,
            negative=params.negative,
            sample=0,  # what is frequent on walks is what has many edges, which is no noise
            alpha=params.rate,
            seed=_gensim.seed_of(rng),
            workers=1,  # with several, no two fits are equal
        )
        _gensim.trained(model, sentences, params.epochs, watch)
        return model.wv

    def _written(self, model: _Model) -> State:
        """``keys (nodes, 16)`` uint8, ``vectors (nodes, dim)`` float32.

        A key is a hash of a node's id, so that no state holds the id itself.
        """
        import numpy as np

        keys = np.frombuffer(b"".join(model.places), np.uint8).reshape(-1, _KEY_BYTES)
        return State({"keys": keys, "vectors": model.vectors}, {"figures": model.figures})

    def _read(self, state: State) -> _Model:
        nodes = len(state.arrays["keys"]) if "keys" in state.arrays else 0
        expect(state, {"keys": (nodes, _KEY_BYTES), "vectors": (nodes, self.dim)})
        places = {key.tobytes(): at for at, key in enumerate(state.arrays["keys"])}
        figures = state.meta.get("figures")
        return _Model(places, state.arrays["vectors"], figures if isinstance(figures, dict) else {})

    def recipe(self) -> dict[str, Json]:
        """Kind, revision, parameters, libraries, and the digest of what was learned."""
        params: dict[str, Json] = asdict(self.params)
        del params["batch_size"]  # does not change the vectors
        return {
            "kind": self.kind,
            "revision": REVISION,
            "params": params,
            "libraries": majors("gensim"),
            "state": self._digest,
        }

    def encode(self, batch: pl.DataFrame) -> NDArray[np.float32]:
        """Encode nodes: ``(n, dim)`` float32, finite.

        Raises:
            EncoderError: before `fit` or `restore`, or if the batch is no graph.
            PartialError: if neither a node nor a neighbour of it was in the fit.
        """
        import numpy as np

        known = self._known()
        _graphs.check(batch, self.kind, 1)
        vectors = np.zeros((batch.height, self.dim), np.float32)
        places = self._places(known, batch["node"])
        there = places >= 0
        vectors[there] = known.vectors[places[there]]
        strange = np.flatnonzero(~there)
        if not len(strange):
            return vectors
        means, found = self._means(known, batch[strange])
        vectors[strange] = means
        if not found.all():
            lost = strange[~found].tolist()
            reason = (
                "the node was not in the fit of node2vec, and has no neighbour that was: connect "
                "it, or refit with `vecmill run --refit`"
            )
            done = frozenset(range(batch.height)).difference(lost)
            raise PartialError(vectors, done, dict.fromkeys(lost, reason), None)
        return vectors

    def _places(self, known: _Model, ids: pl.Series) -> NDArray[np.int64]:
        """Where the vectors of nodes stand, -1 for those that were not in the fit."""
        import numpy as np

        return np.array([known.places.get(key, -1) for key in _keys(ids)], np.int64)

    def _means(
        self, known: _Model, batch: pl.DataFrame
    ) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """The weighted means of known neighbours, and which nodes have one."""
        import numpy as np
        from scipy.sparse import csr_matrix

        graph = _graphs.apart(batch)
        near = graph.rows[graph.roots].tocoo()
        places = self._places(known, graph.ids)[near.col]
        met = places >= 0
        at, weights = near.row[met], near.data[met]
        total = np.bincount(at, weights, batch.height)
        shares = csr_matrix(
            (weights / total[at], (at, places[met])), (batch.height, len(known.vectors))
        )
        return _graphs.product(shares, known.vectors.astype(np.float64)), total > 0


def _keys(ids: Iterable[str]) -> list[bytes]:
    return [blake2b(i.encode("utf-8", "surrogatepass"), digest_size=_KEY_BYTES).digest()
            for i in ids]  # fmt: skip
