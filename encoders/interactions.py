"""Records that are users and items: what an encoder of interactions is given.

A batch of modality ``interactions`` is a polars DataFrame, a row a user or an item, of the columns

========  ==============  =====================================================================
side      String          ``user`` or ``item``
entity    String          its id among those of its side
others    List(String)    whom it has met: items of a user, users of an item, each once
weights   List(Float64)   how often, how long or how much liked: one for each of the others
========  ==============  =====================================================================
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias, runtime_checkable

from encoders.base import EncoderError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    import polars as pl
    from numpy.typing import NDArray

Side: TypeAlias = Literal["user", "item"]

COLUMNS = ("side", "entity", "others", "weights")


@runtime_checkable
class FoldsIn(Protocol):
    """An encoder that puts a record into its space by those of whom it was taught."""

    def known(self, side: Side, ids: Sequence[str]) -> NDArray[np.bool_]:
        """Which users, or items, the fit has met: ``(n,)``. The others tell it nothing."""
        ...

    @property
    def liked(self) -> float:
        """The weight of an item of which is said that somebody likes it, and no more."""
        ...


def batch(
    side: Side, others: Sequence[Sequence[str]], weights: Sequence[Sequence[float]]
) -> pl.DataFrame:
    """A batch of users, or of items, that have no name: told by whom they have met alone."""
    import polars as pl

    return pl.DataFrame(
        {
            "side": pl.Series([side] * len(others), dtype=pl.String),
            "entity": pl.Series([""] * len(others), dtype=pl.String),
            "others": pl.Series([list(row) for row in others], dtype=pl.List(pl.String)),
            "weights": pl.Series([list(row) for row in weights], dtype=pl.List(pl.Float64)),
        }
    )


def check(records: pl.DataFrame) -> None:
    """Hold a batch to what is said above.

    Raises:
        EncoderError: if a column is missing, a side is neither, or weights do not pair.
    """
    import polars as pl

    absent = [name for name in COLUMNS if name not in records.columns]
    if absent:
        raise EncoderError(
            f"a batch of interactions lacks {', '.join(map(repr, absent))}; it has "
            f"{', '.join(map(repr, records.columns)) or 'no column'}: read it from a source of "
            "kind 'interactions'"
        )
    strange = records.filter(~pl.col("side").is_in(["user", "item"]).fill_null(value=False))
    if len(strange):
        raise EncoderError(f"side must be 'user' or 'item', got {strange['side'][0]!r}")
    paired = pl.col("others").list.len() == pl.col("weights").list.len()
    unpaired = records.filter(~paired.fill_null(value=False))
    if len(unpaired):
        row = unpaired.row(0, named=True)
        raise EncoderError(
            f"the {row['side']} {row['entity']!r} has {len(row['others'] or [])} others and "
            f"{len(row['weights'] or [])} weights; expected one for each"
        )


def pairs(records: pl.DataFrame) -> pl.DataFrame:
    """The interactions behind a batch, each once, whether told by its user, its item or both.

    Returns:
        Columns user, item and weight, sorted by user and item.
    """
    import polars as pl

    def told(side: Side, other: Side) -> pl.DataFrame:
        rows = records.filter(pl.col("side") == side, pl.col("others").list.len() > 0)
        named = rows.select(pl.col("entity").alias(side), pl.col("others").alias(other), "weights")
        flat = named.explode(other, "weights")
        return flat.select("user", "item", pl.col("weights").cast(pl.Float64).alias("weight"))

    both = pl.concat([told("user", "item"), told("item", "user")])
    return both.unique(["user", "item"], keep="first", maintain_order=True).sort("user", "item")
