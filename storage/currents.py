"""Which rows of a table that keeps a history are current, for what reads it without SQL."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, cast

import numpy as np

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray


class Ask(Protocol):
    """A query of one state of a table."""

    def __call__(self, k: int, *, numbered: bool = False) -> pa.Table:
        """The k rows that answer it best, best first; numbered, with their ``_rowid``."""
        ...


def current(rows: pa.Table) -> NDArray[np.bool_]:
    """Whether each row is the current one of its record, as `storage.views.CURRENT` says.

    Args:
        rows: columns record_id, event_time, run_id and content_hash of all rows.

    Returns:
        ``(n,) bool``, in the order of the rows.
    """
    if len(rows) == 1:  # as mostly of one record
        return np.ones(1, bool)
    import polars as pl

    keys = cast("pl.DataFrame", pl.from_arrow(rows)).with_row_index("nth")
    order = ["record_id", "event_time", "run_id", "content_hash"]
    down = [False, True, True, False]
    latest = keys.sort(order, descending=down, nulls_last=True).unique("record_id", keep="first")
    mask = np.zeros(len(keys), bool)
    mask[latest["nth"].to_numpy()] = True
    return mask


def nearest(ask: Ask, dataset: Any, k: int) -> pa.Table:  # noqa: ANN401 - lance ships no types
    """The k current rows nearest to a query, exactly.

    More and more rows are asked for until enough of them are current: what a record was before is
    mostly near to what it is.

    Args:
        ask: the query.
        dataset: the same state of the table.
        k: how many rows.
    """
    import pyarrow as pa

    columns = ["record_id", "event_time", "run_id", "content_hash"]
    rows = dataset.to_table(columns=columns, with_row_id=True)
    latest = rows.column("_rowid").to_numpy()[current(rows)]
    asked = k
    while True:
        found = ask(asked, numbered=True)
        kept = np.isin(found.column("_rowid").to_numpy(), latest)
        if kept.sum() >= k or len(found) < asked:
            return found.filter(pa.array(kept)).slice(0, k).drop_columns("_rowid")
        asked *= 4
