"""Vectors of few values a dimension, held in a table in 8 bits or 1 bit of it.

A table's column ``vector`` is then a fixed-size list of int8, or of bytes of 8 dimensions each, and
its metadata says what the codes stand for, so that a table can be read by itself. What is read
through `storage.vectors` is float32, as of any other table.
"""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pyarrow as pa
    from numpy.typing import NDArray

_KEY = b"vecmill:codes"
_TOP = 127
BYTE = 8
"""Bits of a byte, and of a code that is one."""


@dataclass(frozen=True)
class Codes:
    """How vectors are written down: a value is ``scale * (code - zero)``.

    Attributes:
        bits: a code takes; 8: whole numbers from -127 to 127; 1: -1 and 1, as bits 0 and 1.
        scale: ``(dim,)`` float64, above 0.
        zero: ``(dim,)`` float64.
    """

    bits: int
    scale: NDArray[np.float64]
    zero: NDArray[np.float64]

    @property
    def dim(self) -> int:
        """The width of the vectors."""
        return len(self.scale)

    @property
    def field(self) -> pa.Field:
        """The column of a table that holds them."""
        import pyarrow as pa

        item = pa.int8() if self.bits == BYTE else pa.uint8()
        told: dict[str, Any] = {"bits": self.bits, "dim": self.dim}
        if self.bits == BYTE:
            told |= {"scale": _text(self.scale), "zero": _text(self.zero)}
        kind = pa.list_(item, _width(self.bits, self.dim))
        return pa.field("vector", kind, metadata={_KEY: json.dumps(told)})

    def packed(self, vectors: NDArray[np.float32]) -> NDArray[Any]:
        """Vectors ``(n, dim)`` as a table holds them: ``(n, dim)`` int8, or bytes of bits."""
        if self.bits == BYTE:
            found = np.rint(vectors / self.scale + self.zero)
            return np.clip(found, -_TOP, _TOP).astype(np.int8)
        return np.packbits(vectors > 0, axis=1)

    def unpacked(self, held: NDArray[Any]) -> NDArray[np.float32]:
        """What a table holds as vectors, ``(n, dim)`` float32."""
        if self.bits == BYTE:
            return (self.scale * (held - self.zero)).astype(np.float32)
        bits = np.unpackbits(held, axis=1, count=self.dim)
        return bits.astype(np.float32) * 2 - 1

    def column(self, held: Any) -> pa.FixedSizeListArray:  # noqa: ANN401 - pyarrow ships no types
        """A column of a table as one of float32 vectors; null stays null."""
        flat = held.flatten() if held.null_count == 0 else held.values
        width = held.type.list_size
        offset = 0 if held.null_count == 0 else held.offset
        rows = flat.to_numpy(zero_copy_only=False).reshape(-1, width)[offset : offset + len(held)]
        return _listed(self.unpacked(rows), held)

    def written(self, rows: pa.RecordBatchReader) -> pa.RecordBatchReader:
        """Rows with float32 vectors as rows that a table of these codes takes."""
        import pyarrow as pa

        place = rows.schema.get_field_index("vector")
        schema = rows.schema.set(place, self.field)

        def batches() -> Iterator[pa.RecordBatch]:
            for batch in rows:
                flat = batch.column(place).flatten().to_numpy(zero_copy_only=False)
                packed = self.packed(np.asarray(flat, np.float32).reshape(-1, self.dim))
                columns = list(batch.columns)
                columns[place] = _listed(packed, None)
                yield pa.RecordBatch.from_arrays(columns, schema=schema)

        return pa.RecordBatchReader.from_batches(schema, batches())


def codes_of(schema: pa.Schema) -> Codes | None:
    """How the vectors of a table are held, None where they are float32."""
    if "vector" not in schema.names:
        return None
    told = (schema.field("vector").metadata or {}).get(_KEY)
    if told is None:
        return None
    found = json.loads(told)
    bits, dim = int(found["bits"]), int(found["dim"])
    if bits == BYTE:
        return Codes(bits, _numbers(found["scale"]), _numbers(found["zero"]))
    return Codes(bits, np.ones(dim), np.zeros(dim))


def plain(schema: pa.Schema) -> pa.Schema:
    """The columns of a table as they are read, vectors as float32."""
    import pyarrow as pa

    codes = codes_of(schema)
    if codes is None:
        return schema
    field = pa.field("vector", pa.list_(pa.float32(), codes.dim))
    return schema.set(schema.get_field_index("vector"), field)


def dim_of(schema: pa.Schema) -> int | None:
    """The width of a table's vectors, however they are held; None where they have no one width."""
    codes = codes_of(schema)
    if codes is not None:
        fits = schema.field("vector").type.list_size == _width(codes.bits, codes.dim)
        return codes.dim if fits else None
    return getattr(schema.field("vector").type, "list_size", None)


def bytes_of(schema: pa.Schema) -> int:
    """What one vector takes in a table, before whatever Lance does to make it smaller."""
    kind = schema.field("vector").type
    return int(kind.list_size * kind.value_type.bit_width // BYTE)


def _width(bits: int, dim: int) -> int:
    """How many list items hold a vector."""
    return dim if bits == BYTE else -(-dim // BYTE)


def _listed(rows: NDArray[Any], like: Any) -> Any:  # noqa: ANN401 - pyarrow ships no types
    """Rows as a fixed-size list, null where another column is."""
    import pyarrow as pa

    mask = None
    if like is not None and like.null_count:
        mask = like.is_null()
    flat = pa.array(np.ascontiguousarray(rows).reshape(-1))
    return pa.FixedSizeListArray.from_arrays(flat, rows.shape[1], mask=mask)


def _text(values: NDArray[np.float64]) -> str:
    return base64.b64encode(values.astype("<f8").tobytes()).decode()


def _numbers(text: str) -> NDArray[np.float64]:
    return np.frombuffer(base64.b64decode(text), "<f8").astype(np.float64)
