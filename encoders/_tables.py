"""Records as rows of features that weigh alike: tables by their columns, vectors by their parts.

A column of a table is a block of features (`encoders._columns`), centred and divided by the root of
its total variance, so that the mean squared distance of two rows is 2 for each column.

A part, the vectors of a feature, is brought to one scale as `encoders.fuse` does it: compared by
cosine to norm 1, compared by Euclidean distance to a mean squared norm of 1 about its mean. Then it
is centred. A part that a record lacks is its mean, 0: it then says nothing in any direction.
"""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Protocol, cast

from encoders._columns import Category, Number, from_json, learn, to_json
from encoders._rows import blocks
from encoders.base import EncoderError
from encoders.vectors import matrix

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    import polars as pl
    from numpy.typing import NDArray

    from encoders._reading import Reading
    from encoders.base import Json, State
    from encoders.vectors import Part

LEAST = 2
"""Records that a sample must have."""

_LEAST_VARIANCE = 1e-24


class _Source(Protocol):
    """One block of features: a column of a table, or a part."""

    @property
    def width(self) -> int:
        """How many features."""
        ...

    def read(self, batch: pl.DataFrame) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """The features ``(n, width)``, and which records have them ``(n,)``."""
        ...


@dataclass(frozen=True)
class _Column:
    column: Number | Category

    @property
    def width(self) -> int:
        return self.column.width

    def read(self, batch: pl.DataFrame) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """A gap has features of its own, so that all rows have them."""
        import numpy as np

        return self.column.block(batch[self.column.name]), np.ones(batch.height, np.bool_)


@dataclass(frozen=True)
class _Vectors:
    part: Part
    scaling: str

    @property
    def width(self) -> int:
        return self.part.dim

    def read(self, batch: pl.DataFrame) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """To norm 1, a vector of zeros, such as of a text without a known word, is none."""
        import numpy as np

        values, there = matrix(batch, self.part)
        if self.scaling != "norm":
            return values, there
        norms = np.sqrt((values * values).sum(axis=1))
        there = there & (norms > 0)
        return values / np.where(there, norms, 1.0)[:, None], there


@dataclass(frozen=True)
class Inputs:
    """How records become rows of features, learned from a sample.

    Attributes:
        sources: what the features are of, block by block.
        mean: ``(features,)`` float64, taken off.
        scale: ``(features,)`` float64, what is left is multiplied by it.
    """

    sources: tuple[_Source, ...]
    mean: NDArray[np.float64]
    scale: NDArray[np.float64]

    @property
    def width(self) -> int:
        """How many features."""
        return len(self.mean)

    def rows(self, batch: pl.DataFrame) -> NDArray[np.float64]:
        """The features of a batch, ``(n, features)`` float64.

        Raises:
            EncoderError: if a column or a part is missing, or is of another type.
        """
        import numpy as np

        out = np.zeros((batch.height, self.width))
        if batch.is_empty():
            return out
        require(batch, [s.column.name for s in self.sources if isinstance(s, _Column)])
        at = 0
        for source in self.sources:
            values, there = source.read(batch)
            place = slice(at, at + source.width)
            centred = (values - self.mean[place]) * self.scale[place]
            out[:, place] = np.where(there[:, None], centred, 0.0)
            at += source.width
        return out

    def groups(self) -> NDArray[np.int64]:
        """``(features,)``: those of one column have one number, those of vectors each its own."""
        import numpy as np

        if any(isinstance(source, _Vectors) for source in self.sources):
            return np.arange(self.width)
        return np.repeat(np.arange(len(self.sources)), [source.width for source in self.sources])

    def written(self) -> tuple[dict[str, NDArray[Any]], dict[str, Json]]:
        """Arrays and meta for a state, as `read` takes them."""
        columns: list[Json] = [to_json(s.column) for s in self.sources if isinstance(s, _Column)]
        arrays = {"mean": self.mean, "scale": self.scale}
        return arrays, {"columns": columns} if columns else {}


