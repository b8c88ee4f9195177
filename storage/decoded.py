"""A table whose vectors are codes, read as one whose vectors are float32."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.dataset

from storage.codes import plain

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from storage.codes import Codes


class Decoded(pyarrow.dataset.Dataset):  # type: ignore[misc]
    """What reads a `lance.LanceDataset` here, and DuckDB, asks of one; a vector is float32.

    Codes are unpacked as batches go by, so that memory does not grow with the number of rows.

    Attributes:
        held: the dataset as it is stored.
        codes: what its vectors are held by.
    """

    def __init__(self, held: Any, codes: Codes) -> None:  # noqa: ANN401 - pylance ships no types
        self.held = held
        self.codes = codes

    @property
    def schema(self) -> pa.Schema:
        """The columns, vectors as float32."""
        return plain(self.held.schema)

    def scanner(self, *args: Any, **kwargs: Any) -> _Scanner:  # noqa: ANN401 - as Lance has them
        """As Lance's own; a filter may not be by the vector, as there."""
        return _Scanner(self.held.scanner(*args, **kwargs), self.codes)

    def to_table(self, *args: Any, **kwargs: Any) -> pa.Table:  # noqa: ANN401 - as above
        """As Lance's own."""
        return self.scanner(*args, **kwargs).to_reader().read_all()

    def to_batches(self, *args: Any, **kwargs: Any) -> Iterator[pa.RecordBatch]:  # noqa: ANN401 - as above
        """As Lance's own."""
        yield from self.scanner(*args, **kwargs).to_reader()

    def take(self, places: Sequence[int], columns: Sequence[str] | None = None) -> pa.Table:
        """As Lance's own."""
        rows = self.held.take(places, columns=columns)
        batches = [_decoded(batch, self.codes) for batch in rows.to_batches()]
        return pa.Table.from_batches(batches, schema=plain(rows.schema))

    def count_rows(self, *args: Any, **kwargs: Any) -> int:  # noqa: ANN401 - as above
        """As Lance's own."""
        return int(self.held.count_rows(*args, **kwargs))


class _Scanner(pyarrow.dataset.Scanner):  # type: ignore[misc]
    """A scan of such a table."""

    def __init__(self, held: Any, codes: Codes) -> None:  # noqa: ANN401 - pylance ships no types
        self._held = held
        self._codes = codes

    @property
    def projected_schema(self) -> pa.Schema:
        """The columns that are read."""
        return plain(self._held.projected_schema)

    def to_reader(self) -> pa.RecordBatchReader:
        """The rows, streamed."""
        rows = self._held.to_reader()
        batches = (_decoded(batch, self._codes) for batch in rows)
        return pa.RecordBatchReader.from_batches(plain(rows.schema), batches)


def _decoded(batch: pa.RecordBatch, codes: Codes) -> pa.RecordBatch:
    place = batch.schema.get_field_index("vector")
    if place < 0:
        return batch
    columns = list(batch.columns)
    columns[place] = codes.column(columns[place])
    return pa.RecordBatch.from_arrays(columns, schema=plain(batch.schema))
