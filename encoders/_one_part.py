"""What encoders over one feature do alike: the part that they are over, and its vectors."""

from __future__ import annotations

from typing import TYPE_CHECKING

from encoders.base import EncoderUsageError
from encoders.vectors import check_parts, matrix

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    import polars as pl
    from numpy.typing import NDArray

    from encoders.vectors import Part


def one_part(kind: str, parts: Sequence[Part]) -> Part:
    """The one part of an encoder over one feature.

    Raises:
        EncoderUsageError: if there is none, or there are several.
    """
    check_parts(kind, parts)
    if len(parts) > 1:
        raise EncoderUsageError(
            f"an encoder of kind {kind!r} is over one feature, and was told of {len(parts)}: "
            f"{', '.join(part.feature for part in parts)}. Fuse them in a feature of their own "
            "(kind 'fuse'), and let this one be over that"
        )
    return parts[0]


def vectors_of(batch: pl.DataFrame, part: Part) -> NDArray[np.float64]:
    """The vectors of a part ``(n, dim)``, as they count: of norm 1 where its metric is cosine.

    Zero where a record has none there.
    """
    values, _ = matrix(batch, part)
    return unit(values) if part.metric == "cosine" else values


def unit(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rows of norm 1; zero stays zero."""
    import numpy as np

    norms = np.sqrt((values * values).sum(axis=1))
    return values / np.where(norms > 0, norms, 1.0)[:, None]
