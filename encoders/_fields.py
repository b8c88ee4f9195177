"""Columns of a table as rows of embedding tables, with numbers alongside.

A column of categories has a row for each frequent one, one for all others, and one for gaps. A
column of numbers stands alongside, standardised; it is also cut into ranges, each of which has a
row as a category has, so that what does not rise or fall with the number can be learned of it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from encoders._columns import Category, Number, from_json, to_json

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    import polars as pl
    from numpy.typing import NDArray

    from encoders.base import Json

_FROM_ROOT = 2.0
_LEAST_VARIANCE = 1e-24


@dataclass(frozen=True)
class Field:
    """How one column is read.

    Attributes:
        column: how its values are.
        dim: the width of its rows; 0 where it has none.
        edges: of numbers: where one range ends and the next begins, among standardised values.
    """

    column: Number | Category
    dim: int
    edges: tuple[float, ...] = ()

    @property
    def known(self) -> int:
        """Rows for categories or ranges; the next is that of all others, the last that of gaps."""
        return len(self.column.names) if isinstance(self.column, Category) else len(self.edges) + 1

    @property
    def shape(self) -> tuple[int, int]:
        """Of the table."""
        return self.known + 2, self.dim

    @property
    def beside(self) -> int:
        """How many numbers stand alongside."""
        return 0 if isinstance(self.column, Category) else self.column.width

    @property
    def width(self) -> int:
        """Of what the column is in a vector."""
        return self.dim + self.beside

    def index(self, table: pl.DataFrame) -> NDArray[np.int64]:
        """The row of each value, ``(n,)``."""
        import numpy as np

        values = table[self.column.name]
        if isinstance(self.column, Category):
            return self.column.index(values)
        ranges = np.searchsorted(self.edges, self.column.block(values)[:, 0], side="right")
        gap = self.known + 1
        return np.where(self.column.missing(values), gap, ranges).astype(np.int64)

    def numbers(self, table: pl.DataFrame) -> NDArray[np.float64]:
        """What stands alongside, ``(n, beside)`` float64."""
        import numpy as np

        if isinstance(self.column, Category):
            return np.zeros((table.height, 0))
        return self.column.block(table[self.column.name])

    def to_json(self) -> dict[str, Json]:
        """As JSON."""
        return {"column": to_json(self.column), "dim": self.dim, "edges": list(self.edges)}


def from_fields(fields: Mapping[str, Any]) -> Field:
    """A field from what its ``to_json`` gave."""
    edges = cast("list[float]", fields["edges"])
    return Field(from_json(fields["column"]), fields["dim"], tuple(edges))


def learn_field(
    column: Number | Category, sample: pl.DataFrame, bins: int, dim: int | None
) -> Field:
    """A field of a column that was learned.

    Args:
        column: the column.
        sample: it is in.
        bins: into how many ranges numbers are cut at most; 0 gives them no rows.
        dim: of its rows; by `rule` where it is None.
    """
    if isinstance(column, Category):
        return Field(column, dim or rule(len(column.names) + column.others))
    edges = _edges(column.block(sample[column.name])[:, 0], bins)
    return Field(column, (dim or rule(len(edges) + 1)) if edges else 0, edges)


def rule(categories: int) -> int:
    """Twice the fourth root of the categories, and at most one fewer than they are.

    The fourth root is what "Introducing TensorFlow Feature Columns" (2017) goes by.
    """
    wanted = round(_FROM_ROOT * math.sqrt(math.sqrt(categories)))
    return max(1, min(categories - 1, wanted))


def _edges(values: NDArray[np.float64], bins: int) -> tuple[float, ...]:
    """Edges of ranges that hold equal sums of the roots of how often each value is there.

    By the values themselves a long tail would lie in one range; by how often they are there, all of
    a column that is 0 for most.
    """
    import numpy as np

    different, counts = np.unique(values, return_counts=True)
    reached = np.cumsum(np.sqrt(counts))
    wanted = np.linspace(0, reached[-1], bins + 1)[1:-1] if bins > 1 else np.zeros(0)
    found = np.unique(different[np.searchsorted(reached, wanted)])
    return tuple(float(edge) for edge in found[found > different[0]])


def weighed(
    fields: Sequence[Field],
    tables: list[NDArray[np.float32]],
    index: NDArray[np.int64],
    beside: NDArray[np.float64],
) -> tuple[tuple[NDArray[np.float32], ...], NDArray[np.float64]]:
    """Tables centred, and what numbers are to be multiplied by once they are.

    Each field then has a total variance of 1, half of it by its numbers.
    """
    import numpy as np

    scale = np.ones(beside.shape[1])
    found, at = [], 0
    for place, each in enumerate(fields):
        part = 0.5 if each.dim and each.beside else 1.0
        counts = np.bincount(index[:, place], minlength=each.shape[0]) / len(index)
        exact = tables[place].astype(np.float64)
        exact -= (counts[:, None] * exact).sum(axis=0)
        exact *= _factor((counts[:, None] * exact**2).sum(), part)
        found.append(exact.astype(np.float32))
        numbers = slice(at, at + each.beside)
        scale[numbers] = _factor(beside[:, numbers].var(axis=0).sum(), part)
        at += each.beside
    return tuple(found), scale


def _factor(variance: float, wanted: float) -> float:
    return float((wanted / variance) ** 0.5) if variance > _LEAST_VARIANCE else 1.0


def saved(fields: Sequence[Field], beside: NDArray[np.float64]) -> dict[str, Json]:
    """Beside one-hot features of the same columns: how wide those are, and which share is zero."""
    import numpy as np

    width = sum(each.column.width for each in fields)
    ones = sum(isinstance(each.column, Category) for each in fields)
    filled = ones + float(np.count_nonzero(beside)) / len(beside)
    return {
        "dim": sum(each.width for each in fields),
        "one_hot_dim": width,
        "one_hot_zeros": round(1 - filled / width, 4),
    }