def read(reading: Reading, state: State) -> Inputs:
    """What `Inputs.written` wrote; the arrays are not checked against each other."""
    if reading.reads == "tabular":
        columns = cast("list[Any]", state.meta.get("columns", []))
        sources: list[_Source] = [_Column(from_json(column)) for column in columns]
    else:
        sources = [_Vectors(part, reading.scaling(part)) for part in reading.parts]
    import numpy as np

    width = sum(source.width for source in sources)
    nothing = np.zeros(width)
    arrays = state.arrays
    return Inputs(tuple(sources), arrays.get("mean", nothing), arrays.get("scale", nothing))


def learn_inputs(kind: str, reading: Reading, sample: pl.DataFrame) -> Inputs:
    """Learn how to read records; the order of a table's columns is no matter.

    Raises:
        EncoderError: if there are under two records, no column varies, a type cannot be read, a
            column of ``categories`` is not there, or under two records have a part.
    """
    import numpy as np

    if sample.height < LEAST:
        raise EncoderError(
            f"{kind} needs {LEAST} records or more to learn from, got {sample.height}"
        )
    sources = _columns(reading, sample) if reading.reads == "tabular" else _parts(reading)
    means, scales = [], []
    for source in sources:
        count, mean, variance = _moments(source, sample)
        if isinstance(source, _Vectors) and count < LEAST:
            raise EncoderError(
                f"{kind} needs {LEAST} records with a vector of {source.part.feature!r} to learn "
                f"from, got {count} of {sample.height}"
            )
        total = float(variance.sum())
        scaled = isinstance(source, _Column) or source.scaling == "standard"
        means.append(mean)
        scales.append(np.full_like(mean, total**-0.5 if scaled and total > _LEAST_VARIANCE else 1))
    return Inputs(tuple(sources), np.concatenate(means), np.concatenate(scales))


def _columns(reading: Reading, sample: pl.DataFrame) -> list[_Column]:
    require(sample, reading.categories)
    learned = [
        learn(
            sample[name],
            as_category=name in reading.categories,
            min_count=reading.min_count,
            max_categories=reading.max_categories,
        )
        for name in sorted(sample.columns)
    ]
    found = [_Column(column) for column in learned if column is not None]
    if not found:
        raise EncoderError(
            f"none of the {sample.width} columns varies over the {sample.height} rows of the "
            "sample: there is nothing to tell rows apart by"
        )
    return found


def _parts(reading: Reading) -> list[_Vectors]:
    return [_Vectors(part, reading.scaling(part)) for part in reading.parts]


def _moments(
    source: _Source, sample: pl.DataFrame
) -> tuple[int, NDArray[np.float64], NDArray[np.float64]]:
    """Of the records that have it: how many, and the mean and the variance of each feature.

    Block by block, put together as Chan, Golub & LeVeque 1983 do.
    """
    import numpy as np

    count, mean, squares = 0, np.zeros(source.width), np.zeros(source.width)
    for block in blocks(sample):
        values, there = source.read(block)
        if not there.any():
            continue
        values = values[there]
        more, centre = len(values), values.mean(axis=0)
        apart = centre - mean
        squares += ((values - centre) ** 2).sum(axis=0) + apart**2 * count * more / (count + more)
        mean = mean + apart * more / (count + more)
        count += more
    return count, mean, squares / max(count, 1)


def require(table: pl.DataFrame, names: Sequence[str]) -> None:
    """Check that a table has these columns.

    Raises:
        EncoderError: names those that are not there, and what may be meant by them.
    """
    absent = [name for name in names if name not in table.columns]
    if not absent:
        return
    # Either may be misspelt: the table's column, or what a configuration names.
    others = [name for name in table.columns if name not in names]
    near = {name: get_close_matches(name, absent, n=1) for name in others}
    meant = "".join(
        f"; perhaps {name!r} and {one[0]!r} are meant to be one"
        for name, one in near.items()
        if one
    )
    raise EncoderError(
        f"there is no column {', '.join(map(repr, absent))}, which the encoder reads; there are "
        f"{', '.join(map(repr, table.columns))}: give every column, with nulls where empty{meant}"
    )
