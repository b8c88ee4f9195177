"""A version's vectors as a PyTorch `Dataset`, pinned to what a run published."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from flows.lifecycle.chosen import check_kept
from flows.lifecycle.pinned import pin, settings_of
from flows.matrices import matrix
from storage.model import UsageError
from storage.vectors import SYSTEM_COLUMNS, THUMBNAIL

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from encoders.dataset import VectorDataset
    from storage.places import Reader

_MOST_CLASSES = 10_000


@dataclass(frozen=True)
class _Rows:
    """Rows by number (`encoders.dataset.Rows`).

    Attributes:
        places: where each stands in the table, ``(n,)``.
        dim: of a vector.
        label: the column of classes, None for none.
        numbers: of each label.
    """

    reader: Reader
    places: NDArray[np.int64]
    dim: int
    label: str | None = None
    numbers: Mapping[str, int] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.places)

    def fetch(self, numbers: Sequence[int]) -> tuple[NDArray[np.float32], NDArray[np.int64] | None]:
        columns = ["vector", *([] if self.label is None else [self.label])]
        rows = self.reader.take(self.places[list(numbers)], columns)
        vectors = matrix(rows.column("vector"), self.dim)
        if self.label is None:
            return vectors, None
        told = [self.numbers[str(value)] for value in rows.column(self.label).to_pylist()]
        return vectors, np.array(told, np.int64)


def dataset(
    feature: str,
    *,
    label: str | None = None,
    version: int | None = None,
    as_of: str | None = None,
    conf: str | Path | None = None,
) -> VectorDataset:
    """The vectors of a feature, and perhaps classes, as a map-style PyTorch `Dataset`.

    It goes on to read the state that it was made for, whatever is published later, and holds no
    more of it than the places of its rows: batches are fetched as they are asked for.

    Args:
        feature: the feature.
        label: a kept column; records without a value in it are left out, and the others' classes
            are numbered in the order of their values (``classes``).
        version: the version; the live one where none is given.
        as_of: a run or a time, to read what readers saw then.
        conf: the configuration file.

    Raises:
        UsageError: if there is nothing to be read, or no such column.
    """
    from encoders.dataset import VectorDataset

    pinned = pin(settings_of(conf), feature, version, as_of)
    reader, dim = pinned.reader, pinned.version.dim
    if label is None:
        return VectorDataset(_Rows(reader, reader.places(), dim))
    kept = [name for name in reader.names() if name not in {*SYSTEM_COLUMNS, THUMBNAIL}]
    check_kept(pinned.version, kept, "label", label)
    classes = [str(value) for value in reader.different(label, _MOST_CLASSES)]
    if len(classes) > _MOST_CLASSES:
        raise UsageError(
            f"{label!r} has over {_MOST_CLASSES:,} different values, which are no classes; name a "
            "column of fewer"
        )
    numbers = {value: number for number, value in enumerate(classes)}
    rows = _Rows(reader, reader.places(but_null=label), dim, label, numbers)
    return VectorDataset(rows, classes)
