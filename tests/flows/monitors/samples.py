"""Samples that the tests of the monitors share."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from flows.monitors._lying import Lying
from flows.monitors._profile import Profile, bucket
from flows.monitors.base import Sample

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray


CANARIES = 12
"""How many contents `canaries` encodes."""


def sample(vectors: ArrayLike, name: str = "r", contents: Sequence[str] | None = None) -> Sample:
    """A sample of these vectors with ids ``r0, r1, ...`` and, unless given, as many contents.

    Whatever the vectors, its canaries are those that an encoder of their width gives always.
    """
    matrix = np.asarray(vectors, dtype=np.float32)
    ids = [f"{name}{row}" for row in range(len(matrix))]
    seen = canaries(matrix.shape[1]) if matrix.ndim == 2 and len(matrix) >= CANARIES else None
    return Sample(
        matrix,
        ids,
        ids if contents is None else contents,
        records=profile(matrix) if matrix.ndim == 2 else None,
        canaries=seen,
        lying=lying() if seen is not None else None,
    )


def lying(times: int = 1) -> Lying:
    """A table that lies well, or so many times worse."""
    return Lying(1000, 3, 3 * times, 5, 4, 2 * times, 7_000_000 * times, 9 * times)


def profile(matrix: NDArray[np.float32], longer: float = 1.0) -> Profile:
    """Of made-up texts, one a row: as long as the row's first number is large, or longer."""
    sizes = 40 + 20 * np.minimum(np.abs(np.nan_to_num(matrix[:, 0])), 50)
    return Profile(
        contents=len(matrix),
        unit="characters",
        lengths=Counter(bucket(longer * size) for size in sizes.tolist()),
        languages={"en": len(matrix)},
        nulls={"label": (0, len(matrix))},
        rows=len(matrix),
    )


def canaries(dim: int) -> NDArray[np.float32]:
    """The vectors of a few contents, ``(CANARIES, dim)``."""
    rng = np.random.default_rng(dim)
    return rng.standard_normal((CANARIES, dim)).astype(np.float32)


def keeping(plain: Sample, rng: np.random.Generator) -> Sample:
    """The sample with kept columns; only the label tells something of the vectors of `lumpy`."""
    n = len(plain)
    lump = np.digitize(np.median(plain.vectors, axis=1), [-2.0, 1.5])
    columns: dict[str, Sequence[object]] = {
        "label": np.array(["Business", "Sports", "World"])[lump].tolist(),
        "size": rng.integers(1000, size=n).tolist(),
        "title": [f"{word} number {row} of them all" for row, word in
                  enumerate(rng.choice(["apples", "pears", "plums"], n).tolist())],
    }  # fmt: skip
    return replace(plain, kept=columns)


def lumpy(
    n: int, rng: np.random.Generator, dim: int = 6, *, ties: bool = False
) -> NDArray[np.float64]:
    """Draws far from Gaussian: three clusters, one heavy-tailed, one on a grid if asked."""
    centres = np.array([[0.0], [3.0], [-4.0]]) * np.ones(dim)
    kind = rng.choice(3, n, p=[0.6, 0.3, 0.1])
    noise = rng.standard_normal((n, dim))
    noise[kind == 2] = rng.standard_t(2, (int(np.sum(kind == 2)), dim))
    if ties:
        noise[kind == 1] = np.round(noise[kind == 1] / 2)
    return centres[kind] + noise
