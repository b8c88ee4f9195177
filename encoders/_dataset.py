"""Vectors that lie somewhere as a map-style PyTorch dataset: fetched by the batch, never all held.

It knows nothing of where they lie: it is handed a reader, which `flows.training.dataset` makes for
a version of a feature. Importing this loads torch, so it is had through `encoders.dataset`.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

if TYPE_CHECKING:
    from collections.abc import Sequence

    from encoders.dataset import Rows

Item: TypeAlias = "torch.Tensor | tuple[torch.Tensor, torch.Tensor]"


class VectorDataset(Dataset["Item"]):
    """Vectors, and perhaps classes, by number.

    An item is a vector ``(dim,)`` float32, or where there are labels a pair of it and its class, a
    scalar int64.

    Args:
        rows: gives them.
        classes: what the numbers of classes mean; empty where there are no labels.
    """

    def __init__(self, rows: Rows, classes: Sequence[str] = ()) -> None:
        self.classes = tuple(classes)
        self._rows = rows
        self._home = os.getpid()

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, number: int) -> Item:
        """One row.

        Raises:
            IndexError: if there is no such row.
        """
        n = len(self)
        if not -n <= number < n:
            raise IndexError(f"there are {n} rows, got number {number}")
        return self.__getitems__([number % n])[0]

    def __getitems__(self, numbers: Sequence[int]) -> list[Item]:
        """Rows in one fetch, as `DataLoader` asks for a batch.

        Raises:
            RuntimeError: in a process that was forked, where what reads the table may hang.
        """
        if os.getpid() != self._home:
            raise RuntimeError(
                "the vectors' reader cannot be used in a forked process; give the DataLoader "
                'multiprocessing_context="spawn", or take VectorDataset.loader'
            )
        vectors, classes = self._rows.fetch([int(number) for number in numbers])
        found = torch.from_numpy(
            np.array(vectors, np.float32)
        )  # a copy: a tensor can be written to
        if classes is None:
            return list(found)
        return list(zip(found, torch.from_numpy(classes), strict=True))

    def loader(
        self, batch_size: int, *, shuffle: bool = False, seed: int = 0, workers: int = 0
    ) -> DataLoader[Any]:
        """A `DataLoader` over the rows; a shuffled order depends on the seed alone.

        Args:
            batch_size: rows a batch.
            shuffle: whether each epoch has another order.
            seed: of the orders.
            workers: processes that fetch ahead; they are spawned, so a script needs its
                ``if __name__ == "__main__"``.
        """
        return DataLoader(
            self,
            batch_size=batch_size,
            shuffle=shuffle,
            generator=torch.Generator().manual_seed(seed),
            num_workers=workers,
            multiprocessing_context="spawn" if workers else None,
            persistent_workers=workers > 0,
        )

    def __getstate__(self) -> dict[str, Any]:
        return {"rows": self._rows, "classes": self.classes}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(state["rows"], state["classes"])  # type: ignore[misc]
