"""Vectors as a map-style PyTorch dataset (`VectorDataset`), and what hands it their rows.

The class is a subclass of torch's, and torch is loaded when it is first asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from encoders._dataset import VectorDataset

__all__ = ["Rows", "VectorDataset"]


class Rows(Protocol):
    """Gives rows by their numbers. Can be pickled, and opens what it needs where it is asked."""

    def __len__(self) -> int:
        """How many rows there are."""
        ...

    def fetch(self, numbers: Sequence[int]) -> tuple[NDArray[np.float32], NDArray[np.int64] | None]:
        """Vectors ``(n, dim)`` in the order asked for, and classes ``(n,)`` where there are any."""
        ...


def __getattr__(name: str) -> Any:  # noqa: ANN401 - a class
    if name == "VectorDataset":
        from encoders import _dataset

        return _dataset.VectorDataset
    raise AttributeError(f"encoders.dataset has no {name!r}; it has {', '.join(__all__)}")
