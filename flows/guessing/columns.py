"""What the columns of a sample of rows are like."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    import polars as pl

Kind: TypeAlias = Literal["text", "int", "float", "bool", "time", "url", "nested", "bytes"]

NULLS = ("?", "NA", "N/A", "n/a", "null", "NULL", "NaN", "nan", "None", "-", ".", r"\N")
"""What files write for no value, beside nothing."""
_PLAIN_NULLS = ("?", "N/A", "n/a", "null", "NULL", "NaN", r"\N")
"""Those that are no word of anybody's: ``NA`` may be Namibia."""
_JSON = re.compile(r"\s*[\[{].*[\]}]\s*", re.DOTALL)
_URL = re.compile(r"(https?|ftp|s3|gs)://\S+\s*")
_MOSTLY = 0.9


@dataclass(frozen=True)
class Column:
    """A column of a sample.

    Attributes:
        name: as the file has it.
        kind: what its values are.
        rows: how many rows were seen.
        filled: how many of them have a value.
        distinct: how many different values.
        length: mean characters of a value, as text.
        longest: the most.
        words: mean words of a value, as text.
        rising: whether numbers only grow from row to row.
        doubled: a value that stands there more than once; None where none does.
        first: the first value, as text.
    """

    name: str
    kind: Kind
    rows: int
    filled: int
    distinct: int
    length: float
    longest: int
    words: float
    rising: bool = False
    doubled: str | None = None
    first: str = ""

    @property
    def unique(self) -> bool:
        """Whether each row has a value of its own."""
        return self.rows > 0 and self.distinct == self.filled == self.rows


def snake(name: str) -> str:
    """A name in lower case, its words joined by ``_``: ``userId`` is ``user_id``."""
    parted = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name.strip())
    return re.sub(r"\W+", "_", parted.lower()).strip("_")


def described(frame: pl.DataFrame) -> list[Column]:
    """The columns of a sample whose types are inferred, or as a file has them."""
    return [_described(column) for column in frame.iter_columns()]


def _described(column: pl.Series) -> Column:
    import polars as pl

    values = column.drop_nulls()
    if column.dtype.is_nested() or column.dtype == pl.Binary:
        kind: Kind = "bytes" if column.dtype == pl.Binary else "nested"
        return Column(column.name, kind, len(column), len(values), 0, 0, 0, 0)
    texts = values.cast(pl.String)
    # Polars refuses to count the values of a column that is called as the counts are
    counts = values.alias("value").value_counts(name="times")
    many = counts.filter(pl.col("times") > 1)["value"]
    rising = (
        column.dtype.is_numeric()
        and len(values) == len(column)
        and bool((values.diff().drop_nulls() > 0).all())
    )
    return Column(
        name=column.name,
        kind=_kind(column.dtype, texts),
        rows=len(column),
        filled=len(values),
        distinct=len(counts),
        length=_mean(texts.str.len_chars()),
        longest=int(str(texts.str.len_chars().max() or 0)),
        words=_mean(texts.str.count_matches(r"\S+")),
        rising=rising,
        doubled=str(many.min()) if len(many) else None,
        first=str(texts[0]) if len(texts) else "",
    )


def _mean(numbers: pl.Series) -> float:
    mean = numbers.mean()
    return float(mean) if isinstance(mean, int | float) else 0.0


def _kind(dtype: pl.DataType, texts: pl.Series) -> Kind:
    import polars as pl

    if dtype == pl.Boolean:
        return "bool"
    if dtype.is_integer():
        return "int"
    if dtype.is_numeric():
        return "float"
    if dtype.is_temporal():
        return "time"
    head = texts.head(200).to_list()
    for pattern, kind in ((_JSON, "nested"), (_URL, "url")):
        if head and sum(pattern.fullmatch(text) is not None for text in head) > _MOSTLY * len(head):
            return "nested" if kind == "nested" else "url"
    return "text"


def nulls(frame: pl.DataFrame) -> list[str]:
    """Which of `NULLS` stand for no value in a sample of text columns, in that order.

    A mark that may be a word counts only among numbers.
    """
    import polars as pl

    found: set[str] = set()
    for column in frame.iter_columns():
        if column.dtype != pl.String:
            continue
        texts = column.drop_nulls().str.strip_chars()
        marks = set(texts.unique().to_list()) & set(NULLS)
        others = texts.filter(~texts.is_in(list(marks))) if marks else texts
        numbers = (
            marks and len(others) and others.cast(pl.Float64, strict=False).is_not_null().all()
        )
        found |= marks if numbers else marks & set(_PLAIN_NULLS)
    return [mark for mark in NULLS if mark in found]
