"""Exports: what is read back is what is published, and a file is whole or what it was before."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from storage import cleaning, query
from storage.exports import note, write
from storage.model import Form, StorageError, UsageError
from storage.swaps import put
from tests.processes import python
from tests.storage.conftest import DIM, matrix, reader

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from tests.processes import Forking
    from tests.storage.conftest import Store

IDS = ["ü; 2", "c", "a", "it's", "Z", "日本"]
ORDER = sorted(IDS, key=str.encode)
ALL = "FROM notes ORDER BY record_id"
FORMS: tuple[Form, ...] = ("parquet", "arrow", "npy")
CHILD = """
import os, resource, sys, types
from pathlib import Path
from storage import exports, query, swaps
from storage.catalog import Catalog
from storage.vectors import Vectors
root, form, how = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
con = query.connect(Catalog(root / "new" / "catalog.duckdb", 5.0), Vectors(str(root / "vectors")))
if how == "full":
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_500, 1_500))
def die(*_):
    os._exit(9)
if how == "settle":
    swaps.settle = die
if how == "put":
    swaps.put = die
try:
    exports.write(con, "SELECT a.* FROM notes a, range(2000) ORDER BY record_id", form,
                  root / "out", 4, die if how == "announce" else print)
except Exception as error:
    print(type(error).__name__, error)
    os._exit(3)
