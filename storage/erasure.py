"""Taking records out of a store so that no file of it holds them any more.

Deleting is not enough anywhere: Lance keeps deleted rows in its data files and the ids in the
predicate of each deletion, DuckDB keeps them in free blocks. So tables are compacted and their
other states removed, and the catalog is written anew (`storage.catalog.Catalog.rewrite`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Any

from storage import blotting, cleaning
from storage.conditions import literal
from storage.damage import misses_a_file
from storage.model import StorageError
from storage.parts import PARTS

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence
    from pathlib import Path

    import duckdb
    import pyarrow as pa

    from storage.vectors import Vectors

_IDS_A_FILTER = 1_000
_BLOCK = 2**24


@dataclass
class Traces:
    """What is known of the records to erase, to find and to search by.

    Attributes:
        rows: how many rows hold them in the states that are published.
        older: how many hold them in other states, or lie deleted in data files.
        hashes: their content hashes; where rows are parts of records, of these and of the whole.
        parts: the ids of rows that are parts of them.
        values: texts of their kept columns, and contents where these are known.
    """

    rows: int = 0
    older: int = 0
    hashes: set[str] = field(default_factory=set)
    parts: set[str] = field(default_factory=set)
    values: set[str] = field(default_factory=set)


def traces(
    vectors: Vectors,
    table: str,
    ids: Collection[str],
    published: int | None,
    by: str = "record_id",
) -> Traces:
    """Look for records in all states of a table, deleted rows included.

    Args:
        vectors: the tables.
        table: one of them.
        ids: the records.
        published: the state that readers see.
        by: the column that names the record of a row (`storage.parts.key`).

    Raises:
        StorageError: if the table cannot be read.
    """
    found = Traces()
    there = cleaning.physical(vectors, table)
    for lance_version in there.versions:
        try:
            _trace(
                vectors.state(table, lance_version),
                ids,
                found,
                by,
                published=lance_version == published,
            )
        except Exception as error:
            if lance_version in {published, there.head} or not misses_a_file(error):
                raise
            # Lance removes the files of a state before the state: a clean-up was killed there.
    return found


def _trace(
    dataset: Any,  # noqa: ANN401 - pylance ships no types
    ids: Collection[str],
    found: Traces,
    by: str,
    *,
    published: bool,
) -> None:
    texts = [f.name for f in dataset.schema if _is_text(f.type) and f.name != "run_id"]
    of_parts = by == PARTS.parent
    hashes = {"content_hash", PARTS.whole} if of_parts else {"content_hash"}
    for rows in _rows_of(dataset, ids, texts, by):
        alive = len(rows) - rows.column("_rowid").null_count
        found.rows += alive if published else 0
        found.older += len(rows) - (alive if published else 0)
        if of_parts:
            found.parts.update(rows.column("record_id").to_pylist())
        for name in texts:
            into = found.hashes if name in hashes else found.values
            if name not in {"record_id", by}:
                into.update(filter(None, rows.column(name).to_pylist()))


def shared(vectors: Vectors, table: str, lance_version: int, ids: Collection[str],
           terms: Sequence[str], by: str = "record_id") -> set[str]:  # fmt: skip
    """Those of the terms that stand in rows of other records too, be it as a part of a text."""
    import pyarrow as pa

    dataset = vectors.state(table, lance_version)
    texts = [f.name for f in dataset.schema if _is_text(f.type) and f.name != "run_id"]
    gone, left, met = set(ids), set(terms), set()
    for batch in dataset.to_batches(columns=texts):
        if not left:
            break
        rows = [i for i, r in enumerate(batch.column(by).to_pylist()) if r not in gone]
        others = pa.array(rows, pa.int64())
        columns = [batch.column(name).take(others).to_pylist() for name in texts]
        everything = "\0".join(v for column in columns for v in column if v)
        met |= {term for term in left if term in everything}
        left -= met
    return met


def holding(
    vectors: Vectors, table: str, lance_version: int, ids: Collection[str], by: str = "record_id"
) -> set[str]:
    """Ids of rows and records in a state of which one of these ids is a part."""
    found: set[str] = set()
    columns = list({"record_id", by})
    for batch in vectors.state(table, lance_version).to_batches(columns=columns):
        for name in columns:
            known = [one for one in batch.column(name).to_pylist() if one is not None]
            joined = "\0".join(known)
            found |= blotting.holding(known, [one for one in ids if one in joined])
    return found


def erase_rows(
    vectors: Vectors, table: str, published: int, ids: Collection[str], by: str = "record_id"
) -> int:
    """Make a new head of a table's published state without these records, deleted or not.

    Indexes go too, since they hold values; nothing of Vecmill's needs them.

    Returns:
        The number of rows that are left. The new head is not published yet.

    Raises:
        StorageError: if deleted rows stay in a data file.
    """
    cleaning.restore(vectors, table, published)
    dataset = vectors.head(table)
    for index in dataset.describe_indices():
        dataset.drop_index(index.name)
    for some in _chunks(ids):
        dataset.delete(f"{by} IN ({', '.join(map(literal, some))})")
    cleaning.compact(vectors, table, purge=True)
    after = cleaning.physical(vectors, table)
    if after.deleted_rows:
        raise StorageError(
            f"{after.deleted_rows} deleted rows of {table} still lie in its data files after they "
            "were compacted; nothing of it is published. Run again; if it stays so, report it"
        )
    # A head keeps the predicate of the deletion that made it, and so the ids: where there was
    # nothing to compact that is this head. A restored one says nothing.
    vectors.state(table, after.head).restore()
    return int(vectors.head(table).count_rows())


def remove_other_states(vectors: Vectors, table: str) -> int:
    """Remove all states of a table but its head, those that tags pin too, and the tags.

    Returns:
        How many states were removed.
    """
    dataset = vectors.head(table)
    for name, tag in dataset.tags.list().items():
        if tag["version"] != dataset.version:
            dataset.tags.delete(name)
    before = cleaning.physical(vectors, table)
    cleaning.remove_states(vectors, table, set(before.versions) - {before.head})
    return len(before.versions) - len(cleaning.physical(vectors, table).versions)


def rows_left(
    vectors: Vectors, table: str, ids: Collection[str], by: str = "record_id"
) -> tuple[int, int]:
    """How many states a table has, and how many rows in them, deleted or not, have such an id."""
    versions = cleaning.physical(vectors, table).versions
    found = sum(
        len(rows)
        for lance_version in versions
        for rows in _rows_of(vectors.state(table, lance_version), ids, [by], by)
    )
    return len(versions), found


# --- files ----------------------------------------------------------------------------------------


def search(files: Iterable[Path], terms: Sequence[str]) -> dict[str, int]:
    """Search files byte by byte for texts as UTF-8.

    Returns:
        The path of each file that holds any, and how many of the terms it holds.
    """
    wanted = [term.encode("utf-8", "surrogatepass") for term in terms]
    overlap = max(map(len, wanted), default=1) - 1
    hits: dict[str, int] = {}
    for path in files if wanted else ():
        met: set[bytes] = set()
        with path.open("rb") as file:
            tail = b""
            while block := file.read(_BLOCK):
                both = tail + block
                met.update(term for term in wanted if term in both)
                tail = both[-overlap:] if overlap else b""
        if met:
            hits[str(path)] = len(met)
    return hits


def unpublished_contents(folder: Path, ids: Collection[str], by: str = "record_id") -> Traces:
    """What the shards of runs that ended early hold of these records.

    Args:
        folder: the staging folder of a version.
        ids: the records.
        by: as for `traces`; a shard has the ids of rows alone.
    """
    import polars as pl

    record = pl.col("record_id")
    if by == PARTS.parent:
        record = record.str.replace(r"#\d+$", "")
    found = Traces()
    for shard in sorted(folder.rglob("shard-*.parquet")):
        try:
            shards = pl.read_parquet(shard, memory_map=False)
        except pl.exceptions.ComputeError:
            continue  # it was cut short by a kill, and goes with its folder in any case
        rows = shards.filter(record.is_in(list(ids)))
        found.older += len(rows)
        found.hashes.update(rows["content_hash"].to_list())
        if rows.schema["content"] == pl.String:
            found.values.update(filter(None, rows["content"].to_list()))
    return found


def _rows_of(
    dataset: Any,  # noqa: ANN401 - pylance ships no types
    ids: Collection[str],
    columns: list[str],
    by: str,
) -> Iterator[pa.Table]:
    """Rows with such an id, deleted ones too (their ``_rowid`` is null)."""
    for some in _chunks(ids):
        yield dataset.scanner(
            columns=columns,
            filter=f"{by} IN ({', '.join(map(literal, some))})",
            include_deleted_rows=True,
            late_materialization=False,  # Lance cannot have it together with deleted rows
            use_scalar_index=False,  # an index may not know deleted rows
            with_row_id=True,
        ).to_table()


def _chunks(ids: Iterable[str]) -> Iterator[list[str]]:
    left = iter(sorted(ids))
    while some := list(islice(left, _IDS_A_FILTER)):
        yield some


def _is_text(type_: pa.DataType) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_string(type_) or pa.types.is_large_string(type_))


def matching(
    con: duckdb.DuckDBPyConnection, feature: str, where: str, by: str = "record_id"
) -> list[str]:
    """The ids of the feature's published rows that a SQL condition holds for.

    Args:
        con: of `storage.query.connect`.
        feature: the feature.
        where: the condition, over the columns of the feature's view.
        by: the column that names the record of a row (`storage.parts.key`).

    Raises:
        QueryError: if DuckDB refuses it.
    """
    import duckdb

    from storage.query import QueryError, run

    found = run(con, f'SELECT DISTINCT {by} FROM "{feature}" WHERE ({where}\n)')
    try:
        ids = found.to_arrow_table().column(by)
    except duckdb.Error as error:
        raise QueryError(str(error)) from error
    return sorted(ids.to_pylist())
