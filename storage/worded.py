"""Rows by the words of their texts: BM25, Robertson and Zaragoza 2009.

Where a column has no full-text index its texts are read through beside an index that knows no row:
Lance cuts and stems the rows that an index does not know in the same way, so that rows and scores
are those that an index would give.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from storage.damage import reading
from storage.indexes import indexes
from storage.indexing import words_config
from storage.within import chosen_rows, rows_at

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import pyarrow as pa

    from storage.vectors import Vectors

_ROWS = 8192


def by_words(
    vectors: Vectors,
    state: tuple[str, int],
    words: str,
    columns: Sequence[str],
    k: int,
    *,
    history: bool = False,
    where: str | None = None,
) -> pa.Table:
    """The k rows whose texts have the rarest and most of some words, best first.

    A text need not have all of the words. They are compared without regard to case, accents and
    English endings, and the commonest English words count for nothing.

    Args:
        vectors: where the table is.
        state: the table, and the Lance version of it to search.
        words: the words, in no order.
        columns: of texts; a row is as good as the best of them.
        k: how many rows.
        history: whether the table keeps a history; only current rows are found then.
        where: a condition on rows (`storage.conditions`).

    Returns:
        The table's columns but the vector, and ``score``, the higher the better.
    """
    known = {one.column for one in indexes(vectors, *state, again=True) if one.kind == "FTS"}
    found = []
    for column in columns:
        look = _indexed if column in known else _through
        found.append(look(vectors, state, words, column, k, history=history, where=where))
    return found[0] if len(found) == 1 else _best(found, k)


def _best(found: Sequence[pa.Table], k: int) -> pa.Table:
    """The best of the rankings of several columns, each row once.

    None of the k best is missing in the k best of the column that it is best in.
    """
    import polars as pl
    import pyarrow as pa

    rows = pl.DataFrame(pa.concat_tables(found, promote_options="none"))
    best = rows.sort("score", descending=True, maintain_order=True)
    key = ["record_id", "content_hash", "event_time"]  # what tells rows apart in any table
    kept = best.unique(key, keep="first", maintain_order=True)[:k]
    return kept.to_arrow().cast(found[0].schema)


def _indexed(
    vectors: Vectors,
    state: tuple[str, int],
    words: str,
    column: str,
    k: int,
    *,
    history: bool,
    where: str | None,
) -> pa.Table:
    """By an index of the column; rows that it does not know are looked at one by one."""
    opened = vectors.pinned(*state)

    def ask(k: int, *, numbered: bool = False) -> pa.Table:
        query = opened.search(_match(words, column), query_type="fts").limit(k)
        if where is not None:
            query = query.where(where, prefilter=True)
        return query.with_row_id(numbered).to_arrow()

    return vectors.found(ask, vectors.read_again(*state), state[0], k, history=history)


def _through(
    vectors: Vectors,
    state: tuple[str, int],
    words: str,
    column: str,
    k: int,
    *,
    history: bool,
    where: str | None,
) -> pa.Table:
    """By a look at every text."""
    import lancedb
    import pyarrow as pa

    table, _ = state
    dataset: Any = vectors.dataset(*state)
    schema = pa.schema([("place", pa.int64()), ("text", dataset.schema.field(column).type)])
    # In memory, so that texts which are to be erased one day are nowhere but in the store.
    texts = lancedb.connect("memory://").create_table("texts", schema=schema)
    texts.create_index("text", config=words_config())
    with reading(table):
        texts.add(pa.RecordBatchReader.from_batches(schema, _placed(dataset, column, schema)))
        wanted = chosen_rows(dataset, history=history, where=where)
    query = texts.search(_match(words, "text"), query_type="fts").select(["place", "_score"])
    # All that match: how rare a word is must not depend on the condition.
    rows = query.limit(max(1, texts.count_rows())).to_arrow()
    places, scores = rows["place"].to_numpy(), rows["_score"].to_numpy()
    if wanted is not None:
        places, scores = places[wanted[places]], scores[wanted[places]]
    best = np.lexsort((places, -scores))[:k]
    return rows_at(dataset, table, places[best], scores[best], "score")


def _placed(dataset: Any, column: str, schema: pa.Schema) -> Iterator[pa.RecordBatch]:  # noqa: ANN401 - pylance ships no types
    """Each text with its place in the table."""
    import pyarrow as pa

    at = 0
    for batch in dataset.to_batches(columns=[column], batch_size=_ROWS, scan_in_order=True):
        places = pa.array(range(at, at + len(batch)), pa.int64())
        at += len(batch)
        yield pa.RecordBatch.from_arrays([places, batch.column(column)], schema=schema)


def _match(words: str, column: str) -> Any:  # noqa: ANN401 - lancedb ships no types
    from lancedb.query import MatchQuery

    return MatchQuery(words, column)  # type: ignore[call-arg] # the others have defaults
