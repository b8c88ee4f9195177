"""Batches of rows out of files that are read line by line."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Generic, TypeAlias, TypeVar

from flows.sources._lines import open_lines
from flows.sources._rows import Raw
from flows.sources.base import CHUNK_ROWS, Reject

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import polars as pl

    from flows.sources._lines import Lines
    from flows.sources._where import File

BATCH_BYTES = 32 * 1024 * 1024
"""A batch is closed once its rows take this much of the file, however few they are."""

T = TypeVar("T")


@dataclass(frozen=True)
class Broken:
    """A row that could not be split into columns."""

    reason: str
    record_id: str | None = None


Parse: TypeAlias = "Callable[[Lines], Iterator[tuple[int, T | Broken]]]"
"""Yields the number of each row's first line, and the row."""


@dataclass
class _Batch(Generic[T]):
    rows: list[T] = field(default_factory=list)
    places: list[str] = field(default_factory=list)
    rejects: list[Reject] = field(default_factory=list)
    size: int = 0

    @property
    def full(self) -> bool:
        return len(self.rows) + len(self.rejects) >= CHUNK_ROWS or self.size >= BATCH_BYTES

    def add(self, place: str, row: T | Broken, size: int) -> None:
        self.size += size
        if isinstance(row, Broken):
            self.rejects.append(Reject(place, row.reason, row.record_id))
        else:
            self.rows.append(row)
            self.places.append(place)


def read(
    file: File,
    name: str,
    parse: Parse[T],
    frame: Callable[[list[T]], tuple[pl.DataFrame, frozenset[str]]],
) -> Iterator[Raw]:
    """Stream a file in batches of at most `CHUNK_ROWS` rows and about `BATCH_BYTES`.

    Args:
        file: the file, plain or gzip.
        name: what places call it.
        parse: splits lines into rows.
        frame: makes columns of rows, and names those that the file itself calls text.

    Raises:
        SourceError: if the file cannot be read.
    """
    with open_lines(file, name) as lines:
        batch = _Batch[T]()
        for number, row in parse(lines):
            batch.add(f"{name}:{number}", row, lines.size)
            if batch.full:
                yield _raw(batch, frame)
                batch = _Batch[T]()
        if batch.places or batch.rejects:
            yield _raw(batch, frame)


def _raw(batch: _Batch[T], frame: Callable[[list[T]], tuple[pl.DataFrame, frozenset[str]]]) -> Raw:
    rows, texts = frame(batch.rows)
    return Raw(rows, batch.places, batch.rejects, texts)