"""


@pytest.fixture
def con(store: Store) -> Iterator[duckdb.DuckDBPyConnection]:
    version = store.version()
    lance_version = store.vectors.rewrite(version.table, reader(IDS))
    store.publish(version, "r1", lance_version)
    with query.connect(store.catalog, store.vectors) as session:
        yield session


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


def export(con: duckdb.DuckDBPyConnection, form: Form, target: Path, sql: str = ALL) -> int:
    return write(con, sql, form, target, DIM, lambda _: None)


def contents(path: Path) -> dict[str, bytes]:
    files = sorted(path.iterdir()) if path.is_dir() else [path]
    return {file.name: file.read_bytes() for file in files}


def expected() -> NDArray[np.float32]:
    vectors = matrix(len(IDS))
    return vectors[[IDS.index(i) for i in ORDER]]


def vectors_of(column: Any) -> NDArray[np.float32]:  # noqa: ANN401 - pyarrow ships no types
    flat: NDArray[np.float32] = column.combine_chunks().flatten().to_numpy()
    return flat.reshape(-1, DIM)


# --- read back ------------------------------------------------------------------------------------


def test_parquet_is_read_by_all(con: duckdb.DuckDBPyConnection, out: Path) -> None:
    assert export(con, "parquet", out) == len(IDS)
    table = pq.read_table(out)
    assert table.schema.field("vector").type == pa.list_(pa.field("item", pa.float32()), DIM)
    assert table["record_id"].to_pylist() == ORDER
    assert vectors_of(table["vector"]).tobytes() == expected().tobytes()
    frame = pl.read_parquet(out)
    assert frame["vector"].dtype == pl.Array(pl.Float32, DIM)
    assert frame["vector"].to_numpy().tobytes() == expected().tobytes()
    assert frame["label"].to_list() == [IDS.index(i) for i in ORDER]
    with duckdb.connect() as other:
        found = other.read_parquet(str(out)).project("record_id, vector::FLOAT[4] AS v").fetchall()
    assert found == [(i, tuple(map(float, v))) for i, v in zip(ORDER, expected(), strict=True)]


def test_arrow_is_read_by_all(con: duckdb.DuckDBPyConnection, out: Path) -> None:
    assert export(con, "arrow", out) == len(IDS)
    with pa.memory_map(str(out)) as source:
        table = pa.ipc.open_file(source).read_all()
    assert table["record_id"].to_pylist() == ORDER
    assert vectors_of(table["vector"]).tobytes() == expected().tobytes()
    frame = pl.read_ipc(out)
    assert frame["vector"].to_numpy().tobytes() == expected().tobytes()
    assert frame["event_time"].dtype == pl.Datetime("us", "UTC")


def test_npy_goes_row_by_row(con: duckdb.DuckDBPyConnection, out: Path) -> None:
    assert export(con, "npy", out) == len(IDS)
    vectors = np.load(out / "vectors.npy", mmap_mode="r", allow_pickle=False)
    assert (vectors.dtype, vectors.shape, vectors.flags.c_contiguous) == ("<f4", (6, DIM), True)
    assert vectors.tobytes() == expected().tobytes()
    rows = pl.read_parquet(out / "rows.parquet")
    assert rows["record_id"].to_list() == ORDER
    assert "vector" not in rows.columns
    assert sorted(contents(out)) == ["rows.parquet", "vectors.npy"]


@pytest.mark.parametrize("form", FORMS)
def test_nothing_is_exported_with_its_types(
    con: duckdb.DuckDBPyConnection, out: Path, form: Form
) -> None:
    assert export(con, form, out, "SELECT * FROM notes WHERE false") == 0
    if form == "npy":
        assert np.load(out / "vectors.npy").shape == (0, DIM)
        assert pl.read_parquet(out / "rows.parquet").is_empty()
    else:
        frame = pl.read_parquet(out) if form == "parquet" else pl.read_ipc(out)
        assert (len(frame), frame["vector"].dtype) == (0, pl.Array(pl.Float32, DIM))


@pytest.mark.parametrize("form", FORMS)
def test_many_wide_rows_come_out_in_order(
    con: duckdb.DuckDBPyConnection, out: Path, form: Form
) -> None:
    """Rows of more than one batch, with vectors as wide as the widest models have."""
    wide = (
        "SELECT lpad((9999 - i)::VARCHAR, 5, '0') AS record_id, "
        "list_transform(range(4096), lambda x: (i + x / 4096)::FLOAT)::FLOAT[4096] AS vector, "
        "i AS label FROM range(5000) t(i) ORDER BY record_id"
    )
    assert write(con, wide, form, out, 4096, lambda _: None) == 5000
    if form == "npy":
        vectors = np.load(out / "vectors.npy", mmap_mode="r")
        labels = pl.read_parquet(out / "rows.parquet")["label"].to_numpy()
    else:
        frame = pl.read_parquet(out) if form == "parquet" else pl.read_ipc(out)
        vectors, labels = frame["vector"].to_numpy(), frame["label"].to_numpy()
    assert labels.tolist() == list(range(4999, -1, -1))
    np.testing.assert_array_equal(vectors[:, 0], labels.astype(np.float32))
    row = np.float32(labels[7] + np.arange(4096) / 4096)
    np.testing.assert_array_equal(vectors[7], row)


# --- whole, or what it was ------------------------------------------------------------------------


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("how", ["settle", "announce", "put"])
def test_killed_it_leaves_what_was_there(
    forking: Forking, con: duckdb.DuckDBPyConnection, out: Path, form: Form, how: str
) -> None:
    export(con, form, out)
    before = contents(out)
    killed = forking.run(CHILD, out.parent, form, how)
    assert killed.code == 9, killed.out + killed.err
    assert contents(out) == before
    assert len(list(out.parent.glob(".vecmill-export-*"))) == 1
    assert export(con, form, out, "FROM notes ORDER BY record_id LIMIT 2") == 2
    assert contents(out) != before


@pytest.mark.parametrize("form", FORMS)
def test_a_full_disk_leaves_what_was_there(
    forking: Forking, con: duckdb.DuckDBPyConnection, out: Path, form: Form
) -> None:
    """A file that may grow no further is to a program as a disk that is full."""
    export(con, form, out)
    before = contents(out)
    full = forking.run(CHILD, out.parent, form, "full")
    assert (full.code, full.out.partition(" ")[0]) == (3, "StorageError"), full.err
    assert f"cannot write the export {out}: " in full.out
    assert contents(out) == before
    assert not list(out.parent.glob(".vecmill-export-*"))


def test_a_row_that_fails_leaves_what_was_there(con: duckdb.DuckDBPyConnection, out: Path) -> None:
    export(con, "parquet", out)
    before = contents(out)
    sql = (
        "SELECT * REPLACE (CASE WHEN label < 3 THEN 1 ELSE record_id::INT END AS label) FROM notes"
    )
    with pytest.raises(query.QueryError, match="Could not convert"):
        export(con, "parquet", out, sql)
    with pytest.raises(query.QueryError, match="colour"):
        export(con, "parquet", out, "FROM notes WHERE colour = 1")
    assert contents(out) == before
    assert not list(out.parent.glob(".vecmill-export-*"))


@pytest.mark.skipif(os.geteuid() == 0, reason="to root no folder is read-only")
def test_a_folder_that_is_read_only_is_told_of(con: duckdb.DuckDBPyConnection, out: Path) -> None:
    out.mkdir(mode=0o555)
    with pytest.raises(StorageError, match=r"cannot write the export .* Permission denied"):
        export(con, "parquet", out / "rows")


def test_what_is_in_the_way_stays(con: duckdb.DuckDBPyConnection, out: Path) -> None:
    out.mkdir()
    (out / "mine.txt").write_text("mine")
    with pytest.raises(UsageError, match="is in the way: an export as npy is a folder"):
        export(con, "npy", out)
    with pytest.raises(UsageError, match="is a folder; name a file as --output"):
        export(con, "parquet", out)
    with pytest.raises(UsageError, match="is in the way: an export as npy"):
        export(con, "npy", out / "mine.txt")
    with pytest.raises(UsageError, match=r"there is no folder .*away; make it"):
        export(con, "arrow", out / "away" / "rows")
    assert contents(out) == {"mine.txt": b"mine"}


def test_a_folder_is_replaced_in_one_go(tmp_path: Path) -> None:
    for name in ("fresh", "target"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "which").write_text(name)
    put(tmp_path / "fresh", tmp_path / "target", tmp_path / "old")
    assert (tmp_path / "target" / "which").read_text() == "fresh"
    left = tmp_path / "fresh" if (tmp_path / "fresh").exists() else tmp_path / "old"
    assert (left / "which").read_text() == "target"


def test_an_export_is_noted_once_a_path(store: Store, con: duckdb.DuckDBPyConnection) -> None:
    version = store.catalog.versions("notes")[0]
    assert con.sql("SELECT count(*) FROM exports").fetchall() == [(0,)]
    for rows in (3, 4):
        note(store.catalog, version, "r1", Path("/somewhere/rows.npy"), "npy", rows)
    [found] = cleaning.exports(store.catalog)
    assert (found["path"], found["form"], found["version"]) == ("/somewhere/rows.npy", "npy", 1)
    assert store.catalog.query("SELECT rows FROM exports").to_pylist() == [{"rows": 4}]


MEASURED = """
import resource, sys
from pathlib import Path
from storage import exports, query
import duckdb
con = duckdb.connect()
sql = (f"SELECT hash(i)::VARCHAR AS record_id, list_transform(range(256), lambda x: (x + i)::FLOAT)"
       f"::FLOAT[256] AS vector FROM range({sys.argv[3]}) t(i) ORDER BY record_id")
exports._MEMORY = "200MB"
con.execute("SET threads = 1")
exports.write(con, sql, sys.argv[2], Path(sys.argv[1]) / "out", 256, print)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
"""


@pytest.mark.slow
def test_memory_does_not_grow_with_the_rows(tmp_path: Path) -> None:
    """400 MB of vectors, sorted, through a limit of 200 MB."""
    peaks = []
    for rows in (20_000, 400_000):
        with python(MEASURED, tmp_path, "parquet", rows) as child:
            told, complaints = child.communicate()
        assert child.returncode == 0, complaints
        peaks.append(int(told.split()[-1]))
    assert peaks[1] - peaks[0] < 300, peaks
