"""The edges of a graph as a table gives them, and those that cannot be taken."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from flows.sources._adjacency import Ends
from flows.sources.base import Reject

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    import polars as pl
    from numpy.typing import NDArray

    from flows.sources._records import RowSource


_AT_ONCE = 524_288
"""Edges that are looked up at a time: each time, all nodes are gone through."""


@dataclass(frozen=True)
class Form:
    """How a table says what an edge is; see `flows.sources.graph.Params`.

    Attributes:
        ends: the columns of its ends.
        weight: the column of its weight.
        strict: whether an edge that names an unknown node is at fault.
    """

    ends: Sequence[str]
    weight: str | None
    strict: bool


@dataclass
class Edges:
    """What was read.

    Attributes:
        rejects: edges that could not be taken.
        ignored: how many named an unknown node, where that is no fault.
    """

    form: Form
    rejects: list[Reject] = field(default_factory=list)
    ignored: int = 0
    _parts: list[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]] = field(
        default_factory=list
    )

    def read(self, table: RowSource, numbers: pl.DataFrame) -> Ends:
        """Read all edges of a table.

        Args:
            table: whose content has a field for each column of the form.
            numbers: columns record_id and number, of all nodes.
        """
        for records in _gathered(self._readable(table)):
            self._take(records["content"].struct.unnest(), records["place"], numbers)
        none = (np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0))
        start, end, weight = (np.concatenate(part) for part in zip(none, *self._parts, strict=True))
        return Ends(start, end, None if self.form.weight is None else weight)

    def _readable(self, table: RowSource) -> Iterator[pl.DataFrame]:
        for chunk in table.rows():
            # an edge is no record: a name of its own keeps it from standing for any node
            self.rejects += [Reject(r.place, r.reason, r.place, r.passes) for r in chunk.rejects]
            yield chunk.records.select("content", "place")

    def _take(self, rows: pl.DataFrame, places: pl.Series, numbers: pl.DataFrame) -> None:
        import polars as pl

        weight = pl.lit(1.0) if self.form.weight is None else pl.col(self.form.weight)
        ends = [
            rows.select(record_id=name)
            .join(numbers, on="record_id", how="left", maintain_order="left")["number"]
            .alias(str(at))
            for at, name in enumerate(self.form.ends)
        ]
        found = rows.select(*ends, weight.cast(pl.Float64).alias("weight"))
        sound = pl.all_horizontal(pl.all().is_not_null(), pl.col("weight") > 0)
        good = found.select(sound.fill_null(value=False)).to_series()
        taken = found.filter(good)
        self._parts.append((
            taken["0"].to_numpy().astype(np.int64),
            taken["1"].to_numpy().astype(np.int64),
            taken["weight"].to_numpy(),
        ))  # fmt: skip
        for row in (~good).arg_true().to_list():
            reason = self._fault(rows.row(row, named=True), [end[row] for end in ends])
            if reason is None:
                self.ignored += 1
            else:
                self.rejects.append(Reject(places[row], reason, places[row]))

    def _fault(self, row: dict[str, object], numbers: Sequence[int | None]) -> str | None:
        """What is wrong with an edge; None where it only names a stranger, and may."""
        for name in self.form.ends:
            if row[name] is None:
                return f"no node in column {name!r}"
        for name, number in zip(self.form.ends, numbers, strict=True):
            if number is None and not self.form.strict:
                return None
            if number is None:
                # which one is not told: where a node was erased, nothing is to name it
                return (
                    f"column {name!r} names a node that is not in the table of nodes, or cannot be "
                    'read there; mend it, or set strangers = "ignore" in the source'
                )
        weight = self.form.weight
        return f"column {weight!r} wants a weight above 0, got {row[str(weight)]}"


def _gathered(frames: Iterable[pl.DataFrame]) -> Iterator[pl.DataFrame]:
    """Small frames as larger ones."""
    import polars as pl

    held: list[pl.DataFrame] = []
    for frame in frames:
        held.append(frame)
        if sum(map(len, held)) >= _AT_ONCE:
            yield pl.concat(held)
            held = []
    if held:
        yield pl.concat(held)
