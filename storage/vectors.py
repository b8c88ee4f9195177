"""The vectors: one Lance table a version, read only at the Lance version that a manifest names.

A table is changed by at most one process at a time (`storage.locks`). Its head may run ahead of
what is published: a crash between commit and publish leaves it so. Readers do not notice, since
they pin the published version, and the next commit begins by restoring it.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain, islice
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from storage import currents
from storage.codes import codes_of
from storage.conditions import literal
from storage.damage import reading
from storage.guards import cast_to, finite
from storage.tables import Tables

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    import pyarrow as pa
    import pyarrow.dataset
    from numpy.typing import NDArray

    from storage.codes import Codes

SYSTEM_COLUMNS = ("record_id", "vector", "content_hash", "event_time", "encoded_at", "run_id")
"""The columns that every table has, in order, before the kept ones."""

THUMBNAIL = "thumbnail"
"""The last column of a table that keeps small copies of images, as WebP; others lack it."""

KEY = ("record_id",)
"""What tells the rows of a table apart, where it holds what records are now."""

HISTORY_KEY = ("record_id", "event_time", "content_hash")
"""What tells them apart where it holds all that records ever were."""

_IDS_ASKED = 5_000
_ROWS_A_DELETE = 50_000


@dataclass(frozen=True)
class Effort:
    """How hard a search by an index of vectors looks.

    Attributes:
        probes: cells of the index that it looks into.
        refine: candidates for each row to find, which are ordered by their whole vectors.
    """

    probes: int = 20
    refine: int = 10


class Vectors(Tables):
    """The vector tables under a folder or object-store URI."""

    def dataset(self, table: str, lance_version: int) -> pyarrow.dataset.Dataset:
        """A table at one Lance version, as an Arrow dataset that takes column and row filters.

        Its vectors are float32, however they are held (`storage.codes`).

        Raises:
            StorageError: if the table or the version is not there.
        """
        return cast("pyarrow.dataset.Dataset", self._read(table, lance_version))

    def rows(self, table: str, lance_version: int) -> int:
        """The number of rows of a table at one Lance version."""
        return cast("int", self.state(table, lance_version).count_rows())

    def commit(
        self,
        table: str,
        base: int | None,
        rows: pa.RecordBatchReader,
        gone: Iterable[int],
        codes: Codes | None = None,
    ) -> int:
        """Add rows to the published state of a table, and take rows from it.

        Whatever stands above ``base`` was never published and is dropped first, so that a commit
        after an ambiguous failure gives what an undisturbed one would have given.

        Args:
            table: the table's name.
            base: the published Lance version, None where nothing is published yet.
            rows: with `SYSTEM_COLUMNS` and the kept columns.
            gone: the places, in ``base``, of the rows that vanish or that some of ``rows`` replace.
            codes: as `rewrite` takes them; a table that is there keeps to its own.

        Returns:
            The Lance version to publish.

        Raises:
            StorageError: if a vector is not finite; nothing is published then.
        """
        if base is None:
            return self.rewrite(table, rows, codes)
        with self.reaching():
            return self._change(table, base, rows, gone)

    def _change(
        self, table: str, base: int, rows: pa.RecordBatchReader, gone: Iterable[int]
    ) -> int:
        import pyarrow as pa

        head = self.head(table)
        if head.version != base:
            head = self.state(table, base)
            head.restore()
        before, places = head.checkout_version(base), iter(gone)
        # Not as a merge by key: that holds all rows, vectors too, in memory.
        while some := list(islice(places, _ROWS_A_DELETE)):
            numbers = before.take(some, columns=["_rowid"])["_rowid"].to_pylist()
            head.delete(f"_rowid IN ({', '.join(map(str, numbers))})")
        codes = codes_of(head.schema)
        with finite(rows) as sound:
            rows = cast_to(head.schema, sound if codes is None else codes.written(sound))
            first = next((batch for batch in rows if len(batch)), None)
            if first is not None:
                some_rows = pa.RecordBatchReader.from_batches(rows.schema, chain([first], rows))
                head = self.write(some_rows, head, "append")
        return int(head.version)

    def rewrite(self, table: str, rows: pa.RecordBatchReader, codes: Codes | None = None) -> int:
        """Replace all rows of a table, its columns too, as one new Lance version of it.

        Args:
            table: the table's name.
            rows: with `SYSTEM_COLUMNS` and the kept columns, vectors as float32.
            codes: how the table is to hold the vectors, None as float32.

        Returns:
            The Lance version to publish.
        """
        with self.reaching(), finite(rows) as sound:
            rows = sound if codes is None else codes.written(sound)
            # Lance warns on standard error when told to overwrite what is not there.
            mode = "overwrite" if self.is_there(table) else "create"
            return int(self.write(rows, self.place(table), mode).version)

    def nearest(  # noqa: PLR0913 - one keyword a choice
        self,
        table: str,
        lance_version: int,
        vector: NDArray[Any],
        k: int,
        metric: str,
        *,
        history: bool = False,
        where: str | None = None,
        effort: Effort | None = None,
    ) -> pa.Table:
        """The k rows nearest to a vector, nearest first.

        Args:
            table: the table's name.
            lance_version: the state to search.
            vector: ``(dim,)``.
            k: how many rows.
            metric: ``cosine``, ``l2`` or ``dot``.
            history: whether the table keeps a history; only current rows are found then.
            where: a condition on rows (`storage.conditions`), which holds before k are chosen.
            effort: search by the index of vectors, where that state has one; None to look at every
                row. Rows that the index does not know yet are looked at in either case.

        Returns:
            The table's columns but the vector, and ``distance`` (cosine: 1 - cosine similarity;
            l2: squared Euclidean; dot: 1 - inner product, as LanceDB defines them).
        """
        dataset = self.read_again(table, lance_version)
        if codes_of(dataset.schema) is not None:
            from storage import scan

            held = decoded(dataset)
            return scan.nearest(held, table, vector, k, metric, history=history, where=where)
        query = {"column": "vector", "q": vector, "metric": metric, **_effort(effort)}

        # Not as a search of LanceDB's, which does the same: importing that takes a second.
        def ask(k: int, *, numbered: bool = False) -> pa.Table:
            return dataset.to_table(
                nearest={**query, "k": k}, filter=where, prefilter=True, with_row_id=numbered
            )

        return self.found(ask, dataset, table, k, history=history)

    def found(
        self,
        ask: currents.Ask,
        dataset: Any,  # noqa: ANN401 - lance ships no types
        table: str,
        k: int,
        *,
        history: bool,
    ) -> pa.Table:
        """What a query of a state gives, without vectors, its measure called as we call it."""
        with reading(table):
            found = currents.nearest(ask, dataset, k) if history else ask(k)
        found = found.drop_columns("vector")
        # A kept column of that name gives way, numbered as SQL numbers a second one.
        names = {"_distance": "distance", "_score": "score"}
        own = next(names[c] for c in found.schema.names if c in names)
        names[own] = f"{own}_1"
        return found.rename_columns([names.get(c, c) for c in found.schema.names])

    def vector(self, table: str, lance_version: int, record_id: str) -> NDArray[np.float32] | None:
        """The vector of one record, ``(dim,)`` float32; None where there is no such record.

        In a history that of its current row.
        """
        dataset = self._read(table, lance_version)
        columns = [name for name in SYSTEM_COLUMNS if name != "encoded_at"]
        with reading(table):
            rows = dataset.to_table(columns=columns, filter=f"record_id = {literal(record_id)}")
        if not len(rows):
            return None
        latest = int(np.flatnonzero(currents.current(rows.drop_columns("vector")))[0])
        return np.asarray(rows["vector"][latest].as_py(), np.float32)

    def thumbnail(self, table: str, lance_version: int, record_id: str) -> bytes | None:
        """The small copy of a record's image; None where there is none.

        In a history that of any of its rows.
        """
        dataset = self._read(table, lance_version)
        if not has_thumbnails(dataset.schema):
            return None
        where = f"record_id = {literal(record_id)} AND {THUMBNAIL} IS NOT NULL"
        with reading(table):
            rows = dataset.to_table(columns=[THUMBNAIL], filter=where, limit=1)
        found = rows.column(THUMBNAIL)[0].as_py() if len(rows) else None
        return found if isinstance(found, bytes) else None

    def of(
        self, table: str, lance_version: int, column: str, value: str
    ) -> list[NDArray[np.float32]]:
        """The vectors of the rows that have a value in a column of texts, ``(dim,)`` each."""
        dataset = self._read(table, lance_version)
        with reading(table):
            rows = dataset.to_table(columns=["vector"], filter=f"{column} = {literal(value)}")
        return [np.asarray(vector, np.float32) for vector in rows.column("vector").to_pylist()]

    def blocks(
        self,
        table: str,
        lance_version: int,
        columns: Sequence[str],
        size: int,
        *,
        runs: Sequence[str] | None = None,
        below: str | None = None,
        history: bool = False,
    ) -> Iterator[pa.Table]:
        """All rows of a table, some at a time, in the order in which they are stored.

        Args:
            table: the table's name.
            lance_version: the state to read.
            columns: which columns.
            size: how many rows at most are given, and in memory, at a time.
            runs: only rows that these wrote, None for all.
            below: only rows whose content hash comes before this one, None for all.
            history: whether the table keeps a history; only current rows are given then.
        """
        import pyarrow as pa

        dataset = self._read(table, lance_version)
        where = _by(runs, below)
        with reading(table):
            chosen = _eligible(dataset, runs, below, history=history) if history else None
            seen = 0
            for batch in dataset.to_batches(columns=list(columns), batch_size=size, filter=where):
                rows = pa.Table.from_batches([batch])
                if chosen is not None:
                    inside = chosen[(chosen >= seen) & (chosen < seen + len(batch))] - seen
                    rows = rows.take(pa.array(inside))
                seen += len(batch)
                if len(rows):
                    yield rows

    def holds(
        self, table: str, lance_version: int, ids: Iterable[str], by: str = "record_id"
    ) -> bool:
        """Whether a table has a row of any of these records, named by a column of it."""
        dataset = self._read(table, lance_version)
        left = iter(ids)
        while some := list(islice(left, _IDS_ASKED)):
            if dataset.count_rows(filter=f"{by} IN ({', '.join(map(literal, some))})"):
                return True
        return False

    def sample(
        self,
        table: str,
        lance_version: int,
        size: int,
        rng: np.random.Generator,
        runs: Sequence[str] | None = None,
        *,
        columns: Sequence[str] = (),
        history: bool = False,
    ) -> pa.Table:
        """An even sample without replacement of record_id, content_hash and vector.

        Args:
            table: the table's name.
            lance_version: the state to read.
            size: how many rows at most.
            rng: all chance comes from here.
            runs: only rows that these wrote, None for all.
            columns: further ones to read.
            history: whether the table keeps a history; only current rows are drawn then.
        """
        import pyarrow as pa

        dataset = self._read(table, lance_version)
        where = _by(runs)
        with reading(table):
            eligible = _eligible(dataset, runs, history=history)
        drawn = rng.choice(len(eligible), min(size, len(eligible)), replace=False)
        chosen = eligible[np.sort(drawn)]
        names = ["record_id", "content_hash", "vector", *columns]
        picked, seen = [], 0
        with reading(table):
            for batch in dataset.to_batches(columns=names, filter=where):
                inside = chosen[(chosen >= seen) & (chosen < seen + len(batch))] - seen
                picked.append(batch.take(pa.array(inside)))
                seen += len(batch)
        schema = pa.schema([dataset.schema.field(name) for name in names])
        return pa.Table.from_batches(picked, schema=schema)

    def _read(self, table: str, lance_version: int) -> Any:  # noqa: ANN401 - as above
        """A table at one Lance version, its vectors as float32."""
        return decoded(self.state(table, lance_version))


def _effort(effort: Effort | None) -> dict[str, Any]:
    """How hard Lance is to look, in its words."""
    if effort is None:
        return {"use_index": False}
    return {"nprobes": effort.probes, "refine_factor": effort.refine}


def decoded(dataset: Any) -> Any:  # noqa: ANN401 - lance ships no types
    """A Lance dataset as it is read: as it is, or with its codes as float32 vectors."""
    codes = codes_of(dataset.schema)
    if codes is None:
        return dataset
    from storage.decoded import Decoded

    return Decoded(dataset, codes)


def has_thumbnails(schema: pa.Schema) -> bool:
    """Whether a table keeps thumbnails, and not a kept column that is called so."""
    from pyarrow import types

    return THUMBNAIL in schema.names and types.is_binary(schema.field(THUMBNAIL).type)


def _by(runs: Sequence[str] | None, below: str | None = None) -> str | None:
    """The filter of the rows that some runs wrote, with a content hash before some other."""
    if runs is not None and not runs:
        return "false"
    parts = []
    if runs is not None:
        parts.append(f"run_id IN ({', '.join(map(literal, runs))})")
    if below is not None:
        parts.append(f"content_hash < {literal(below)}")
    return " AND ".join(parts) or None


def _eligible(
    dataset: Any,  # noqa: ANN401 - lance ships no types
    runs: Sequence[str] | None,
    below: str | None = None,
    *,
    history: bool,
) -> NDArray[np.int64]:
    """The places of the rows to draw from, among those that `_by` gives."""
    if not history:
        return np.arange(dataset.count_rows(filter=_by(runs, below)))
    keys = dataset.to_table(columns=["record_id", "event_time", "run_id", "content_hash"])
    latest = currents.current(keys)
    import pyarrow as pa
    import pyarrow.compute as pc

    given = np.ones(len(latest), bool)
    if runs is not None:
        given &= pc.is_in(keys.column("run_id"), pa.array(runs, pa.string())).to_numpy()
    if below is not None:
        given &= pc.less(keys.column("content_hash"), below).to_numpy()
    return np.flatnonzero(latest[given])
