"""How alike two encodings of the same records are: pure functions over NumPy matrices.

Rows are records, the same in both matrices; the widths may differ. Nothing here changes when all
vectors of a side are turned, or multiplied by one number, except that a dot product ranks by size.

Standard errors are those of the infinitesimal jackknife (Jaeckel 1972; Efron 1982, chapter 6):
the root of the sum, over records, of the squared derivative by the record's weight.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    Matrix: TypeAlias = NDArray[Any]
    Floats: TypeAlias = NDArray[np.float64]
    Ranks: TypeAlias = NDArray[np.int64]

_CELLS = 8_000_000
"""Numbers that a block of distances holds at most: 64 MB."""


@dataclass(frozen=True)
class Estimate:
    """A measure on a sample.

    Attributes:
        value: from 0 to 1.
        standard_error: by how much another sample of the size would typically differ.
        by_chance: what the same vectors give when it is chance which belong together.
    """

    value: float
    standard_error: float
    by_chance: float


def neighbours(vectors: Matrix, metric: str, depth: int) -> Ranks:
    """The rows nearest to each row, nearest first, itself left out: ``(n, depth)``.

    Exact, block by block. Of rows equally near the one that stands first comes first.

    Args:
        vectors: ``(n, d)``.
        metric: ``cosine``, ``l2`` or ``dot`` (the largest product is the nearest).
        depth: how many, at most n - 1.

    Raises:
        ValueError: if the metric is another, or there are too few rows.
    """
    n = len(vectors)
    if not 0 < depth < n:
        raise ValueError(f"depth must be 1 to {n - 1} for {n} rows, got {depth}")
    rows = np.asarray(vectors, np.float64)
    if metric == "cosine":
        norms = np.linalg.norm(rows, axis=1, keepdims=True)
        rows = rows / np.where(norms > 0, norms, 1.0)
    elif metric not in {"l2", "dot"}:
        raise ValueError(f"metric must be cosine, l2 or dot, got {metric!r}")
    squares = np.einsum("ij,ij->i", rows, rows) if metric == "l2" else np.zeros(n)
    ranks = np.empty((n, depth), np.int64)
    for start, stop in _blocks(n, n):
        # The row's own square would shift all of its distances alike.
        far = squares - (2 if metric == "l2" else 1) * (rows[start:stop] @ rows.T)
        far[np.arange(stop - start), np.arange(start, stop)] = np.inf
        ranks[start:stop] = np.argsort(far, axis=1, kind="stable")[:, :depth]
    return ranks


def overlap(first: Ranks, second: Ranks, k: int) -> Floats:
    """The share of its k nearest neighbours that each row has in both, ``(n,)``."""
    return _common(first, second, k)[:, -1] / k


def rank_biased_overlap(first: Ranks, second: Ranks, persistence: float) -> Floats:
    """How alike each row's two lists of neighbours are, ``(n,)``: 1 the same, 0 nothing shared.

    RBO, extrapolated from the depth of the lists (Webber, Moffat and Zobel 2010, equation 32).
    Places near the top weigh more: a reader is taken to go on to the next with probability
    ``persistence``.
    """
    depth = first.shape[1]
    depths = np.arange(1, depth + 1)
    agreement = _common(first, second, depth) / depths
    weights = persistence**depths
    total = (1 - persistence) / persistence * (agreement @ weights)
    biased: Floats = total + agreement[:, -1] * weights[-1]
    return biased


def rbo_by_chance(n: int, depth: int, persistence: float) -> float:
    """The expected rank-biased overlap of two orders of n - 1 rows that have nothing in common."""
    depths = np.arange(1, depth + 1)
    weights = persistence**depths
    agreement = depths / (n - 1)
    total = (1 - persistence) / persistence * float(agreement @ weights)
    return total + float(agreement[-1] * weights[-1])


def cka(first: Matrix, second: Matrix) -> Estimate | None:
    """Linear centred kernel alignment: 1 is the same up to rotation and scale.

    Kornblith et al. 2019, equation 5 by features. Its ``by_chance`` is exact: the mean over all
    ways to pair the rows. It is well above 0 where the width is not far below the number of rows.

    Returns:
        None where the vectors of a side do not vary.
    """
    x, y = _centred(first), _centred(second)
    xx, yy, xy = x.T @ x, y.T @ y, x.T @ y
    size_x, size_y = float(np.linalg.norm(xx)), float(np.linalg.norm(yy))
    if size_x == 0 or size_y == 0:
        return None
    value = float(np.linalg.norm(xy)) ** 2 / (size_x * size_y)
    by_row = 2 * _forms(x, xy, y) - value * (
        _forms(x, xx, x) * size_y / size_x + _forms(y, yy, y) * size_x / size_y
    )
    error = float(np.linalg.norm(by_row)) / (size_x * size_y)
    chance = float(np.trace(xx) * np.trace(yy)) / ((len(x) - 1) * size_x * size_y)
    return Estimate(_share(value), error, _share(chance))


def procrustes(first: Matrix, second: Matrix, rng: np.random.Generator) -> Estimate | None:
    """What no rotation, reflection and scale brings together: 0 the same, 1 nothing in common.

    The squared distance that is left between the centred matrices of unit Frobenius norm, the
    narrower one padded with zeros, after the best orthogonal map (Schönemann 1966) and the best
    scale: 1 minus the squared nuclear norm of their product. Its ``by_chance`` is that of one
    random pairing of the rows.

    Returns:
        None where the vectors of a side do not vary.
    """
    x, y = _centred(first), _centred(second)
    size_x, size_y = float(np.linalg.norm(x)), float(np.linalg.norm(y))
    if size_x == 0 or size_y == 0:
        return None
    x, y = x / size_x, y / size_y
    left, values, right = np.linalg.svd(x.T @ y, full_matrices=False)
    fit = float(values.sum())
    # The best map is a maximum, so that to first order it stays where it is as weights change.
    turned = np.einsum("ij,ij->i", x @ left, y @ right.T)
    by_row = turned - fit / 2 * (np.einsum("ij,ij->i", x, x) + np.einsum("ij,ij->i", y, y))
    error = 2 * fit * float(np.linalg.norm(by_row))
    shuffled = float(np.linalg.norm(x.T @ rng.permutation(y), "nuc"))
    return Estimate(_share(1 - fit**2), error, _share(1 - shuffled**2))


def _common(first: Ranks, second: Ranks, depth: int) -> Ranks:
    """How many rows the first d of both lists share, for each depth d: ``(n, depth)``."""
    n = len(first)
    counts = np.zeros((n, depth), np.int64)
    places = np.arange(depth)
    for start, stop in _blocks(n, depth * depth):
        one, two = first[start:stop, :depth], second[start:stop, :depth]
        row, i, j = np.nonzero(one[:, :, None] == two[:, None, :])
        np.add.at(counts[start:stop], (row, places[np.maximum(i, j)]), 1)
    common: Ranks = counts.cumsum(axis=1)
    return common


def _centred(vectors: Matrix) -> Floats:
    """The matrix less its mean row, and of the order of 1, so that its squares are in range."""
    wide = np.asarray(vectors, np.float64)
    centred = wide - wide.mean(axis=0)
    largest = float(np.abs(centred).max(initial=0.0))
    # What is left of equal rows is rounding.
    varies = largest > np.finfo(np.float32).eps * float(np.abs(wide).max(initial=0.0))
    scaled: Floats = centred / largest if varies else np.zeros_like(centred)
    return scaled


def _forms(left: Floats, middle: Floats, right: Floats) -> Floats:
    """The bilinear form of each row of ``left`` with the same row of ``right``."""
    forms: Floats = np.einsum("ij,ij->i", left @ middle, right)
    return forms


def _share(value: float) -> float:
    """A value that rounding may have put beside 0 or 1."""
    return float(min(max(value, 0.0), 1.0))


def _blocks(n: int, cells: int) -> Iterator[tuple[int, int]]:
    """Ranges of rows, each of so many cells that a block stays small."""
    step = max(1, _CELLS // max(cells, 1))
    for start in range(0, n, step):
        yield start, min(start + step, n)
