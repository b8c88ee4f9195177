"""Exports: the rows of a version as files that a training job reads, noted so that they are known.

A file is written beside its place and moved there when it is whole. Vectors keep their type,
``fixed_size_list<float>[dim]`` in Parquet and Arrow; as ``npy`` an export is a folder of
``vectors.npy``, ``(n, dim)`` float32, and ``rows.parquet``, whose row i belongs to vector i.
"""

from __future__ import annotations

import os
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from storage import query, swaps
from storage.damage import told
from storage.entries import insert
from storage.model import StorageError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    import duckdb
    import pyarrow as pa

    from storage.catalog import Catalog
    from storage.model import Form, Version


VECTORS, ROWS = "vectors.npy", "rows.parquet"
"""The two files of an export as ``npy``."""

_BATCH = 4096
_MEMORY = "1GB"


def write(
    con: duckdb.DuckDBPyConnection,
    sql: str,
    form: Form,
    target: Path,
    dim: int,
    announce: Callable[[int], None],
) -> int:
    """Write rows to a file (a folder for ``npy``), whole or not at all, over what is there.

    Args:
        con: of `storage.query.connect`; for the length of the call it sorts on disk, beside the
            target, what does not fit into its memory.
        sql: gives the rows, with a column ``vector``; streamed.
        form: the format.
        target: where to.
        dim: the width of the vectors, which rows that are not there cannot tell.
        announce: told the number of rows when all are written, before they are put in their
            place: whatever dies then, no file is there that nobody knows of.

    Returns:
        How many rows there are.

    Raises:
        UsageError: if something is in the way that no export made.
        QueryError: if the statement cannot be understood, or fails on one of its rows.
        StorageError: if the place cannot be written to.
    """
    import duckdb

    _check(form, target)
    try:
        with tempfile.TemporaryDirectory(prefix=".vecmill-export-", dir=target.parent) as folder:
            fresh = Path(folder) / "fresh"
            spilled = str(Path(folder) / "spilled").replace("'", "''")
            con.execute(f"SET temp_directory = '{spilled}'; SET memory_limit = '{_MEMORY}'")
            relation = query.run(con, sql)
            rows = int(relation.aggregate("count(*)").fetchall()[0][0])
            written = _write(relation.to_arrow_reader(_BATCH), form, fresh, rows, dim)
            if written != rows:
                raise StorageError(
                    f"the export {target} has {written} rows, expected {rows}; what was there is "
                    "still there. Try again; if it stays so, please report it"
                )
            swaps.settle(fresh)
            announce(rows)
            swaps.put(fresh, target, Path(folder) / "old")
    except duckdb.Error as error:
        if isinstance(error, duckdb.IOException | duckdb.OutOfMemoryException):
            raise StorageError(f"cannot write the export {target}: {error}") from error
        raise (told(error) or query.QueryError(str(error))) from error
    except OSError as error:
        raise (
            told(error)
            or StorageError(f"cannot write the export {target}: {error.strerror or error}")
        ) from error
    return rows


def note(
    catalog: Catalog, version: Version, run_id: str, target: Path, form: Form, rows: int
) -> None:
    """Put an export down in the catalog, so that `vecmill erase` finds it."""
    with catalog.transaction() as con:
        con.execute("DELETE FROM exports WHERE path = ?", [str(target)])
        row = {"feature": version.feature, "version": version.version, "run_id": run_id}
        row |= {"path": str(target), "form": form, "rows": rows}
        insert(con, "exports", row | {"exported_at": datetime.now(UTC)})


def is_erased(catalog: Catalog, version: Version, run_id: str) -> bool:
    """Whether records were erased from a version since the state that a run published."""
    found = catalog.query(
        "SELECT count(*) AS n FROM manifests WHERE feature = ? AND version = ? AND run_id = ? "
        "AND forgotten_by = 'erase'",
        *(version.feature, version.version, run_id),
    )
    return bool(found.column("n")[0].as_py())


def remove(target: Path) -> None:
    """Take an export away, be it a file or the folder of one as ``npy``."""
    if target.is_dir():
        for name in (VECTORS, ROWS):
            (target / name).unlink(missing_ok=True)
        target.rmdir()
    else:
        target.unlink(missing_ok=True)


def _check(form: Form, target: Path) -> None:
    if not target.parent.is_dir():
        raise UsageError(f"there is no folder {target.parent}; make it, or name another --output")
    if form == "npy":
        found = {file.name for file in target.iterdir()} if target.is_dir() else set()
        if found - {VECTORS, ROWS} or (target.exists() and not target.is_dir()):
            raise UsageError(
                f"{target} is in the way: an export as npy is a folder, and replaces none but its "
                "like; name another --output"
            )
    elif target.is_dir():
        raise UsageError(f"{target} is a folder; name a file as --output")


def _write(reader: pa.RecordBatchReader, form: Form, path: Path, rows: int, dim: int) -> int:
    import pyarrow as pa
    import pyarrow.parquet as pq

    if form == "npy":
        return _npy(reader, path, rows, dim)
    if form == "parquet":
        with pq.ParquetWriter(path, reader.schema, compression="zstd") as writer:
            return _pass_on(reader, writer)
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, reader.schema) as writer:
        return _pass_on(reader, writer)


def _pass_on(reader: pa.RecordBatchReader, writer: Any) -> int:  # noqa: ANN401 - pyarrow ships no types
    rows = 0
    for batch in reader:
        writer.write_batch(batch)
        rows += len(batch)
    return rows


def _npy(reader: pa.RecordBatchReader, folder: Path, rows: int, dim: int) -> int:
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    folder.mkdir()
    shape = (rows, dim)
    if rows == 0:
        # A file without a byte of data cannot be mapped.
        np.save(folder / VECTORS, np.empty(shape, np.float32))
        vectors: Any = None
    else:
        # Allocated at once: a disk that fills up under a mapped file kills the process.
        vectors = _allocated(folder / VECTORS, shape)
    others = [field for field in reader.schema if field.name != "vector"]
    done = 0
    with pq.ParquetWriter(folder / ROWS, pa.schema(others), compression="zstd") as writer:
        for batch in reader:
            flat = batch.column("vector").flatten().to_numpy()
            vectors[done : done + len(batch)] = flat.reshape(-1, dim)
            writer.write_batch(batch.select([field.name for field in others]))
            done += len(batch)
    if vectors is not None:
        vectors.flush()
    return done


def _allocated(path: Path, shape: tuple[int, int]) -> Any:  # noqa: ANN401 - a memmap
    """A new npy file of float32, mapped, with room on the disk for all of it."""
    import numpy as np

    vectors = np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=shape)
    if hasattr(os, "posix_fallocate"):
        with path.open("r+b") as file:
            os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
    return vectors
