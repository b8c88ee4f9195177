"""Batches of vectors of features, for the tests of encoders that read them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from encoders.vectors import Part, column

if TYPE_CHECKING:
    from numpy.typing import NDArray

TITLES = Part("titles", 12, "cosine", "of texts")
PRICES = Part("prices", 5, "l2", "of rows")
LIKED = Part("liked", 4, "dot", "of users")


def drawn(part: Part, seed: int, n: int = 300) -> NDArray[np.float32]:
    """Vectors with directions of different strength, away from zero."""
    rng = np.random.default_rng(seed)
    strengths = np.diag(np.geomspace(3, 0.05, part.dim))
    turned = np.linalg.qr(rng.normal(size=(part.dim, part.dim)))[0]
    rows = rng.normal(size=(n, part.dim)) @ strengths @ turned + rng.normal(size=part.dim)
    found: NDArray[np.float32] = rows.astype(np.float32)
    return found


def batch_of(**values: NDArray[np.float32]) -> pl.DataFrame:
    """A batch in which every record has every part."""
    return pl.DataFrame(
        {name: column(rows, np.ones(len(rows), np.bool_)) for name, rows in values.items()}
    )


def lacking(batch: pl.DataFrame, name: str, rows: NDArray[np.bool_]) -> pl.DataFrame:
    """A batch in which some records have no vector of one part."""
    return batch.with_columns(
        pl.when(pl.Series(rows)).then(None).otherwise(pl.col(name)).alias(name)
    )
