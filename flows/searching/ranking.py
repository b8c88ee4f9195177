"""The best of many candidates for each of many queries, kept while candidates go by in blocks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

_FEW = 8
"""Up to so many best are picked one after the other; more by sorting all."""


class Best:
    """The k candidates of the highest score for each query, best first.

    Of candidates of equal score those whose ids come first in the alphabet are kept, in whatever
    order and in however many blocks they were seen.

    Attributes:
        scores: ``(n, m)`` float32, m the number of candidates seen, at most k.
        ids: ``(n, m)`` str objects.
    """

    def __init__(self, queries: int, k: int) -> None:
        self._k = k
        self.scores = np.empty((queries, 0), np.float32)
        self.ids = np.empty((queries, 0), object)

    def add(self, scores: NDArray[np.float32], ids: Sequence[str]) -> None:
        """Take candidates on: ``(n, c)`` scores, and the id of each of the c."""
        order = np.argsort(np.array(ids, object), kind="stable")
        places = top(scores[:, order], self._k)
        names = np.array(ids, object)[order][places]
        found = np.take_along_axis(scores[:, order], places, axis=1)
        self._merge(np.hstack([self.scores, found]), np.hstack([self.ids, names]))

    def _merge(self, scores: NDArray[np.float32], ids: NDArray[np.object_]) -> None:
        _, ranks = np.unique(ids.astype(str), return_inverse=True)
        order = np.lexsort((ranks.reshape(ids.shape), -scores), axis=1)[:, : self._k]
        self.scores = np.take_along_axis(scores, order, axis=1)
        self.ids = np.take_along_axis(ids, order, axis=1)


def top(scores: NDArray[np.float32], k: int) -> NDArray[np.intp]:
    """The places of the k highest of each row, highest first; of equal ones the first: ``(n, k)``.

    Fewer than k where a row has fewer.
    """
    k = min(k, scores.shape[1])
    if k > _FEW:
        return np.argsort(-scores, axis=1, kind="stable")[:, :k]
    left = scores.copy()
    rows = np.arange(len(scores))
    places = np.empty((len(scores), k), np.intp)
    for nth in range(k):
        places[:, nth] = left.argmax(axis=1)
        left[rows, places[:, nth]] = -np.inf
    return places


def softmax(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    """Shares of each row that add up to 1."""
    wide = logits.astype(np.float64)
    grown = np.exp(wide - wide.max(axis=1, keepdims=True))
    shares: NDArray[np.float64] = grown / grown.sum(axis=1, keepdims=True)
    return shares
