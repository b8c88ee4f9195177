"""The last looks at rows on their way into a table, which Lance takes as they come."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np

from storage.model import StorageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pyarrow as pa


@contextmanager
def finite(rows: pa.RecordBatchReader) -> Iterator[pa.RecordBatchReader]:
    """The same rows, read within as far as their vectors are finite.

    Raises:
        StorageError: from whatever reads on, if a vector is not; Lance would hide it in its own.
    """
    import pyarrow as pa

    faults: list[StorageError] = []

    def batches() -> Iterator[pa.RecordBatch]:
        for batch in rows:
            if (record := _unsound(batch)) is not None:
                faults.append(
                    StorageError(
                        f"the vector of record {record!r} has a number that is not finite, and "
                        "nothing is published; look at what the encoder makes of that record"
                    )
                )
                raise faults[0]
            yield batch

    try:
        yield pa.RecordBatchReader.from_batches(rows.schema, batches())
    except Exception:
        if faults:
            raise faults[0] from None
        raise


def cast_to(schema: pa.Schema, rows: pa.RecordBatchReader) -> pa.RecordBatchReader:
    """Rows with the types of a table's columns; as they are where these are theirs."""
    import pyarrow as pa

    kinds = {field.name: field.type for field in schema}
    wanted = pa.schema(
        [field.with_type(kinds.get(field.name, field.type)) for field in rows.schema],
        rows.schema.metadata,
    )
    if wanted.equals(rows.schema):
        return rows
    return pa.RecordBatchReader.from_batches(wanted, (batch.cast(wanted) for batch in rows))


def _unsound(batch: pa.RecordBatch) -> str | None:
    """The first record whose vector has a number that is not finite."""
    column = batch.column("vector")
    flat = column.flatten().to_numpy(zero_copy_only=False)  # nulls are left out
    sound = np.isfinite(flat)
    if sound.all():
        return None
    width = len(flat) // (len(batch) - column.null_count)
    record = batch.column("record_id").filter(column.is_valid())[int(np.argmin(sound)) // width]
    return str(record.as_py())
