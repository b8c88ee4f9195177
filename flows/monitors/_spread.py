"""How a set of vectors fills its space, in figures that a few outliers cannot bend."""

from __future__ import annotations

import math
from hashlib import blake2b
from typing import TYPE_CHECKING

import numpy as np

from flows.monitors import _rows

if TYPE_CHECKING:
    from numpy.typing import NDArray


def effective_rank(vectors: NDArray[np.float32]) -> float:
    """Along how many directions the rows spread: exp of the entropy of a covariance's spectrum.

    The covariance is that of spatial signs, the unit vectors from the median to each row (Visuri,
    Koivunen & Oja 2000), since in the plain one a single far row is a direction that outweighs all
    others. The effective rank is that of Roy & Vetterli 2007.

    Args:
        vectors: ``(n, dim)``, finite.

    Returns:
        From 1, all on one line, up to ``min(n, dim)``; 0 if all rows are equal.
    """
    away, distances = _from_median(vectors)
    signs = away[distances > 0] / distances[distances > 0, None]
    if not len(signs):
        return 0.0
    # the smaller of both Gram matrices has all the eigenvalues that are not zero
    gram = signs @ signs.T if len(signs) < signs.shape[1] else signs.T @ signs
    spectrum = np.linalg.eigvalsh(gram)
    shares = spectrum[spectrum > 0] / spectrum[spectrum > 0].sum()
    return math.exp(-float((shares * np.log(shares)).sum()))


def radius(vectors: NDArray[np.float32]) -> float:
    """The distance from the median within which 95 of 100 rows lie."""
    return float(np.quantile(_from_median(vectors)[1], 0.95))


def _from_median(
    vectors: NDArray[np.float32],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    rows = vectors.astype(np.float64)
    away = rows - np.median(rows, axis=0)
    return away, np.linalg.norm(away, axis=1)


def median_interval(values: NDArray[np.float64], sigmas: float) -> tuple[float, float]:
    """Where the true median lies, for any distribution: between two order statistics.

    The number of values below the median is binomial, with a standard deviation of half the root
    of n. A standard error would trust the shape of the middle, and norms often have two modes.
    """
    ordered = np.sort(values)
    half, reach = len(ordered) / 2, sigmas * math.sqrt(len(ordered)) / 2
    low = max(0, math.floor(half - reach))
    high = min(len(ordered) - 1, math.ceil(half + reach))
    return float(ordered[low]), float(ordered[high])


def repeats(vectors: NDArray[np.float32]) -> NDArray[np.intp]:
    """The rows whose vector an earlier row has too, bit by bit but for the sign of a zero."""
    seen: set[bytes] = set()
    again: list[int] = []
    for block in _rows.blocks(len(vectors)):
        for row, vector in enumerate(vectors[block] + 0.0, start=block.start):
            digest = blake2b(vector.tobytes(), digest_size=16).digest()
            if digest in seen:
                again.append(row)
            seen.add(digest)
    return np.array(again, dtype=np.intp)


def dead(
    reference: NDArray[np.float32], current: NDArray[np.float32], alpha: float
) -> NDArray[np.intp]:
    """The dimensions that stand still in the current rows, and not by chance.

    A dimension that is rarely other than zero, as a rare category's is, can stand still in a small
    sample of the same data. If k of n reference rows have the value that all m current ones have,
    then that happens to exchangeable rows with a probability of at most ``((k + m) / (n + m))^m``.

    Args:
        reference: ``(n, dim)``.
        current: ``(m, dim)``, at least a row.
        alpha: the probability of naming any dimension by chance.
    """
    n, m = len(reference), len(current)
    still = np.ones(current.shape[1], dtype=np.bool_)
    for block in _rows.blocks(m):
        still &= (current[block] == current[0]).all(axis=0)
    like = np.zeros(current.shape[1])
    for block in _rows.blocks(n):
        like += (reference[block] == current[0]).sum(axis=0)
    chance = m * np.log((like + m) / (n + m))
    return np.flatnonzero(still & (chance < math.log(alpha / max(1, len(still)))))
