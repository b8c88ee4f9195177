"""Records that are vectors of other features: what an encoder over features is given.

A batch of modality ``vector`` is a polars DataFrame, a row a record and a column a *part*: the
vectors of a feature, under its name, of type ``Array(Float32, dim)``, null where a record has none
there. An encoder kind of that modality has a parameter ``parts``, a tuple of `Part`: who builds it
says which features it is over, in their order, and by which encoder's fingerprint the vectors of
each were made. With these in its recipe an encoder of another version's vectors is another encoder.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, get_args, runtime_checkable

from encoders.base import EncoderError, EncoderUsageError, Metric

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    import polars as pl
    from numpy.typing import NDArray

    from encoders.base import Json


@dataclass(frozen=True)
class Part:
    """One feature that an encoder is over.

    Attributes:
        feature: its name, and the name of its column in a batch.
        dim: the width of its vectors.
        metric: the distance under which near vectors of it mean like records.
        fingerprint: of the encoder that made them.
        space: equal for features whose vectors may be compared with each other, such as those of
            one encoder; the fingerprint where nothing is said.
        nested: whether its main directions are known to come first (`encoders.registry.nested`).

    Raises:
        ValueError: if the width or the metric cannot be.
    """

    feature: str
    dim: int
    metric: Metric = "cosine"
    fingerprint: str = ""
    space: str = ""
    nested: bool = False

    def __post_init__(self) -> None:
        if self.dim < 1:
            raise ValueError(f"dim of the part {self.feature!r} must be 1 or more, got {self.dim}")
        if self.metric not in get_args(Metric):
            raise ValueError(
                f"metric of the part {self.feature!r} must be one of {get_args(Metric)}, got "
                f"{self.metric!r}"
            )
        if not self.space:
            object.__setattr__(self, "space", self.fingerprint)

    def recipe(self) -> dict[str, Json]:
        """What of a part decides the output."""
        return {"feature": self.feature, "dim": self.dim, "fingerprint": self.fingerprint}


@runtime_checkable
class Placed(Protocol):
    """An encoder in whose vectors each part has dimensions of its own."""

    def place(self, feature: str) -> slice | None:
        """The dimensions of a part; None where all are those of every part, as in an average."""
        ...


def check_parts(kind: str, parts: Sequence[Part]) -> None:
    """Check that there are parts, each of another name.

    Raises:
        EncoderUsageError: if that is not so.
    """
    if not parts:
        raise EncoderUsageError(
            f"an encoder of kind {kind!r} reads vectors of features, and was told of none: name "
            'them in its feature, over = ["titles", "photos"]'
        )
    names = [part.feature for part in parts]
    doubled = [name for place, name in enumerate(names) if name in names[:place]]
    if doubled:
        raise EncoderUsageError(f"an encoder is over {doubled[0]!r} more than once; leave one out")


def matrix(batch: pl.DataFrame, part: Part) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """The vectors of one part of a batch.

    Returns:
        ``(n, dim)`` float64, rows in order, zero where the record has no vector there; and
        ``(n,)`` bool, whether it has one.

    Raises:
        EncoderError: if the part is not in the batch, or is of another width.
    """
    import numpy as np
    import polars as pl

    if part.feature not in batch.columns:
        raise EncoderError(
            f"the batch has no vectors of {part.feature!r}; it has "
            f"{', '.join(map(repr, batch.columns)) or 'none'}: give a column a part, null where a "
            "record has none"
        )
    column = batch[part.feature]
    expected = pl.Array(pl.Float32, part.dim)
    if column.dtype != expected:
        raise EncoderError(f"vectors of {part.feature!r} must be {expected}, got {column.dtype}")
    there = column.is_not_null().to_numpy()
    values = column.to_numpy().astype(np.float64).reshape(-1, part.dim)
    return np.where(there[:, None], values, 0.0), there


def column(values: NDArray[np.float32], there: NDArray[np.bool_]) -> pl.Series:
    """A part of a batch, from vectors ``(n, dim)`` and which of them the records have ``(n,)``."""
    import polars as pl

    vectors = pl.Series(values, dtype=pl.Array(pl.Float32, values.shape[1]))
    return pl.select(pl.when(pl.Series(there)).then(vectors)).to_series()
