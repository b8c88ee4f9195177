"""GloVe: word vectors whose products are the logarithms of how often words stand near each other.

Pennington, Socher & Manning 2014, "GloVe: Global Vectors for Word Representation". A pair of words
``d`` words apart counts ``1/d``; over all pairs that occur, ``w_i.c_j + b_i + e_j`` is fitted to
``log X_ij`` by least squares that weigh ``min(1, X_ij / x_max) ** 0.75``; a word's vector is the
sum of its two, ``w_i + c_i``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    Floats = NDArray[np.float32]

POWER = 0.75
"""The exponent of the weights, the paper's alpha."""


@dataclass(frozen=True)
class Cells:
    """What occurs of a co-occurrence matrix.

    Attributes:
        rows: ``(n,)`` int32, the word.
        columns: ``(n,)`` int32, the word near it.
        counts: ``(n,)`` float64, above 0.
    """

    rows: NDArray[np.int32]
    columns: NDArray[np.int32]
    counts: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.rows)

    def take(self, which: NDArray[Any]) -> Cells:
        """Some of them: a mask or places."""
        return Cells(self.rows[which], self.columns[which], self.counts[which])

    def parted(self, share: float, rng: np.random.Generator) -> tuple[Cells, Cells]:
        """Those to learn from and those held out, a pair and its mirror image on one side."""
        low, high = np.minimum(self.rows, self.columns), np.maximum(self.rows, self.columns)
        _, pair = np.unique(low.astype(np.int64) << 32 | high, return_inverse=True)
        held_out = (rng.random(int(pair.max(initial=-1)) + 1) < share)[pair]
        return self.take(~held_out), self.take(held_out)


@dataclass
class Weights:
    """The parameters: word and context vectors ``(v, dim)``, their biases ``(v,)``; float32."""

    words: Floats
    contexts: Floats
    word_biases: Floats
    context_biases: Floats

    @classmethod
    def drawn(cls, size: int, dim: int, rng: np.random.Generator) -> Weights:
        """Evenly from -0.5/dim to 0.5/dim, as the authors' program does."""
        half, width = np.float32(0.5), np.float32(dim)
        shapes = (size, dim), (size, dim), (size,), (size,)
        return cls(*((rng.random(shape, np.float32) - half) / width for shape in shapes))

    def copy(self) -> Weights:
        """One that learning does not touch."""
        return Weights(*(array.copy() for array in self.all()))

    def all(self) -> tuple[Floats, Floats, Floats, Floats]:
        """The four arrays in order."""
        return self.words, self.contexts, self.word_biases, self.context_biases


def cooccurrences(texts: Sequence[NDArray[np.int32]], size: int, window: int) -> Cells:
    """Count words near each other, on both sides, ``1/d`` at distance ``d``.

    Args:
        texts: the words of each text by number; windows do not reach from one into the next.
        size: how many words there are.
        window: the largest distance.

    Returns:
        The cells, by row and then column.
    """
    from scipy.sparse import coo_array, csr_array

    flat = np.concatenate(texts) if texts else np.empty(0, np.int32)
    text = np.repeat(np.arange(len(texts)), [len(ids) for ids in texts])
    total: Any = csr_array((size, size))
    for d in range(1, window + 1):
        near = text[d:] == text[:-d]
        pairs = flat[:-d][near], flat[d:][near]
        total += coo_array((np.full(len(pairs[0]), 1 / d), pairs), (size, size)).tocsr()
    found = (total + total.T).tocoo()
    return Cells(found.row.astype(np.int32), found.col.astype(np.int32), found.data)


def residuals(weights: Weights, cells: Cells) -> NDArray[np.float64]:
    """``w_i.c_j + b_i + e_j - log X_ij`` of each cell, ``(n,)``."""
    i, j = cells.rows, cells.columns
    product = np.einsum("nd,nd->n", weights.words[i], weights.contexts[j])
    guess = product + weights.word_biases[i] + weights.context_biases[j]
    found: NDArray[np.float64] = guess - np.log(cells.counts)
    return found


def weighting(counts: NDArray[np.float64], x_max: float) -> NDArray[np.float64]:
    """The paper's ``f``: how much a cell counts, ``(n,)`` above 0 and up to 1."""
    f: NDArray[np.float64] = np.minimum(1.0, (counts / x_max) ** POWER)
    return f


def cost(weights: Weights, cells: Cells, x_max: float, chunk: int = 1 << 16) -> float:
    """The paper's ``J``, a sum over the cells (equation 8)."""
    parts = [cells.take(np.arange(at, min(at + chunk, len(cells))))
             for at in range(0, len(cells), chunk)]  # fmt: skip
    return float(
        sum((weighting(p.counts, x_max) * residuals(weights, p) ** 2).sum() for p in parts)
    )


class AdaGrad:
    """Learns by the gradient of half the cost, each coordinate at a rate of its own.

    Duchi, Hazan & Singer 2011. The paper takes a step a cell, which Python is too slow for. Here
    the cells of a batch share one step: their gradients at the same weights are summed up word by
    word. Batches are small beside the matrix, and AdaGrad divides by the root of all squared sums
    so far, this one's among them, so no step is longer than the rate, however many of a batch's
    cells a word has. With batches of one cell this is the paper's own update.
    """

    def __init__(self, weights: Weights, x_max: float, rate: float) -> None:
        self.weights = weights
        self._x_max = x_max
        self._rate = np.float32(rate)
        self._squares = [np.ones_like(array) for array in weights.all()]  # as the authors begin

    def step(self, cells: Cells) -> None:
        """Learn from a batch of cells."""
        from scipy.sparse import csr_array

        rows, i = np.unique(cells.rows, return_inverse=True)
        columns, j = np.unique(cells.columns, return_inverse=True)
        error = weighting(cells.counts, self._x_max) * residuals(self.weights, cells)
        matrix = csr_array((error.astype(np.float32), (i, j)), (len(rows), len(columns)))
        of_words = matrix @ self.weights.contexts[columns]
        of_contexts = matrix.T @ self.weights.words[rows]
        self._move(0, rows, of_words)
        self._move(1, columns, of_contexts)
        self._move(2, rows, np.asarray(matrix.sum(axis=1)))
        self._move(3, columns, np.asarray(matrix.sum(axis=0)))

    def _move(self, which: int, at: NDArray[np.int32], gradient: Floats) -> None:
        squares = self._squares[which][at] + gradient**2
        self._squares[which][at] = squares
        self.weights.all()[which][at] -= self._rate * gradient / np.sqrt(squares)


def batches(cells: Cells, size: int, rng: np.random.Generator) -> Iterator[Cells]:
    """All cells in a random order, some at a time."""
    order = rng.permutation(len(cells))
    for at in range(0, len(order), size):
        yield cells.take(order[at : at + size])
