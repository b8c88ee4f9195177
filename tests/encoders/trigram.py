"""The trigram model that neural language models are measured against.

Interpolated, with deleted interpolation (Jelinek & Mercer 1980; Chen & Goodman 1998): uniform,
unigram, bigram and trigram frequencies are mixed with weights that EM fits on held-out texts,
others for contexts that were seen often than for rare ones.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from itertools import chain
from math import log2
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

BOUNDARY = 0
_ROUNDS = 50
_FAITH = 5.0
"""Words' worth of trust in the weights of all contexts, where a bucket holds few words."""


@dataclass
class Trigram:
    """Counts of a training part, over ``size`` symbols of which 0 is the boundary of texts."""

    size: int
    counts: Counter[tuple[int, ...]] = field(default_factory=Counter)
    contexts: Counter[tuple[int, ...]] = field(default_factory=Counter)
    weights: dict[tuple[int, int], NDArray[np.float64]] = field(default_factory=dict)
    usual: NDArray[np.float64] = field(default_factory=lambda: np.full(4, 0.25))

    def count(self, texts: Iterable[Sequence[int]]) -> None:
        for *context, word in chain.from_iterable(map(grams, texts)):
            for start in range(3):
                given = tuple(context[start:])
                self.counts[(*given, word)] += 1
                self.contexts[given] += 1

    def fit_weights(self, texts: Iterable[Sequence[int]]) -> None:
        """Fit the weights of each bucket of contexts to held-out texts, by EM."""
        held = list(chain.from_iterable(map(grams, texts)))
        parts = np.array([self.parts(gram) for gram in held])
        self.usual = em(parts, self.usual, 0.0)
        buckets: dict[tuple[int, int], list[int]] = {}
        for row, gram in enumerate(held):
            buckets.setdefault(self.bucket(gram), []).append(row)
        self.weights = {b: em(parts[rows], self.usual, _FAITH) for b, rows in buckets.items()}

    def parts(self, gram: tuple[int, ...]) -> list[float]:
        """The word's share by no context, by its frequency, after one word, and after two."""
        found = [1 / self.size]
        for start in (2, 1, 0):
            seen = self.contexts[gram[start:2]]
            found.append(self.counts[gram[start:]] / seen if seen else 0.0)
        return found

    def bucket(self, gram: tuple[int, ...]) -> tuple[int, int]:
        """How often both contexts were seen, in powers of two; unseen ones by themselves."""
        two, one = self.contexts[gram[:2]], self.contexts[gram[1:2]]
        return min(8, int(log2(1 + two))), min(12, int(log2(1 + one)))

    def probability(self, gram: tuple[int, ...]) -> float:
        """How likely the third word is after the two before."""
        weights = self.weights.get(self.bucket(gram), self.usual)
        # What an unseen context would have said is said by the shorter ones in its place.
        heard = [True, True, self.contexts[gram[1:2]] > 0, self.contexts[gram[:2]] > 0]
        mixed = np.where(heard, weights, 0)
        return float(np.dot(mixed, self.parts(gram)) / mixed.sum())

    def perplexity(self, texts: Iterable[Sequence[int]]) -> float:
        """Over every word of the texts and their ends."""
        all_grams = chain.from_iterable(map(grams, texts))
        return float(np.exp(-np.mean(np.log([self.probability(gram) for gram in all_grams]))))


def grams(text: Sequence[int]) -> list[tuple[int, ...]]:
    """Each word of a text, and its end, after the two before it."""
    run = [BOUNDARY, BOUNDARY, *text, BOUNDARY]
    return [tuple(run[at : at + 3]) for at in range(len(run) - 2)]


def em(parts: NDArray[np.float64], start: NDArray[np.float64], faith: float) -> NDArray[np.float64]:
    """Weights ``(4,)``, sum 1, under which what happened, ``(n, 4)`` by its parts, is likely."""
    weights = start
    for _ in range(_ROUNDS):
        shares = parts * weights
        shares /= shares.sum(axis=1, keepdims=True)
        weights = (shares.sum(axis=0) + faith * start) / (len(parts) + faith)
    return weights
