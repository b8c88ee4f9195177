"""Batches of nodes with what is around them, as a graph of sparse rows.

A batch of the modality ``graph`` is a DataFrame, a row a node, with the columns

=========  ========================  ================================================
node       String                    the node's id
hops       UInt8                     how far away its neighbourhood ends
ids        List(String)              the nodes in it, itself first
degrees    List(Float64)             of each the sum of the weights of its edges
starts     List(UInt32)              edges: the place in ``ids`` of the one end,
ends       List(UInt32)              and of the other;
weights    List(Float64)             above 0
features   List(Struct)              of each node what is known of it; may be left out
=========  ========================  ================================================

All edges of a node that is less than ``hops`` away are there; of those at the rim none.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from encoders.base import EncoderError

if TYPE_CHECKING:
    import numpy as np
    import polars as pl
    from numpy.typing import NDArray
    from scipy.sparse import csr_matrix

COLUMNS = ("node", "hops", "ids", "degrees", "starts", "ends", "weights")


@dataclass(frozen=True)
class Graph:
    """n nodes, and the edges that are known of them.

    Attributes:
        ids: of the nodes.
        degrees: ``(n,)`` float64, the weights of all their edges summed.
        rows: ``(n, n)`` float64: the weights of the edges from each node.
        features: n rows; no column where nothing is known.
        roots: ``(records,)`` int64, the nodes that are records of the batch, in order.
    """

    ids: pl.Series
    degrees: NDArray[np.float64]
    rows: csr_matrix
    features: pl.DataFrame
    roots: NDArray[np.int64]


def check(batch: pl.DataFrame, kind: str, hops: int) -> None:
    """Refuse a batch that is no graph, or whose neighbourhoods end too near.

    Raises:
        EncoderError: says what is missing.
    """
    absent = [name for name in COLUMNS if name not in batch.columns]
    if absent:
        raise EncoderError(
            f"{kind} reads nodes with their neighbourhoods, but the batch has no column "
            f"{absent[0]!r}; it has {', '.join(map(repr, batch.columns))}. Read them from a source "
            'of kind "graph"'
        )
    least = batch["hops"].min() if batch.height else None
    if isinstance(least, int) and least < hops:
        raise EncoderError(
            f"{kind} reads what is {hops} edges away, but the neighbourhoods end after {least}; "
            f"set hops = {hops} in the source"
        )


def apart(batch: pl.DataFrame) -> Graph:
    """Each record's neighbourhood by itself, side by side; a node may be there several times.

    What is computed of a record then depends on nothing of the others, be they of another time.
    """
    import numpy as np
    from scipy.sparse import csr_matrix

    ids, sizes = _flat(batch, "ids")
    begins = np.cumsum(sizes) - sizes
    weights, counts = _flat(batch, "weights")
    shift = np.repeat(begins, counts)
    start, end = (_flat(batch, name)[0].to_numpy() + shift for name in ("starts", "ends"))
    rows = csr_matrix((weights.to_numpy(), (start, end)), (len(ids), len(ids)))
    return Graph(ids, _flat(batch, "degrees")[0].to_numpy(), rows, _features(batch), begins)


def together(batch: pl.DataFrame) -> Graph:
    """The one graph that the neighbourhoods of a batch are parts of; its nodes by their ids."""
    import numpy as np
    import polars as pl
    from scipy.sparse import csr_matrix

    split = apart(batch)
    ids = split.ids.unique().sort()
    places = pl.DataFrame({"id": ids, "place": np.arange(len(ids))})
    found = split.ids.alias("id").to_frame().join(
        places, on="id", how="left", maintain_order="left"
    )["place"].to_numpy()  # fmt: skip
    _, first = np.unique(found, return_index=True)
    edges = split.rows.tocoo()
    keys = found[edges.row].astype(np.int64) * len(ids) + found[edges.col]
    keys, kept = np.unique(keys, return_index=True)
    where = (keys // max(len(ids), 1), keys % max(len(ids), 1))
    rows = csr_matrix((edges.data[kept], where), (len(ids), len(ids)))
    features = split.features[first] if split.features.width else split.features
    return Graph(ids, split.degrees[first], rows, features, found[split.roots].astype(np.int64))


def product(
    left: csr_matrix | NDArray[np.float64], right: NDArray[np.float64]
) -> NDArray[np.float64]:
    """A matrix product whose rows do not depend on how many there are.

    The sums of each row are taken in the order in which its entries stand; a product of two dense
    matrices would take them in another order for another number of rows.
    """
    import numpy as np
    from scipy.sparse import csr_matrix

    return np.asarray(csr_matrix(left) @ right)


def _flat(batch: pl.DataFrame, name: str) -> tuple[pl.Series, NDArray[np.int64]]:
    """The values of a column of lists, one after another, and how many each has."""
    import numpy as np

    lists = batch[name]
    sizes = lists.list.len().to_numpy().astype(np.int64)
    # an empty list would become a null
    return lists.filter(lists.list.len() > 0).explode(), sizes


def _features(batch: pl.DataFrame) -> pl.DataFrame:
    import polars as pl

    if "features" not in batch.columns:
        return pl.DataFrame()
    return _flat(batch, "features")[0].struct.unnest()
