"""The vectors: one Lance table a version, read only at the Lance version that a manifest names.

A table is changed by at most one process at a time (`storage.locks`). Its head may run ahead of
what is published: a crash between commit and publish leaves it so. Readers do not notice, since
they pin the published version, and the next commit begins by restoring it.
"""

from __future__ import annotations

import re
from contextlib import contextmanager
from itertools import islice
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from storage.model import OutageError, StorageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import pyarrow as pa
    import pyarrow.dataset
    from numpy.typing import NDArray

SYSTEM_COLUMNS = ("record_id", "vector", "content_hash", "event_time", "encoded_at", "run_id")
"""The columns that every table has, in order, before the kept ones."""

_OUTAGE = (
    "connection refused", "dns error", "error sending request", "failed to connect",
    "retryerror", "service unavailable", "slow down", "timed out",
)  # fmt: skip
_IDS_A_DELETE = 5_000


class Vectors:
    """The vector tables under a folder or object-store URI."""

    def __init__(self, uri: str) -> None:
        self._uri = uri

    def dataset(self, table: str, lance_version: int) -> pyarrow.dataset.Dataset:
        """A table at one Lance version, as an Arrow dataset that takes column and row filters.

        Raises:
            StorageError: if the table or the version is not there.
        """
        return cast("pyarrow.dataset.Dataset", self._at(table, lance_version).to_lance())

    def rows(self, table: str, lance_version: int) -> int:
        """The number of rows of a table at one Lance version."""
        return cast("int", self._at(table, lance_version).count_rows())

    def commit(
        self, table: str, base: int | None, upserts: pa.RecordBatchReader, deletes: Iterable[str]
    ) -> int:
        """Apply upserts and deletions by record id to the published state of a table.

        Whatever stands above ``base`` was never published and is dropped first, so that a commit
        after an ambiguous failure gives what an undisturbed one would have given.

        Args:
            table: the table's name.
            base: the published Lance version, None where nothing is published yet.
            upserts: rows with `SYSTEM_COLUMNS` and the kept columns, one a record id.
            deletes: the record ids to remove.

        Returns:
            The Lance version to publish.
        """
        if base is None:
            return self.rewrite(table, upserts)
        with self._reaching():
            return self._change(table, base, upserts, deletes)

    def _change(
        self, table: str, base: int, upserts: pa.RecordBatchReader, deletes: Iterable[str]
    ) -> int:
        opened = self._open(table)
        if opened.version != base:
            opened.checkout(base)
            opened.restore()
        ids = iter(deletes)
        while some := list(islice(ids, _IDS_A_DELETE)):
            opened.delete(f"record_id IN ({', '.join(map(_literal, some))})")
        merge = opened.merge_insert("record_id")
        merge.when_matched_update_all().when_not_matched_insert_all().execute(upserts)
        return cast("int", opened.version)

    def rewrite(self, table: str, rows: pa.RecordBatchReader) -> int:
        """Replace all rows of a table, its columns too, as one new Lance version of it.

        Returns:
            The Lance version to publish.
        """
        with self._reaching():
            db = self._db()
            try:
                db.open_table(table)
                mode = "overwrite"
            except ValueError as error:
                if "not found" not in str(error):
                    raise
                # Lance warns on standard error when told to overwrite what is not there.
                mode = "create"
            return cast("int", db.create_table(table, data=rows, mode=mode).version)

    def nearest(
        self, table: str, lance_version: int, vector: NDArray[Any], k: int, metric: str
    ) -> pa.Table:
        """The k rows nearest to a vector, nearest first, exactly.

        Returns:
            The table's columns but the vector, and ``distance`` (cosine: 1 - cosine similarity;
            l2: squared Euclidean; dot: 1 - inner product, as LanceDB defines them).
        """
        opened = self._at(table, lance_version)
        query = opened.search(vector, vector_column_name="vector").distance_type(metric)
        found = query.bypass_vector_index().limit(k).to_arrow()
        found = found.drop_columns("vector")
        # A kept column of that name gives way, numbered as SQL numbers a second one.
        names = {"_distance": "distance", "distance": "distance_1"}
        return found.rename_columns([names.get(c, c) for c in found.schema.names])

    def vector(self, table: str, lance_version: int, record_id: str) -> NDArray[np.float32] | None:
        """The vector of one record, ``(dim,)`` float32; None where there is no such record."""
        dataset = self._at(table, lance_version).to_lance()
        rows = dataset.to_table(columns=["vector"], filter=f"record_id = {_literal(record_id)}")
        return np.asarray(rows["vector"][0].as_py(), np.float32) if len(rows) else None

    def sample(
        self,
        table: str,
        lance_version: int,
        size: int,
        rng: np.random.Generator,
        run_id: str | None = None,
    ) -> pa.Table:
        """An even sample without replacement of record_id, content_hash and vector.

        Args:
            table: the table's name.
            lance_version: the state to read.
            size: how many rows at most.
            rng: all chance comes from here.
            run_id: only rows that this run wrote, None for all.
        """
        import pyarrow as pa

        dataset = self._at(table, lance_version).to_lance()
        where = None if run_id is None else f"run_id = {_literal(run_id)}"
        total = dataset.count_rows(filter=where)
        chosen = np.sort(rng.choice(total, min(size, total), replace=False))
        columns = ["record_id", "content_hash", "vector"]
        picked, seen = [], 0
        for batch in dataset.to_batches(columns=columns, filter=where):
            inside = chosen[(chosen >= seen) & (chosen < seen + len(batch))] - seen
            picked.append(batch.take(pa.array(inside)))
            seen += len(batch)
        schema = pa.schema([dataset.schema.field(name) for name in columns])
        return pa.Table.from_batches(picked, schema=schema)

    def _db(self) -> Any:  # noqa: ANN401 - lancedb ships no types
        import lancedb

        return lancedb.connect(self._uri)

    def _open(self, table: str) -> Any:  # noqa: ANN401 - as above
        try:
            with self._reaching():
                return self._db().open_table(table)
        except (ValueError, OSError, RuntimeError) as error:
            raise StorageError(
                f"the table {table!r} cannot be opened in {self._shown}: {error}; the catalog and "
                "the vectors belong together, so restore both from one backup"
            ) from error

    def _at(self, table: str, lance_version: int) -> Any:  # noqa: ANN401 - as above
        opened = self._open(table)
        try:
            with self._reaching():
                opened.checkout(lance_version)
        except (ValueError, OSError, RuntimeError) as error:
            raise StorageError(
                f"{table!r} has no Lance version {lance_version} in {self._shown}: {error}"
            ) from error
        return opened

    @contextmanager
    def _reaching(self) -> Iterator[None]:
        """Tell an object store that does not answer from one that answers no.

        Lance gives plain errors for both, so the words of the message have to do.
        """
        try:
            yield
        except (ValueError, OSError, RuntimeError) as error:
            if "://" not in self._uri or not any(w in str(error).lower() for w in _OUTAGE):
                raise
            raise OutageError(
                f"{self._shown} cannot be reached just now: {error}; check the network and the "
                "store's address and credentials, and run again"
            ) from error

    @property
    def _shown(self) -> str:
        """The URI as it may be shown: without a name and password in it."""
        return re.sub(r"//[^/@]*@", "//", self._uri)


def _literal(text: str) -> str:
    """A SQL string literal; ids come from records, so quotes in them must not end it."""
    return "'" + text.replace("'", "''") + "'"
