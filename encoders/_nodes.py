"""What is known of a node, as a sparse row of numbers: words, numbers and categories.

A column of words becomes a 0/1 feature for each word, divided by how many of them a node has, as
Kipf & Welling 2017 have it; other columns are read as `encoders._columns` does.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from encoders import _columns
from encoders._ranges import check_counts
from encoders._terms import by_frequency, count, in_texts
from encoders.base import EncoderError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import polars as pl
    from scipy.sparse import csr_matrix

    from encoders._columns import Category, Number
    from encoders.base import Json

_MOST_CATEGORIES = 50


class Reads(Protocol):
    """The keys that say how columns are read."""

    @property
    def words(self) -> tuple[str, ...]: ...

    @property
    def categories(self) -> tuple[str, ...]: ...

    @property
    def min_count(self) -> int: ...

    @property
    def max_words(self) -> int: ...


@dataclass(frozen=True)
class Words:
    """How a column of words is read.

    Attributes:
        name: of the column.
        known: the words that have a feature, the most frequent first.
    """

    name: str
    known: tuple[str, ...]

    @property
    def width(self) -> int:
        """How many features."""
        return len(self.known)

    def block(self, column: pl.Series) -> csr_matrix:
        """The features, ``(n, width)`` float64; a row sums to 1, or to 0 without a known word."""
        import numpy as np
        from scipy.sparse import csr_matrix

        index = {word: place for place, word in enumerate(self.known)}
        texts, places = np.unique(_texts(column), return_inverse=True)
        found = count(texts.tolist(), index, 1)
        found.sort_indices()
        each = np.diff(found.indptr)
        shares = np.repeat(1 / np.maximum(each, 1), each)
        # neighbourhoods share most of their nodes, so that few texts stand there once
        return csr_matrix((shares, found.indices, found.indptr), found.shape)[places]


Column: TypeAlias = "Words | Number | Category"


def check(reads: Reads) -> None:
    """Refuse lists that are none, and counts below 1.

    Raises:
        ValueError: naming the first.
    """
    for name in ("words", "categories"):
        if isinstance(getattr(reads, name), str):
            raise ValueError(  # noqa: TRY004 - as every other wrong value of a parameter
                f"{name} must be a list of column names, got {getattr(reads, name)!r}"
            )
        object.__setattr__(reads, name, tuple(getattr(reads, name)))
    check_counts(reads, ("min_count", "max_words"))


def learn(features: pl.DataFrame, reads: Reads, kind: str) -> tuple[Column, ...]:
    """Learn how to read each column, in the order of their names.

    Raises:
        EncoderError: if there is no column, or none that says anything.
    """
    if not features.width:
        raise EncoderError(
            f"{kind} learns from what is known of nodes, but the source gives nothing; name "
            "columns of the nodes in its features, or take node2vec, which reads edges alone"
        )
    absent = [name for name in (*reads.words, *reads.categories) if name not in features.columns]
    if absent:
        raise EncoderError(
            f"the nodes have no feature {absent[0]!r}, which {kind} is to read; they have "
            f"{', '.join(map(repr, features.columns))}"
        )
    found = [_learn(features[name], reads) for name in sorted(features.columns)]
    columns = tuple(column for column in found if column is not None and column.width)
    if not columns:
        raise EncoderError(
            f"none of the {features.width} features varies over the {features.height} nodes of the "
            f"sample: there is nothing for {kind} to learn from"
        )
    return columns


def _learn(column: pl.Series, reads: Reads) -> Column | None:
    if column.name in reads.words:
        ranked = by_frequency(in_texts(_texts(column), 1))
        known = [word for word, nodes in ranked[: reads.max_words] if nodes >= reads.min_count]
        return Words(column.name, tuple(known))
    return _columns.learn(
        column,
        as_category=column.name in reads.categories,
        min_count=reads.min_count,
        max_categories=_MOST_CATEGORIES,
    )


def width(columns: Sequence[Column]) -> int:
    """How many features all columns have."""
    return sum(column.width for column in columns)


def matrix(features: pl.DataFrame, columns: Sequence[Column]) -> csr_matrix:
    """The features of nodes: ``(n, width(columns))`` float64.

    Raises:
        EncoderError: if a column is missing or changed its type.
    """
    from scipy.sparse import csr_matrix, hstack

    absent = [column.name for column in columns if column.name not in features.columns]
    if absent:
        raise EncoderError(
            f"the nodes lack {', '.join(map(repr, absent))}, which the encoder reads; they have "
            f"{', '.join(map(repr, features.columns)) or 'nothing'}: name it in the source's "
            "features, with nulls where it is empty"
        )
    blocks = [csr_matrix(column.block(features[column.name])) for column in columns]
    found: csr_matrix = hstack(blocks, format="csr")
    return found


def to_json(columns: Sequence[Column]) -> Json:
    """Columns as JSON."""
    return [
        {"type": "words", "name": column.name, "known": list(column.known)}
        if isinstance(column, Words)
        else _columns.to_json(column)
        for column in columns
    ]


def from_json(columns: Sequence[Mapping[str, Any]]) -> tuple[Column, ...]:
    """Columns from what `to_json` gave."""
    return tuple(
        Words(fields["name"], tuple(fields["known"]))
        if fields["type"] == "words"
        else _columns.from_json(fields)
        for fields in columns
    )


def _texts(column: pl.Series) -> list[str]:
    import polars as pl

    if column.dtype not in {pl.String, pl.Null}:
        raise EncoderError(
            f"feature {column.name!r} has type {column.dtype}, and words are read from text; set "
            f'types.{column.name} = "str" in the source, or take it out of words'
        )
    texts: list[str] = column.cast(pl.String).fill_null("").to_list()
    return texts
