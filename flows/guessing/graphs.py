"""Guesses for graphs: a table of nodes and one of edges."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flows.guessing import coders
from flows.guessing.columns import described
from flows.guessing.links import links
from flows.guessing.model import Guess, Line
from flows.guessing.roles import roles

if TYPE_CHECKING:
    from flows.guessing.columns import Column
    from flows.guessing.model import Wishes
    from flows.guessing.reading import Sample

_MOST_FEATURES = 40


def of_graph(
    name: str,
    nodes: tuple[str, Sample],
    edges: tuple[str, Sample],
    size: int | None,
    wishes: Wishes,
) -> Guess | None:
    """Guess for two tables, each with its path; None where they are no graph.

    The tables of a graph have a header, and the separator that their endings say.
    """
    (nodes_path, rows), (edges_path, pairs) = nodes, edges
    if any(s.names or s.separator or not s.told for s in (rows, pairs)):
        return None
    found = links(rows.frame, pairs.frame)
    if found is None:
        return None
    columns = [column for column in described(rows.frame) if column.name != found.id]
    guessed = roles(columns)
    kept = [column.name for column in columns if _is_group(column)]
    features = [c for c in columns if c.name not in kept and c.kind in {"text", "float", "int"}]
    features = [c for c in features if (c.distinct > 1 and not c.unique) or c.words > 1]
    names = [c.name for c in features][:_MOST_FEATURES]
    words = [c.name for c in features if c.kind == "text" and c.words > 1 and c.name in names]
    coder = coders.of_nodes(words, names)
    if wishes.encoder is not None:
        coder, _ = coders.named(wishes.encoder, ("graph",))
        names = [] if coder.kind == "node2vec" else names
    hops = 2 if names else 1
    lines = [
        Line("nodes", nodes_path),
        Line("edges", edges_path),
        Line("id", found.id, "of the nodes"),
        Line("ends", list(found.ends), "the columns of the edges that hold ids"),
    ]
    if found.weight is not None:
        lines.append(Line("weight", found.weight, "of an edge"))
    if names:
        lines.append(Line("features", names, "what the encoder reads of a node"))
    lines.append(Line("hops", hops, "a change reaches nodes within so many edges"))
    if guessed.event_time is not None and guessed.event_time not in names:
        lines.append(Line("event_time", guessed.event_time))
    if kept:
        lines.append(Line("keep", kept, "stored beside the vector"))
    notes = ["edges count in both directions; directed = true in the source follows one"]
    if found.known < 1 and rows.whole:
        notes.append(
            f"{1 - found.known:.0%} of the ends of the edges seen are no nodes, and such edges "
            'are dead letters; strangers = "ignore" in the source leaves them out'
        )
    return Guess(
        name=name,
        what=f"a graph: {_many(rows)} nodes, {_many(pairs)} edges",
        kind="graph",
        modality="graph",
        source=tuple(lines),
        encoder=coder,
        feature=(Line("monitors", ["health"], "run after each run: docs/monitoring.md"),),
        notes=tuple(notes),
        example=("--id", str(rows.frame[found.id][0])),
        size=size,
    )


def _is_group(column: Column) -> bool:
    """Whether it puts nodes into groups, by which nothing is learned unless it is asked for."""
    return column.kind in {"text", "int", "bool"} and 1 < column.distinct <= min(
        50, column.rows // 3
    )


def _many(sample: Sample) -> str:
    return f"{len(sample.frame):,}{'' if sample.whole else ' or more'}"
