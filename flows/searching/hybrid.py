"""Search by words: full-text over a kept column, alone or together with nearness of vectors.

Two rankings of different measures are put together by their ranks alone: reciprocal rank fusion,
Cormack, Clarke and Büttcher 2009. A row that is first in both comes first, and one that only one of
them knows still has a place.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from flows.config.nearest import hint
from flows.output.progress import listener
from flows.searching.queries import SearchError
from flows.searching.search import check_k, ordered
from storage import worded
from storage.parts import PARTS
from storage.vectors import SYSTEM_COLUMNS

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa

    from flows.searching.search import Searched

_CONSTANT = 60
"""Of the paper: the higher, the less the first few ranks count above the others."""
_LEAST = 100
_FACTOR = 10


def by_words(searched: Searched, words: str, columns: Sequence[str], k: int) -> pa.Table:
    """The k rows whose kept texts have the rarest and most of some words, best first (BM25).

    Args:
        searched: the state to search, and what narrows it.
        words: the words, in no order.
        columns: the kept columns of texts to look in, as `text_columns` gives them; a row is as
            good as the best of them.
        k: how many rows.

    Returns:
        record_id, ``score``, then the other columns of the feature's view but its vector. Rows
        that have none of the words are never among them.
    """
    check_k(k)
    found = worded.by_words(
        searched.stores.vectors, searched.state, words, columns, k,
        history=searched.version.history, where=searched.condition(),
    )  # fmt: skip
    return ordered(found, ("record_id", "score"))


def depth(k: int) -> int:
    """How many rows of each ranking are put together, to find k."""
    return max(_LEAST, _FACTOR * k)


def fused(near: pa.Table, by_word: pa.Table, k: int) -> pa.Table:
    """Two rankings as one: by nearness, and by words.

    Args:
        near: of `flows.searching.search.search`, at least `depth` rows where there are so many.
        by_word: of `by_words`, the same.
        k: how many rows.

    Returns:
        record_id, ``fused`` (the sum of ``1 / (60 + rank)`` over the rankings), ``distance`` and
        ``score``, each null where a row is not in that ranking, then the other columns.
    """
    import polars as pl

    # A kept column that is called as the measure of the other ranking gives way in this one too.
    both = []
    for table, rank, other in ((near, "near", "score"), (by_word, "worded", "distance")):
        names = [f"{name}_1" if name == other else name for name in table.column_names]
        share = 1 / (_CONSTANT + pl.int_range(1, pl.len() + 1))
        rows = pl.DataFrame(table.rename_columns(names))
        both.append(rows.with_columns(share.alias(f"_{rank}")))
    keys = ["record_id", "content_hash", "event_time"]  # what tells rows apart in any table
    joined = both[0].join(both[1], on=keys, how="full", coalesce=True, nulls_equal=True)
    rest = [name for name in near.column_names if name not in {"distance", *keys}]
    rest = [name for name in rest if name in by_word.column_names]
    total = pl.col("_near").fill_null(0) + pl.col("_worded").fill_null(0)
    found = joined.with_columns(
        total.alias("fused"),
        *(pl.coalesce(name, f"{name}_right") for name in rest if f"{name}_right" in joined.columns),
    ).sort("fused", "record_id", descending=[True, False])
    first = ["record_id", "fused", "distance", "score"]
    return found[:k].select(*first, *keys[1:], *rest).to_arrow()


def text_columns(searched: Searched, named: str | None) -> Sequence[str]:
    """The columns of texts to look in: the one that is named, else all that are kept.

    Whoever listens (`flows.output.progress.listener`) is told which these are, if there are more
    than one.

    Raises:
        SearchError: if there is none, or no such one.
    """
    version = searched.version
    schema = searched.stores.vectors.state(*searched.state).schema
    there = texts(schema)
    if named is not None:
        if named in there:
            return [named]
        known = f"; kept texts: {', '.join(there)}" if there else ""
        raise SearchError(
            f"{version.feature} keeps no text {named!r}{hint(named, there)}{known}. What is to be "
            "searched by words must be kept: keep = [...] in its source"
        )
    if not there:
        raise SearchError(
            f"{version.feature} keeps no text that could be searched by words; name the columns "
            "to keep beside the vector in its source: keep = [...]"
        )
    if len(there) > 1:
        all_of_them = ", ".join(there)
        listener().note(
            f"looking for any of the words in {all_of_them}; name one to look in it alone"
        )
    return there


def texts(schema: pa.Schema) -> Sequence[str]:
    """The kept columns of texts of a table."""
    from pyarrow import types

    ours = {*SYSTEM_COLUMNS, *PARTS.names}
    return [
        field.name
        for field in schema
        if field.name not in ours
        and (types.is_string(field.type) or types.is_large_string(field.type))
    ]
