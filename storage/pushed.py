"""A table as SQL reads it: conditions go down to Lance, and those that it refuses are met here.

DuckDB hands on a condition such as ``vector IS NOT NULL`` and does not look again, but Lance takes
no condition by a list of fixed size and gives an error of its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.dataset

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


class Pushed(pyarrow.dataset.Dataset):  # type: ignore[misc]
    """What DuckDB asks of a dataset: its schema, and a scan of some columns of some rows.

    Attributes:
        held: the table, as `storage.vectors.Vectors.dataset` gives it.
    """

    def __init__(self, held: Any) -> None:  # noqa: ANN401 - pylance ships no types
        self.held = held

    @property
    def schema(self) -> pa.Schema:
        """The columns."""
        return self.held.schema

    def scanner(
        self,
        columns: Sequence[str] | None = None,
        filter: Any = None,  # noqa: A002, ANN401 - as Arrow has it
        **more: Any,  # noqa: ANN401 - as above
    ) -> Any:  # noqa: ANN401 - as above
        """A scan; Lance's own wherever it takes the condition."""
        try:
            return self.held.scanner(columns=columns, filter=filter, **more)
        except pa.ArrowInvalid:
            if filter is None:
                raise
        names = list(self.schema.names) if columns is None else list(columns)
        told = str(filter)
        # More columns than the condition needs do no harm; too few would.
        needed = [name for name in self.schema.names if name in told and name not in names]
        return _Met(self.held.scanner(columns=[*names, *needed], **more), filter, names)


class _Met(pyarrow.dataset.Scanner):  # type: ignore[misc]
    """A scan of all rows, of which those are given that meet a condition."""

    def __init__(self, scanner: Any, condition: Any, columns: Sequence[str]) -> None:  # noqa: ANN401 - as above
        self._scanner = scanner
        self._condition = condition
        self._columns = columns

    @property
    def projected_schema(self) -> pa.Schema:
        """The columns that are read."""
        there = self._scanner.projected_schema
        return pa.schema([there.field(name) for name in self._columns])

    def to_reader(self) -> pa.RecordBatchReader:
        """The rows, streamed."""
        return pa.RecordBatchReader.from_batches(self.projected_schema, self._batches())

    def _batches(self) -> Iterator[pa.RecordBatch]:
        for batch in self._scanner.to_reader():
            rows = pa.Table.from_batches([batch]).filter(self._condition).select(self._columns)
            yield from rows.to_batches()
