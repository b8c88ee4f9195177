"""Graphs: which of two tables holds nodes, and which the edges between them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from flows.guessing.columns import described, snake
from flows.guessing.roles import id_column

if TYPE_CHECKING:
    import polars as pl

    from flows.guessing.columns import Column

_PAIRS = (
    ("source", "target"), ("src", "dst"), ("from", "to"), ("citing", "cited"), ("head", "tail"),
    ("u", "v"), ("start", "end"), ("follower", "followee"), ("follower", "followed"),
    ("parent", "child"), ("a", "b"), ("node1", "node2"), ("node_1", "node_2"), ("left", "right"),
    ("subject", "object"),
)  # fmt: skip
_END = re.compile(r"_?(id|node|node_id)$")
_WEIGHT = re.compile(r"(?:.*_)?(weight|weights|strength|similarity|count|n)")
_NODE = ("node", "node_id", "id", "name", "vertex")
_LEAST = 0.5


@dataclass(frozen=True)
class Links:
    """The columns of the two tables of a graph.

    Attributes:
        id: of the nodes.
        ends: of the edges.
        weight: of the edges.
        known: the share of the ends seen that are among the nodes seen.
    """

    id: str
    ends: tuple[str, str]
    weight: str | None
    known: float


def ends(frame: pl.DataFrame) -> tuple[str, str] | None:
    """The two columns of a table of edges, by their names; None where it is no such table."""
    names = {_END.sub("", snake(name)) or snake(name): name for name in frame.columns}
    for one, other in _PAIRS:
        if one in names and other in names:
            return names[one], names[other]
    return None


def links(nodes: pl.DataFrame, edges: pl.DataFrame) -> Links | None:
    """How a table of edges goes with one of nodes; None where it does not.

    The ends have the usual names, or else most of them are ids of nodes.
    """
    import polars as pl

    columns = described(nodes)
    id_ = _node_id(columns)
    if id_ is None:
        return None
    named = ends(edges)
    first_two = tuple(edges.columns[:2])
    found = named or (first_two if len(first_two) == 2 else None)  # noqa: PLR2004 - two ends
    if found is None:
        return None
    ids = nodes[id_].cast(pl.String).unique()
    both = pl.concat([edges[name].cast(pl.String).alias("end") for name in found]).drop_nulls()
    known = float(both.is_in(ids.to_list()).sum()) / max(len(both), 1)
    if known == 0 or (named is None and known < _LEAST):
        return None
    weight = next(
        (
            column.name
            for column in described(edges)
            if column.kind in {"int", "float"}
            and column.name not in found
            and _WEIGHT.fullmatch(snake(column.name))
        ),
        None,
    )
    return Links(id_, (found[0], found[1]), weight, known)


def _node_id(columns: list[Column]) -> str | None:
    named = [c for c in columns if snake(c.name) in _NODE and c.unique]
    return named[0].name if named else id_column(columns)[0]
