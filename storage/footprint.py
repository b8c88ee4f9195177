"""What the vectors of a table take."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from storage.codes import bytes_of
from storage.damage import reading

if TYPE_CHECKING:
    from storage.vectors import Vectors


@dataclass(frozen=True)
class Footprint:
    """Bytes.

    Attributes:
        vector: of one vector, as its column has them.
        total: of all vectors in the data files of one state, as Lance has written them.
    """

    vector: int
    total: int


def vector_bytes(vectors: Vectors, state: tuple[str, int]) -> int:
    """What one vector of a table takes at one Lance version, as its column has it."""
    return bytes_of(vectors.state(*state).schema)


def footprint(vectors: Vectors, state: tuple[str, int]) -> Footprint:
    """What the vectors of a table take at one Lance version.

    Raises:
        StorageError: if it is not there, or cannot be read.
    """
    dataset = vectors.state(*state)
    with reading(state[0]):
        fields = dataset.lance_schema.fields()
        number = next(field.id() for field in fields if field.name() == "vector")
        found = {one.id: one.bytes_on_disk for one in dataset.stats.data_stats().fields}
    return Footprint(bytes_of(dataset.schema), int(found[number]))


def row_bytes(vectors: Vectors, state: tuple[str, int]) -> tuple[float, float] | None:
    """What a row of a table takes in its data files at one Lance version, on average.

    Returns:
        The bytes of its vector, and those of all else; None where there are no rows.

    Raises:
        StorageError: if it is not there, or cannot be read.
    """
    dataset = vectors.state(*state)
    with reading(state[0]):
        rows = dataset.count_rows()
        fields = dataset.lance_schema.fields()
        number = next(field.id() for field in fields if field.name() == "vector")
        found = {one.id: one.bytes_on_disk for one in dataset.stats.data_stats().fields}
    if not rows:
        return None
    vector = int(found.pop(number, 0))
    return vector / rows, sum(found.values()) / rows
