"""Records that are the nodes of a graph, each with what is around it.

Two tables: one of nodes, one of edges. A record is a node, and its content holds the node and all
within ``hops`` edges of it. So it can be encoded by itself, wherever that happens, and its content
hash changes exactly when something in there does: a run encodes what was changed and all that is
near enough to feel it, and nothing else.

The whole graph is held in memory while it is read: the table of nodes as its columns are, and 24
bytes an undirected edge; about three times that for a moment, when the edges are put in order.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from flows.sources import _params, _types, table
from flows.sources._adjacency import adjacency
from flows.sources._edges import Edges, Form
from flows.sources._neighbourhoods import contents, hashes
from flows.sources._params import ParamError
from flows.sources.base import CHUNK_ROWS, Chunk, SourceUsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    import polars as pl

    from flows.sources._adjacency import Adjacency
    from flows.sources._records import RowSource
    from flows.sources.base import Modality, Reject

STRANGERS = ("reject", "ignore")
_ENDS = 2
_FARTHEST = 4
"""Beyond it a neighbourhood is the graph."""


@dataclass(frozen=True)
class Params:
    """The keys of a ``[sources.NAME]`` of kind ``graph``.

    Files are CSV, TSV, JSON Lines or Parquet, by their extensions.

    Attributes:
        nodes: the table of nodes: a file or pattern, or a list of them, relative to the root, or
            a URI, as `flows.sources.table` takes them.
        edges: the table of edges, likewise.
        id: the column of the nodes' ids.
        ends: the two columns of the table of edges that hold the ids at their ends, in this order.
        weight: its column of weights, above 0; None where all edges weigh 1.
        directed: whether an edge leads from the first of its ends to the second alone; a node then
            sees those that its edges lead to.
        features: columns of the nodes that encoders read; none where edges are all there is.
        hops: how many edges away the neighbourhood ends: 1 for node2vec, 2 for gcn and sage.
        fanout: of how many neighbours each node is seen to have at most, chosen by a hash of the
            two ids; 0 for all. It keeps the neighbourhood of a hub from being the graph.
        strangers: an edge that names a node which is not in the table of nodes is to ``reject``
            (a dead letter), or to ``ignore``.
        event_time: the column of the nodes' event times.
        keep: columns of the nodes stored beside the vector.
        null_values: what stands for no value, in files without types.
        types: the types of kept columns and features where the inferred ones will not do.

    Raises:
        ParamError: if a value cannot be, or two clash.
    """

    nodes: str | list[str]
    edges: str | list[str]
    id: str
    ends: list[str] = field(default_factory=lambda: ["source", "target"])
    weight: str | None = None
    directed: bool = False
    features: list[str] = field(default_factory=list)
    hops: int = 2
    fanout: int = 100
    strangers: str = "reject"
    event_time: str | None = None
    keep: list[str] = field(default_factory=list)
    null_values: list[str] = field(default_factory=lambda: [""])
    types: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("nodes", "edges"):
            paths = _params.listed(getattr(self, name))
            if not paths or not all(path.strip() for path in paths):
                raise ParamError(f"{name} must name at least one file, got {getattr(self, name)!r}")
        if len(self.ends) != _ENDS or self.ends[0] == self.ends[1]:
            raise ParamError(
                "ends must name the two columns that hold the ids at the ends of an edge, such as "
                f'["source", "target"], got {self.ends!r}'
            )
        if self.weight in self.ends:
            raise ParamError(f"weight names {self.weight!r}, which is one of the ends")
        if self.id in self.features:
            raise ParamError(f"features names the column of ids, {self.id!r}; leave it out")
        if not 1 <= self.hops <= _FARTHEST:
            raise ParamError(f"hops must be from 1 to {_FARTHEST}, got {self.hops}")
        if self.fanout < 0:
            raise ParamError(f"fanout must be 1 or more, or 0 for all, got {self.fanout}")
        _params.one_of("strangers", self.strangers, STRANGERS)
        _params.check_once("keep", self.keep)
        _params.check_once("features", self.features)
        _params.check_kept(self.keep)
        _params.check_types(self.types, _types.NAMES)


def open(params: Params, root: Path, modality: Modality) -> GraphSource:  # noqa: A001 - sources.open(...)
    """Open the tables: read their headers, and a sample of rows where types are inferred.

    Raises:
        SourceError: if a file is missing or cannot be read.
        SourceUsageError: if a column is missing, or the modality is not graph.
    """
    _params.check_modality(
        modality, ("graph",), "graph", "use one of kind 'table' for rows by themselves"
    )
    nodes = table.Params(
        path=params.nodes,
        id=params.id,
        content=[params.id, *params.features],
        event_time=params.event_time,
        keep=params.keep,
        null_values=params.null_values,
        types={**params.types, params.id: "str"},
    )
    weight = [] if params.weight is None else [params.weight]
    edges = table.Params(
        path=params.edges,
        content=[*params.ends, *weight],
        null_values=params.null_values,
        types=dict.fromkeys(params.ends, "str") | dict.fromkeys(weight, "float"),
    )
    return GraphSource(
        params, _opened(nodes, root, "features"), _opened(edges, root, "ends` or `weight")
    )


def _opened(params: table.Params, root: Path, key: str) -> RowSource:
    try:
        return table.open(params, root, "tabular")
    except SourceUsageError as error:
        # the keys of a table are none of this section
        raise type(error)(str(error).replace("`content`", f"`{key}`")) from error


@dataclass(frozen=True)
class _Loaded:
    """One reading of both tables.

    Attributes:
        chunks: the nodes as rows, in the order of their files; one at least.
        ids: of the nodes, in order; their places are their numbers.
        features: of the nodes, by number.
        graph: the neighbours of each, by number.
        hashes: content hashes by number.
        rejects: edges that could not be taken.
        ignored: how many edges named a node that is not there, where that is no fault.
    """

    chunks: Sequence[Chunk]
    ids: pl.Series
    features: pl.DataFrame
    graph: Adjacency
    hashes: pl.Series
    rejects: Sequence[Reject]
    ignored: int


class GraphSource:
    """The nodes of a graph; `flows.sources.base.Deferred`, so that few neighbourhoods are made."""

    def __init__(self, params: Params, nodes: RowSource, edges: RowSource) -> None:
        self._params = params
        self._nodes = nodes
        self._edges = edges
        self._loaded: _Loaded | None = None

    @property
    def kept(self) -> dict[str, pl.DataType]:
        """The kept columns and their types."""
        return self._nodes.kept

    @property
    def types(self) -> dict[str, str]:
        """The types that kept columns and features were inferred to have."""
        return self._nodes.types

    def stamp(self) -> str | None:
        """See `flows.sources.base.Stamped`: of the files of both tables."""
        stamps = [self._nodes.stamp(), self._edges.stamp()]
        if None in stamps:
            return None
        return hashlib.blake2b(repr(stamps).encode(), digest_size=16).hexdigest()

    def scan(self) -> Iterator[Chunk]:
        """Stream the nodes, in the order of their files, then what is wrong with edges.

        The content is the node's number alone, which `fetch` makes into its neighbourhood.

        Raises:
            SourceError: if a table is gone, damaged, or has other columns than when it was opened.
            SourceAwayError: if it is away, or changes while it is read.
        """
        self._loaded = loaded = self._load()
        for chunk in loaded.chunks:
            yield Chunk(_numbered(chunk.records, loaded), chunk.rejects)
        empty = loaded.chunks[0].records.clear()
        for at in range(0, len(loaded.rejects), CHUNK_ROWS):
            rejects = list(loaded.rejects[at : at + CHUNK_ROWS])
            yield Chunk(_numbered(empty, loaded), rejects)

    def fetch(self, records: pl.DataFrame) -> pl.DataFrame:
        """See `flows.sources.base.Deferred`; of the graph as the last scan met it."""
        self._loaded = loaded = self._loaded or self._load()
        roots = records["content"].struct.field("number").to_numpy().astype(np.int64)
        cells = contents(roots, loaded.graph, self._params.hops, loaded.ids, loaded.features)
        return records.with_columns(cells.alias("content"))

    def remarks(self) -> list[str]:
        """What was made of edges that say nothing, say it again, or are too many."""
        if self._loaded is None:
            return []
        graph, ignored = self._loaded.graph, self._loaded.ignored
        seen = "adds its weight" if self._params.weight else "counts once"
        found = {
            "edges from a node to itself, which are left out": graph.loops,
            f"edges that say again what another says, which {seen}": graph.repeated,
            "edges that name a node which the table of nodes has not, ignored": ignored,
            f"nodes with more neighbours than fanout = {self._params.fanout} shows": graph.cut,
        }
        return [f"{what}: {count:,}" for what, count in found.items() if count]

    def _load(self) -> _Loaded:
        import polars as pl

        params = self._params
        chunks = list(self._nodes.scan()) or [Chunk(self._no_nodes())]
        columns = ("record_id", "content", "content_hash")
        frames = [chunk.records.select(columns) for chunk in chunks]
        # the first row of an id is the node; that there is another, the pipeline finds
        nodes = pl.concat(frames).unique("record_id", keep="first").sort("record_id")
        numbers = nodes.select("record_id", number=pl.int_range(pl.len(), dtype=pl.Int64))
        edges = Edges(Form(params.ends, params.weight, params.strangers == "reject"))
        ends = edges.read(self._edges, numbers)
        ids = nodes["record_id"]
        graph = adjacency(ids.to_list(), ends, directed=params.directed, fanout=params.fanout)
        found = hashes(nodes["content_hash"].to_list(), graph, params.hops)
        features = nodes["content"].struct.unnest().select(params.features)
        around = pl.Series(found, dtype=pl.String)
        return _Loaded(chunks, ids, features, graph, around, edges.rejects, edges.ignored)

    def _no_nodes(self) -> pl.DataFrame:
        """The rows of a table that has none."""
        import polars as pl

        content = dict.fromkeys([self._params.id, *self._params.features], pl.String())
        first = {"record_id": pl.String(), "place": pl.String(), "content": pl.Struct(content)}
        then = {"content_hash": pl.String(), "event_time": pl.Datetime("us", "UTC")}
        return pl.DataFrame(schema={**first, **then, **self.kept})


def _numbered(records: pl.DataFrame, loaded: _Loaded) -> pl.DataFrame:
    """Records with the number of their node for content, and the hash of its neighbourhood."""
    import polars as pl

    numbers = pl.DataFrame(
        {"record_id": loaded.ids, "number": np.arange(len(loaded.ids)), "around": loaded.hashes}
    )
    joined = records.join(numbers, on="record_id", how="left", maintain_order="left")
    return joined.with_columns(content=pl.struct("number"), content_hash=pl.col("around")).select(
        records.columns
    )
