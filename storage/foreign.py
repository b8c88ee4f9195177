"""Databases and tables that are not ours, read and never written: for sources."""

from __future__ import annotations

import re
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from storage.damage import plain
from storage.model import OutageError, StorageError, UsageError
from storage.tables import OUTAGE

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import pyarrow as pa
    import pyarrow.compute as pc


class DuckDB:
    """One DuckDB file, opened afresh for each question so that its writer is kept out no longer."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def schema(self, sql: str) -> tuple[pa.Schema, dict[str, str]]:
        """The Arrow schema of a query's rows, and the type of each column as SQL calls it.

        Raises:
            UsageError: if it is no single SELECT, or DuckDB refuses it.
            StorageError: if the file cannot be read.
            OutageError: if another process holds the file.
        """
        with self._asking() as con:
            _check_select(sql)
            relation = con.sql(f"SELECT * FROM (\n{sql}\n) LIMIT 0")
            types = [str(type_) for type_ in relation.types]
            names = dict(zip(relation.columns, types, strict=True))
            return relation.to_arrow_table().schema, names

    def stream(self, sql: str, params: Sequence[object], rows: int) -> Iterator[pa.RecordBatch]:
        """Stream a query's rows in batches of at most this many.

        Raises:
            UsageError, StorageError, OutageError: as `schema` does.
        """
        with self._asking() as con:
            yield from con.sql(sql, params=list(params)).to_arrow_reader(rows)

    @contextmanager
    def _asking(self) -> Iterator[Any]:
        import duckdb

        if not self._path.is_file():
            raise StorageError(f"no database {self._path}; check the path")
        try:
            with duckdb.connect(str(self._path), read_only=True) as con:
                con.sql("SET TimeZone = 'UTC'")
                yield con
        except duckdb.IOException as error:
            if "lock" in str(error).lower():
                raise OutageError(f"{self._path} is being written by another process") from error
            raise StorageError(f"{self._path} cannot be read: {error}") from error
        except duckdb.Error as error:
            raise UsageError(f"DuckDB refuses the query: {error}") from error


class LanceRows:
    """One state of a Lance table in a LanceDB folder or URI."""

    def __init__(self, uri: str, table: str, ref: int | str | None) -> None:
        """Open it.

        Args:
            uri: the folder, or an address that LanceDB takes.
            table: the name of the table.
            ref: a version or tag; None is the newest now.

        Raises:
            UsageError: if there is no such table, version or tag.
            OutageError: if the object store is away.
            StorageError: if it cannot be read.
        """
        import lancedb

        self._name = table
        self._uri = uri
        # LanceDB would make the folder
        if "://" not in uri and not Path(uri).is_dir():
            raise UsageError(f"there is no folder {uri}")
        with self._asking():
            opened = lancedb.connect(uri).open_table(table)
            if ref is not None:
                opened.checkout(ref)
            self._data = opened.to_lance()

    @property
    def schema(self) -> pa.Schema:
        """The columns."""
        return self._data.schema

    def state(self) -> str:
        """What tells this state from all others, those of a table made anew under its name too."""
        with self._asking():
            made = self._data.read_transaction(self._data.version)
            return f"{self._uri} {self._name} {self._data.version} {made and made.uuid}"

    def stream(
        self, columns: Sequence[str], where: pc.Expression | None, rows: int
    ) -> Iterator[pa.RecordBatch]:
        """Stream columns of some rows, and ``_rowid``, in the order of the table."""
        with self._asking():
            yield from self._data.to_batches(
                columns=list(columns),
                filter=where,
                batch_size=rows,
                with_row_id=True,
                scan_in_order=True,
            )

    @contextmanager
    def _asking(self) -> Iterator[None]:
        shown = re.sub(r"//[^/@]*@", "//", self._uri)
        try:
            yield
        except (ValueError, OSError, RuntimeError) as error:
            text = plain(str(error).partition("\n")[0])
            if "://" in self._uri and any(words in text.lower() for words in OUTAGE):
                raise OutageError(f"{shown} cannot be reached just now: {text}") from error
            if isinstance(error, ValueError):
                raise UsageError(f"the table {self._name!r} in {shown}: {text}") from error
            raise StorageError(f"the table {self._name!r} in {shown}: {text}") from error


def _check_select(sql: str) -> None:
    import duckdb

    statements = duckdb.extract_statements(sql)
    if [str(statement.type) for statement in statements] != ["StatementType.SELECT"]:
        raise UsageError("a query must be one SELECT, got something else")
