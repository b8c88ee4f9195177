"""Taking records out of what was exported: Parquet, Arrow, CSV, JSON, and folders of ``npy``."""

from __future__ import annotations

import csv
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

from storage.exports import ROWS, VECTORS
from storage.model import StorageError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

_BATCH = 4096
_ID = "record_id"
_NOWHERE = Path(os.devnull)


def erase_from(path: Path, form: str, ids: Collection[str], by: str = _ID) -> int | None:
    """Write an export anew without these records, whole or not at all.

    Args:
        path: the file, or the folder of an export as ``npy`` (`storage.exports`).
        form: what the catalog calls its format.
        ids: the records.
        by: the column that names the record of a row (`storage.parts.key`).

    Returns:
        How many rows were taken out; None if the file has no ids to tell them by.

    Raises:
        StorageError: if it cannot be read or written.
    """
    if not path.is_dir():
        return _rewritten(path, form, ids, by)
    rows, vectors = path / ROWS, path / VECTORS
    found = count_in(path, form, ids, by)
    if not found:
        return found
    # The vectors first: killed between the two, their number tells that the rows are to follow.
    keep = _kept(rows, set(ids), by)
    _cut_vectors(vectors, keep)
    return _rewritten(rows, "parquet", ids, by)


def count_in(path: Path, form: str, ids: Collection[str], by: str = _ID) -> int | None:
    """How many rows of an export have such an id; None if it has no ids.

    Raises:
        StorageError: if it cannot be read.
    """
    if path.is_dir():
        rows = path / ROWS
        return _taken_out(rows, _NOWHERE, "parquet", ids, by) if rows.is_file() else None
    return _taken_out(path, _NOWHERE, form, ids, by)


def _rewritten(path: Path, form: str, ids: Collection[str], by: str) -> int | None:
    fresh = path.with_name(f".vecmill-{path.name}")
    try:
        found = _taken_out(path, fresh, form, ids, by)
        if found:
            fresh.replace(path)
        return found
    finally:
        fresh.unlink(missing_ok=True)


def _taken_out(path: Path, fresh: Path, form: str, ids: Collection[str], by: str) -> int | None:
    """Write the rest of a file to another, and say how many rows were left out."""
    forms: dict[str, Callable[[Path, Path, set[str], str], int | None]] = {
        "parquet": _parquet,
        "arrow": _arrow,
        "csv": _csv,
        "json": _json,
    }
    take_out = forms.get(form)
    if take_out is None:
        return None
    try:
        return take_out(path, fresh, set(ids), by)
    except (OSError, ValueError, csv.Error) as error:
        raise StorageError(
            f"the export {path} cannot be read, or not be written anew: {error}; delete it, or see "
            "to its rights"
        ) from error


def _kept(rows: Path, ids: set[str], by: str) -> NDArray[np.bool_]:
    import numpy as np
    import pyarrow.parquet as pq

    column = pq.read_table(rows, columns=[by]).column(by).to_pylist()
    return np.array([record_id not in ids for record_id in column], np.bool_)


def _cut_vectors(path: Path, keep: NDArray[np.bool_]) -> None:
    """Leave out the vectors of rows that are to go; done already where their number says so."""
    import numpy as np

    old = np.load(path, mmap_mode="r", allow_pickle=False)
    if len(old) != len(keep):
        return
    fresh = path.with_name(f".vecmill-{path.name}")
    shape = (int(keep.sum()), *old.shape[1:])
    if shape[0] == 0:
        with fresh.open("wb") as file:  # a file without a byte of data cannot be mapped
            np.save(file, np.empty(shape, old.dtype))
    else:
        new = np.lib.format.open_memmap(fresh, mode="w+", dtype=old.dtype, shape=shape)
        done = 0
        for start in range(0, len(old), _BATCH):
            some = old[start : start + _BATCH][keep[start : start + _BATCH]]
            new[done : done + len(some)] = some
            done += len(some)
        new.flush()
    fresh.replace(path)


def _parquet(path: Path, fresh: Path, ids: set[str], by: str) -> int | None:
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        schema = file.schema_arrow
        if by not in schema.names:
            return None
        taken = 0
        with pq.ParquetWriter(fresh, schema, compression="zstd") as writer:
            for batch in file.iter_batches():
                left = _others(batch, ids, by)
                taken += len(batch) - len(left)
                writer.write_batch(left)
        return taken


def _arrow(path: Path, fresh: Path, ids: set[str], by: str) -> int | None:
    import pyarrow as pa

    # The null device knows no place in a file, which the footer of one has to tell.
    make = pa.ipc.new_stream if fresh == _NOWHERE else pa.ipc.new_file
    with pa.OSFile(str(path)) as source:
        batches = pa.ipc.open_file(source)
        if by not in batches.schema.names:
            return None
        taken = 0
        with pa.OSFile(str(fresh), "wb") as sink, make(sink, batches.schema) as writer:
            for place in range(batches.num_record_batches):
                batch = batches.get_batch(place)
                left = _others(batch, ids, by)
                taken += len(batch) - len(left)
                writer.write_batch(left)
        return taken


def _others(batch: pa.RecordBatch, ids: set[str], by: str) -> pa.RecordBatch:
    import pyarrow as pa

    keep = [str(record_id) not in ids for record_id in batch.column(by).to_pylist()]
    return batch.filter(pa.array(keep, pa.bool_()))


def _csv(path: Path, fresh: Path, ids: set[str], by: str) -> int | None:
    with path.open(encoding="utf-8", newline="") as source:
        rows = csv.reader(source)
        header = next(rows, [])
        if by not in header:
            return None
        place, taken = header.index(by), 0
        with fresh.open("w", encoding="utf-8", newline="") as sink:
            writer = csv.writer(sink, lineterminator="\n")
            writer.writerow(header)
            for row in rows:
                if len(row) > place and row[place] in ids:
                    taken += 1
                else:
                    writer.writerow(row)
        return taken


def _json(path: Path, fresh: Path, ids: set[str], by: str) -> int | None:
    """An array of objects, or an object a line."""
    text = path.read_text(encoding="utf-8")
    is_array = text.lstrip().startswith("[")
    rows = json.loads(text) if is_array else [json.loads(x) for x in text.splitlines() if x.strip()]
    if any(not isinstance(row, dict) or by not in row for row in rows):
        return None
    left = [row for row in rows if str(row[by]) not in ids]
    lines = [json.dumps(row, ensure_ascii=False) for row in left]
    whole = "[" + ",\n".join(lines) + "]\n" if is_array else "".join(f"{x}\n" for x in lines)
    fresh.write_text(whole, encoding="utf-8")
    return len(rows) - len(left)
