"""Which record belongs to which cluster: the rows of a clustering, in their file.

Whoever reads them takes a DuckDB of their own: a file that is damaged or away is told as such.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from storage import disk
from storage.clusters import home, rows_file
from storage.model import StorageError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from pathlib import Path

    import duckdb

    from storage.catalog import Catalog
    from storage.clusters import Clustering
    from storage.model import Version


def shown(file: Path, rows: str) -> str:
    """A statement that gives record_id, cluster and distance.

    Args:
        file: of `rows_file`.
        rows: a statement that gives the version's rows: a record that is gone since or has another
            content is not shown.
    """
    return (
        f"SELECT c.record_id, c.cluster, c.distance FROM read_parquet({literal(file)}) c SEMI "
        f"JOIN ({rows}) r ON r.record_id = c.record_id AND r.content_hash = c.content_hash"
    )


def drawn(catalog: Catalog, version: Version, clustering: str) -> dict[str, tuple[str, int]]:
    """The records that the clusters were found among: content hash and cluster by id."""
    file = rows_file(home(catalog), version.table, clustering)
    sql = f"SELECT record_id, content_hash, cluster FROM read_parquet({literal(file)}) WHERE drawn"
    with session(file) as con:
        return {row[0]: (row[1], row[2]) for row in con.sql(sql).fetchall()}


def unassigned(
    catalog: Catalog, version: Version, clustering: Clustering, con: duckdb.DuckDBPyConnection
) -> int:
    """How many rows of a version belong to no cluster yet, noise not counted.

    Args:
        catalog: the catalog.
        version: the version.
        clustering: its clustering.
        con: a session (`storage.query.connect`) that shows the version.
    """
    from storage.views import current

    rows = current(version.table) if version.history else f"FROM {version.table}"
    file = rows_file(home(catalog), version.table, clustering.clustering)
    if (why := why_away(file)) is not None:
        raise StorageError(why)
    found = con.sql(
        f"SELECT count(*) FROM ({rows}) r ANTI JOIN read_parquet({literal(file)}) c "
        "ON r.record_id = c.record_id AND r.content_hash = c.content_hash"
    ).fetchall()
    return int(found[0][0])


def why_away(file: Path) -> str | None:
    """Why the file of a clustering's rows cannot be read, None where it can."""
    try:
        with session(file) as con:
            con.sql(f"SELECT count(*) FROM read_parquet({literal(file)})").fetchall()
    except StorageError as error:
        return str(error)
    return None


@contextmanager
def session(file: Path, ids: Collection[str] = ()) -> Iterator[duckdb.DuckDBPyConnection]:
    """A DuckDB of its own to read such a file in, with a table ``gone`` of ids.

    Raises:
        StorageError: if the file is damaged or away.
    """
    import duckdb
    import pyarrow as pa

    with duckdb.connect() as con:
        con.register("gone", pa.table({"record_id": pa.array(sorted(ids), pa.string())}))
        try:
            yield con
        except (duckdb.OutOfMemoryException, duckdb.InterruptException):
            raise  # which say nothing of the file
        except duckdb.Error as error:
            raise disk.told(error) or StorageError(
                f"{file}, which says which record belongs to which cluster, cannot be read: "
                f"{str(error).splitlines()[0]}; restore it from a backup, or begin anew with "
                "`vecmill cluster FEATURE --anew`"
            ) from error


def literal(file: Path) -> str:
    """A path as SQL has it."""
    return "'" + str(file).replace("'", "''") + "'"
