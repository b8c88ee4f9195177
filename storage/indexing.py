"""Making indexes: each call makes a new head of a table, which nobody sees before it is published.

Called while the feature's lock is held, as all that `storage.cleaning` does, so that no run commits
to the table meanwhile.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from storage.damage import reading

if TYPE_CHECKING:
    from storage.vectors import Vectors

VectorKind: TypeAlias = Literal["ivf_sq", "ivf_flat", "ivf_pq", "ivf_hnsw_sq"]
Kind: TypeAlias = Literal["ivf_sq", "ivf_flat", "ivf_pq", "ivf_hnsw_sq", "scalar", "words"]

LEAST_TRAINED = 256
"""Rows that an index of vectors is trained on, at the least: there are 256 centres of 8 bits."""

_ALL = 1_000_000

NAMES: dict[str, str] = {
    "IvfSq": "ivf_sq", "IvfFlat": "ivf_flat", "IvfPq": "ivf_pq", "IvfHnswSq": "ivf_hnsw_sq",
    "BTree": "scalar", "FTS": "words",
}  # fmt: skip
"""Our words for Lance's."""


def build(vectors: Vectors, table: str, column: str, kind: Kind, metric: str) -> None:
    """Index a column of a table's head anew, over all of its rows.

    Args:
        vectors: where the table is.
        table: its name.
        column: to index; one index of it takes the place of another.
        kind: ``scalar`` orders values (a B-tree), ``words`` is full-text; the others are of
            vectors, in cells whose vectors are held as they are (``ivf_flat``), in 8 bits a
            dimension (``ivf_sq``), as products of centres (``ivf_pq``: Jégou et al. 2011), or in 8
            bits within a graph (``ivf_hnsw_sq``: Malkov and Yashunin 2020).
        metric: of the vectors: ``cosine``, ``l2`` or ``dot``.
    """
    opened = vectors.open(table)
    with reading(table):
        for index in opened.list_indices():
            if index.columns == [column]:
                opened.drop_index(index.name)
        opened.create_index(column, config=_config(kind, metric))


def extend(vectors: Vectors, table: str, name: str) -> None:
    """Let an index of a table's head know the rows that it does not know yet.

    It stays one index: one in pieces is slower with each of them, and Lance never puts together
    fragments that are in different pieces.
    """
    with reading(table):
        optimize = vectors.head(table).optimize
        optimize.optimize_indices(index_names=[name], num_indices_to_merge=_ALL)


def drop(vectors: Vectors, table: str, name: str) -> None:
    """Do without an index from now on; its files go with the states that name them."""
    with reading(table):
        vectors.open(table).drop_index(name)


def _config(kind: Kind, metric: str) -> Any:  # noqa: ANN401 - lancedb ships no types
    from lancedb import index

    if kind == "scalar":
        return index.BTree()
    if kind == "words":
        return words_config()
    kinds = {
        "ivf_sq": index.IvfSq, "ivf_flat": index.IvfFlat, "ivf_pq": index.IvfPq,
        "ivf_hnsw_sq": index.IvfHnswSq,
    }  # fmt: skip
    return kinds[kind](distance_type=metric)


def words_config() -> Any:  # noqa: ANN401 - lancedb ships no types
    """How texts are cut into words, for an index of them: without case, accents and endings."""
    from lancedb import index

    return index.FTS()
