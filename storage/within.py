"""Nearest rows by some dimensions of their vectors alone, exactly."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from storage import currents
from storage.damage import reading

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import pyarrow as pa
    from numpy.typing import NDArray

    from storage.vectors import Vectors

_ROWS = 8192


def nearest_within(
    vectors: Vectors,
    state: tuple[str, int],
    query: NDArray[np.float32],
    dims: Sequence[slice],
    k: int,
    where: str | None = None,
) -> pa.Table:
    """The k rows nearest to a vector by Euclidean distance within some of its dimensions.

    Rows that are zero in all of them have nothing there to be near by, and are left out.

    Args:
        vectors: the tables.
        state: a table, and the Lance version of it to search.
        query: ``(dim,)``; what lies outside of ``dims`` does not matter.
        dims: the dimensions, in slices that do not overlap.
        k: how many rows.
        where: a condition on rows (`storage.conditions`).

    Returns:
        The table's columns but the vector, and ``distance``, squared; nearest first.
    """
    table, lance_version = state
    dataset: Any = vectors.dataset(table, lance_version)
    chosen = np.concatenate([np.arange(len(query))[one] for one in dims])
    wanted = query[chosen].astype(np.float64)
    wanted_rows = None if where is None else places_where(dataset, where)
    places, distances = np.empty(0, np.int64), np.empty(0)
    at = 0
    for rows in _streamed(dataset, table, len(query)):
        told = rows[:, chosen].any(axis=1)
        if wanted_rows is not None:
            told &= wanted_rows[at : at + len(rows)]
        there = np.flatnonzero(told)
        found = ((rows[there][:, chosen] - wanted) ** 2).sum(axis=1)
        places, distances = np.append(places, there + at), np.append(distances, found)
        best = np.argsort(distances, kind="stable")[:k]
        places, distances = places[best], distances[best]
        at += len(rows)
    return rows_at(dataset, table, places, distances)


def _streamed(dataset: Any, table: str, dim: int) -> Iterator[NDArray[np.float32]]:  # noqa: ANN401 - pylance ships no types
    with reading(table):
        for batch in dataset.to_batches(columns=["vector"], batch_size=_ROWS, scan_in_order=True):
            flat = batch.column("vector").flatten().to_numpy(zero_copy_only=False)
            yield np.asarray(flat, np.float32).reshape(-1, dim)


def places_where(dataset: Any, where: str) -> NDArray[np.bool_]:  # noqa: ANN401 - as above
    """Which rows a condition holds for, ``(n,)``, in the order in which they are stored."""
    scanned = {"columns": [], "with_row_id": True, "scan_in_order": True}
    every = dataset.to_table(**scanned).column("_rowid").to_numpy()
    chosen = dataset.to_table(**scanned, filter=where).column("_rowid").to_numpy()
    found: NDArray[np.bool_] = np.isin(every, chosen)
    return found


def chosen_rows(
    dataset: Any,  # noqa: ANN401 - as above
    *,
    history: bool,
    where: str | None,
) -> NDArray[np.bool_] | None:
    """Which rows may be found, ``(n,)``, in the order in which they are stored; None for all.

    Args:
        dataset: the table.
        history: whether it keeps a history; only current rows may be found then.
        where: a condition on rows.
    """
    wanted = None
    if history:
        keys = ["record_id", "event_time", "run_id", "content_hash"]
        wanted = currents.current(dataset.to_table(columns=keys, scan_in_order=True))
    if where is not None:
        fitting = places_where(dataset, where)
        wanted = fitting if wanted is None else wanted & fitting
    return wanted


def count(dataset: Any, *, history: bool, where: str | None) -> int:  # noqa: ANN401 - as above
    """How many rows may be found; as `chosen_rows`."""
    if not history:
        return int(dataset.count_rows(filter=where))
    chosen = chosen_rows(dataset, history=history, where=where)
    return 0 if chosen is None else int(chosen.sum())


def rows_at(
    dataset: Any,  # noqa: ANN401 - as above
    table: str,
    places: NDArray[np.int64],
    found: NDArray[Any],
    measure: str = "distance",
) -> pa.Table:
    """Rows of a table by their places, without vectors, with what was measured of each."""
    import pyarrow as pa

    columns = [name for name in dataset.schema.names if name != "vector"]
    with reading(table):
        rows = dataset.take(places.tolist(), columns=columns)
    # As in `Vectors.nearest`, a kept column of that name gives way.
    names = [f"{measure}_1" if name == measure else name for name in rows.schema.names]
    column = pa.array(found.astype(np.float32))
    return rows.rename_columns(names).append_column(measure, column)
