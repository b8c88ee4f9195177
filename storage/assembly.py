"""Rows put together from what was compared and from their vectors, wherever these lie.

What is known of a row comes sorted by the place of its vector: a row of a staged file, or of what
is published. So vectors are read once, in order and a few at a time, and what memory holds is the
same however many rows there are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from storage.model import StorageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    import pyarrow as pa
    import pyarrow.dataset
    from numpy.typing import NDArray

    Places = NDArray[np.int64]

FILE = 32
"""Bits of a place that say the row of a staged file; those above say which file."""
_ROWS, _BYTES = 8192, 16 * 2**20


def rows_at_once(dim: int) -> int:
    """How many rows go by at a time, so that their vectors take little."""
    return max(1, min(_ROWS, _BYTES // (4 * dim)))


class StagedRows:
    """The rows of staged files, by places that never go back.

    Args:
        files: whose number, from 0, is the upper part of a place.
        columns: which columns; those that an earlier release has not staged are null.
        at_once: how many rows are read at a time.
    """

    def __init__(self, files: Sequence[Path], columns: pa.Schema, at_once: int) -> None:
        self._files = files
        self._columns = columns
        self._at_once = at_once
        self._file = -1
        self._start = 0
        self._block: pa.RecordBatch | None = None
        self._blocks: Iterator[pa.RecordBatch] = iter(())

    def take(self, places: Places) -> pa.Table:
        """The rows at these places, ascending from call to call; a place may come again."""
        import pyarrow as pa

        taken = []
        while len(places):
            block = self._forward(int(places[0]))
            here = (places >> FILE == self._file) & (
                places - (self._file << FILE) < self._start + len(block)
            )
            n = int(here.sum())
            taken.append(block.take(pa.array(places[:n] - (self._file << FILE) - self._start)))
            places = places[n:]
        return pa.Table.from_batches(taken)

    def _forward(self, place: int) -> pa.RecordBatch:
        """The block of rows that a place is in."""
        file, row = place >> FILE, place & ((1 << FILE) - 1)
        if file != self._file:
            self._file, self._start, self._block = file, 0, None
            self._blocks = _blocks(self._files[file], self._columns, self._at_once)
        while self._block is None or row >= self._start + len(self._block):
            self._start += 0 if self._block is None else len(self._block)
            self._block = next(self._blocks, None)
            if self._block is None:
                raise StorageError(
                    f"{self._files[file]} has fewer than {row + 1} rows now, so something has "
                    "changed it meanwhile; run again"
                )
        return self._block


def _blocks(file: Path, columns: pa.Schema, at_once: int) -> Iterator[pa.RecordBatch]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    with pq.ParquetFile(file, memory_map=False) as parquet:
        there = [name for name in columns.names if name in parquet.schema_arrow.names]
        for block in parquet.iter_batches(at_once, columns=there, use_threads=False):
            held = {name: block.column(name) for name in there}
            for name in columns.names:
                if name not in held:
                    held[name] = pa.nulls(len(block), columns.field(name).type)
            yield pa.RecordBatch.from_pydict({name: held[name] for name in columns.names})


def published_rows(
    base: pyarrow.dataset.Dataset, places: Places, columns: Sequence[str]
) -> pa.Table:
    """The published rows at these places, ascending; a place may come again."""
    import pyarrow as pa

    distinct, again = np.unique(places, return_inverse=True)
    found = base.take(distinct.tolist(), columns=columns)
    return found if len(distinct) == len(places) else found.take(pa.array(again))


def numbered(base: pyarrow.dataset.Dataset, columns: Mapping[str, str]) -> pa.RecordBatchReader:
    """Columns of all published rows under other names, and with each row its place, ``nth``.

    Args:
        base: the published rows.
        columns: the names that they are to have, with those that they have.
    """
    import pyarrow as pa

    scanner = base.scanner(columns=list(columns.values()))
    fields = [scanner.projected_schema.field(name) for name in columns.values()]
    named = [field.with_name(name) for field, name in zip(fields, columns, strict=True)]
    schema = pa.schema([*named, pa.field("nth", pa.int64())])

    def batches() -> Iterator[pa.RecordBatch]:
        start = 0
        for batch in scanner.to_reader():
            held = [batch.column(name) for name in columns.values()]
            nth = pa.array(np.arange(start, start + len(batch)))
            yield pa.RecordBatch.from_arrays([*held, nth], schema=schema)
            start += len(batch)

    return pa.RecordBatchReader.from_batches(schema, batches())


def vectors_of(column: pa.ChunkedArray, kind: pa.DataType) -> pa.Array:
    """Vectors as a column of fixed width, whatever lists they come as."""
    import pyarrow as pa

    flat = pa.chunked_array([chunk.flatten() for chunk in column.chunks], pa.float32())
    return pa.FixedSizeListArray.from_arrays(flat.combine_chunks(), type=kind)


def fitted(columns: dict[str, Any], schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    """Columns as the batches of a table of this schema."""
    import pyarrow as pa

    columns = {**columns, "vector": vectors_of(columns["vector"], schema.field("vector").type)}
    arrays = []
    for field in schema:
        column = columns[field.name]
        arrays.append(column if column.type == field.type else column.cast(field.type))
    yield from pa.Table.from_arrays(arrays, schema=schema).to_batches()
