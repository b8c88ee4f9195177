"""The vectors of some records, by their ids."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np

from storage.aligned import Side, own_by
from storage.conditions import literal
from storage.currents import current
from storage.damage import reading

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import pyarrow as pa
    from numpy.typing import NDArray

    from storage.vectors import Vectors

_IDS = 1_000


def vectors_of(
    vectors: Vectors,
    state: tuple[str, int],
    ids: Iterable[str],
    by: str = "record_id",
    *,
    history: bool = False,
) -> dict[str, NDArray[np.float32]]:
    """The vectors ``(dim,)`` of those of some records that a table has.

    Args:
        vectors: the tables.
        state: a table, and the Lance version of it to read.
        ids: the records.
        by: the column that these are ids of.
        history: whether the table keeps a history; the current row of each record counts then.
    """
    table, lance_version = state
    dataset = vectors.dataset(table, lance_version)
    side = Side(table, table, lance_version, by)
    found: dict[str, NDArray[np.float32]] = {}
    left = iter(ids)
    while some := list(islice(left, _IDS)):
        own = some if by == "record_id" else sorted(own_by(vectors, side, some))
        with reading(table):
            rows = _rows(dataset, own, by, history=history)
        column = rows["vector"].combine_chunks()
        flat = column.flatten().to_numpy(zero_copy_only=False)
        values = np.asarray(flat, np.float32).reshape(len(rows), column.type.list_size)
        wanted = {*some}
        named = zip(texts(rows[by]), values, strict=True)
        found |= {name: vector for name, vector in named if name is not None and name in wanted}
    return found


def _rows(dataset: Any, own: Sequence[str], by: str, *, history: bool) -> pa.Table:  # noqa: ANN401 - pyarrow ships no types
    """The rows of records by their own ids; of a history the current ones."""
    import pyarrow as pa

    keys = ["record_id", *(["event_time", "run_id", "content_hash"] if history else []), by]
    columns = [*dict.fromkeys([*keys, "vector"])]
    if not own:
        return dataset.schema.empty_table().select(columns)
    where = f"record_id IN ({', '.join(map(literal, own))})"
    rows = dataset.to_table(columns=columns, filter=where)
    return rows.filter(pa.array(current(rows))) if history else rows


def texts(column: Any) -> list[str | None]:  # noqa: ANN401 - as above
    """The values of a column as the text of ids, in which `storage.aligned` joins by them."""
    import duckdb
    import pyarrow as pa

    if pa.types.is_string(column.type):
        plain: list[str | None] = column.to_pylist()
        return plain
    with duckdb.connect() as con:
        con.execute("SET TimeZone = 'UTC'")
        con.register("given", pa.table({"id": column}))
        return [row[0] for row in con.execute("SELECT id::VARCHAR FROM given").fetchall()]
