"""From interactions, one a row, to users and items, each with whom it has met."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeAlias

from flows.sources.base import CHUNK_ROWS
from storage.ids import hash_row

if TYPE_CHECKING:
    from collections.abc import Iterator

    import polars as pl

Side: TypeAlias = Literal["user", "item"]

OTHER: dict[Side, Side] = {"user": "item", "item": "user"}
KEPT = ("side", "entity", "met")
CONTENT = ("side", "entity", "others", "weights")

_CHUNK_MEETINGS = 250_000
"""How many interactions the records of a chunk have at most, unless a single one has more."""


def row_schema() -> dict[str, pl.DataType]:
    """The columns of interactions; ``seq`` numbers them in the order in which they were read."""
    import polars as pl

    return {
        "user": pl.String(),
        "item": pl.String(),
        "weight": pl.Float64(),
        "time": pl.Datetime("us", "UTC"),
        "place": pl.String(),
        "seq": pl.Int64(),
    }


def kept_schema() -> dict[str, pl.DataType]:
    """The columns that are kept beside a vector."""
    import polars as pl

    return dict(zip(KEPT, (pl.String(), pl.String(), pl.Int64()), strict=True))


def combined(rows: pl.DataFrame, *, newest: bool) -> pl.DataFrame:
    """Each pair of a user and an item once, with the newest time and the first place.

    Args:
        rows: columns `row_schema`.
        newest: whether the weight is that of the newest row, and of rows of one time, or without
            any, of the one that was read last; else weights are added up.
    """
    import polars as pl

    order = ["time", "seq"] if newest else ["seq"]
    weight = pl.col("weight").last() if newest else pl.col("weight").sum()
    return (
        rows.sort(order, nulls_last=False)
        .group_by("user", "item", maintain_order=True)
        .agg(weight, pl.col("time").max(), pl.col("place").get(pl.col("seq").arg_min()),
             pl.col("seq").min())
    )  # fmt: skip


def records(pairs: pl.DataFrame, side: Side) -> Iterator[pl.DataFrame]:
    """The users, or the items, of `combined` interactions as records, by id; some at a time."""
    import polars as pl

    other = OTHER[side]
    grouped = (
        pairs.sort(side, other)
        .group_by(side, maintain_order=True)
        .agg(
            pl.col(other).alias("others"),
            pl.col("weight").alias("weights"),
            pl.col("time").max().alias("event_time"),
            pl.col("place").get(pl.col("seq").arg_min()),
        )
        .rename({side: "entity"})
        .with_columns(side=pl.lit(side), met=pl.col("others").list.len().cast(pl.Int64))
    )
    for rows in _cut(grouped):
        hashes = [hash_row(CONTENT, row) for row in rows.select(CONTENT).iter_rows()]
        yield rows.select(
            pl.format("{}:{}", "side", "entity").alias("record_id"),
            "place",
            pl.struct(CONTENT).alias("content"),
            pl.Series("content_hash", hashes, dtype=pl.String),
            "event_time",
            *kept_schema(),
        )


def no_records() -> pl.DataFrame:
    """No record, of the right columns."""
    import polars as pl

    content = pl.Struct(
        {"side": pl.String, "entity": pl.String, "others": pl.List(pl.String),
         "weights": pl.List(pl.Float64)}
    )  # fmt: skip
    first = {"record_id": pl.String(), "place": pl.String(), "content": content}
    then = {"content_hash": pl.String(), "event_time": pl.Datetime("us", "UTC")}
    return pl.DataFrame(schema={**first, **then, **kept_schema()})


def _cut(grouped: pl.DataFrame) -> Iterator[pl.DataFrame]:
    """Some records at a time, so that neither they nor what they hold are too many."""
    at = 0
    sizes = grouped["met"].to_list()
    while at < len(sizes):
        end, held = at, 0
        while end < len(sizes) and end - at < CHUNK_ROWS and (end == at or held < _CHUNK_MEETINGS):
            held += sizes[end]
            end += 1
        yield grouped[at:end]
        at = end
