"""Rows put in order on disk, however long they are and however many.

DuckDB sorts on disk too, but it has to hold some rows of every run at once, and asks for more
memory than it was given where they are long. These are spread over files by their places and each
file by itself again until it fits (Knuth, The Art of Computer Programming 3, 5.4.7: external radix
sorting).
"""

from __future__ import annotations

import tempfile
from itertools import chain
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from storage.model import StorageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    import pyarrow as pa
    from numpy.typing import NDArray

_HELD = 16 * 2**20
"""Bytes of rows that are sorted in memory, more or less."""
_WAYS = 64
"""Files that rows are spread over at a time, at most."""

PLACE = "place_in_order"
"""The column that says where a row goes."""

_UNORDERED = (
    "rows that were taken of the source are not where they were put in the scratch file; nothing "
    "is published. Run again; if it stays so, please report it"
)


def in_order(
    batches: Iterable[pa.RecordBatch], folder: Path, first: int, end: int
) -> Iterator[pa.Table]:
    """The same rows by their places, in tables that follow one another.

    Args:
        batches: rows with a column `PLACE`, int64: each place from `first` up to `end` once.
        folder: where to put files, which have no name and go when they are read.
        first: the least place.
        end: the place beyond the last.
    """
    import pyarrow as pa

    held: list[pa.RecordBatch] = []
    size = rows = 0
    rest = iter(batches)
    for batch in rest:
        held.append(batch)
        size, rows = size + batch.nbytes, rows + len(batch)
        if size > _HELD and rows < end - first:
            break
    else:
        if held:
            table = pa.Table.from_batches(held)
            yield table.take(pa.array(np.argsort(table[PLACE].to_numpy())))
        return
    parts = 1 + size * (end - first) // rows // _HELD
    step = -(-(end - first) // min(_WAYS, parts))
    everything = chain(held, rest)
    del held
    for start, file in _spread(everything, folder, first, step):
        with file:
            yield from in_order(_read(file), folder, start, min(start + step, end))


def joined(
    rows: Iterable[pa.RecordBatch], placed: Iterable[pa.RecordBatch]
) -> Iterator[pa.RecordBatch]:
    """Rows with more columns of some of them, and only these.

    Args:
        rows: rows with a column `seq`, ascending, none twice.
        placed: rows with a column `seq`, ascending, each of them one of ``rows``.

    Raises:
        StorageError: if a row of ``placed`` is not among ``rows``, or either is not ascending.
    """
    others = iter(rows)
    block, seqs = None, np.empty(0, np.int64)
    for batch in placed:
        at, asked = 0, batch.column("seq").to_numpy()
        while at < len(asked):
            while block is None or asked[at] > seqs[-1]:
                block, seqs = _next(others)
            end = int(np.searchsorted(asked, seqs[-1], side="right"))
            found = np.searchsorted(seqs, asked[at:end])
            if end <= at or not np.array_equal(seqs[found], asked[at:end]):
                raise StorageError(_UNORDERED)
            yield _beside(block.take(found), batch.slice(at, end - at))
            at = end


def _next(blocks: Iterator[pa.RecordBatch]) -> tuple[pa.RecordBatch, NDArray[np.int64]]:
    for block in blocks:
        if len(block):
            return block, block.column("seq").to_numpy()
    raise StorageError(_UNORDERED)


def _beside(one: pa.RecordBatch, other: pa.RecordBatch) -> pa.RecordBatch:
    import pyarrow as pa

    more = {name: other.column(name) for name in other.schema.names if name != "seq"}
    own = {name: one.column(name) for name in one.schema.names}
    return pa.RecordBatch.from_pydict(own | more)


def _spread(
    batches: Iterable[pa.RecordBatch], folder: Path, first: int, step: int
) -> list[tuple[int, BinaryIO]]:
    """Rows in files of so many places each, with the first place of each file."""
    import pyarrow as pa

    files: dict[int, BinaryIO] = {}
    writers: dict[int, pa.ipc.RecordBatchStreamWriter] = {}
    for batch in batches:
        part = (batch.column(PLACE).to_numpy() - first) // step
        order = np.argsort(part, kind="stable")
        found, begins = np.unique(part[order], return_index=True)
        for number, rows in zip(found.tolist(), np.split(order, begins[1:]), strict=True):
            if number not in writers:
                files[number] = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 - closed when read
                writers[number] = pa.ipc.new_stream(files[number], batch.schema)
            writers[number].write_batch(batch.take(pa.array(rows)))
    for writer in writers.values():
        writer.close()
    return [(first + number * step, files[number]) for number in sorted(files)]


def _read(file: BinaryIO) -> Iterator[pa.RecordBatch]:
    import pyarrow as pa

    file.seek(0)
    with pa.ipc.open_stream(file) as stream:
        yield from stream
