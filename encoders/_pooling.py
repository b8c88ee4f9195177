"""The word vectors of a text to one vector, for every encoder that looks words up in a table.

``mean`` is the plain mean. ``sif`` is that of Arora, Liang & Ma 2017, "A simple but tough-to-beat
baseline for sentence embeddings": a word weighs ``a / (a + p)`` with its frequency ``p``, and what
all texts have in common, their first singular direction, is taken out. Both the frequencies and
the direction are learned from a sample, never from the batch, so that a row depends on its own
text alone.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias

import numpy as np

from encoders.base import EncoderError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    Ids: TypeAlias = NDArray[np.intp]
    Floats: TypeAlias = NDArray[np.float32]

Method: TypeAlias = Literal["mean", "sif"]
METHODS: tuple[Method, ...] = ("mean", "sif")
REVISION = 1
"""Raised whenever equal words would give another vector than before; part of recipes."""

_ROUNDING = 1e-6
_BLOCK = 1024
"""Texts pooled at a time while learning."""


class Lookup(Protocol):
    """Finds the words of a text in a table."""

    def __call__(self, text: str) -> tuple[Ids, Floats]:
        """The rows ``(k,)`` and vectors ``(k, dim)`` of its words in order, unknown ones left out.

        A word that has a vector but no row, since it is made up of subwords, has row -1.
        """
        ...


@dataclass(frozen=True)
class Sif:
    """What SIF learned from a sample.

    Attributes:
        rows: ``(k,)`` int64, the rows of the table whose words the sample has, ascending.
        counts: ``(k,)`` int64, how often it has each.
        a: the smoothing; words much more frequent than this weigh little.
        common: ``(dim,)`` float32 of norm 1, the direction that is taken out.
    """

    rows: NDArray[np.int64]
    counts: NDArray[np.int64]
    a: float
    common: Floats

    @classmethod
    def learn(cls, texts: Sequence[str], look: Lookup, a: float) -> Sif:
        """Count the words of a sample, and find the direction that its texts share.

        Raises:
            EncoderError: if no text has a known word, so that there is nothing to learn from.
        """
        found: Counter[int] = Counter()
        for text in texts:
            found.update(look(text)[0].tolist())
        if not found:
            raise EncoderError(
                f"none of the {len(texts)} texts of the sample has a word of the table; expected "
                "texts in the language of the word vectors"
            )
        known = np.array(sorted(row for row in found if row >= 0), np.int64)
        counts = np.array([found[row] for row in known.tolist()], np.int64)
        plain = cls(known, counts, a, np.zeros(1, np.float32))
        weights = plain.weights(max(found) + 1)
        # the first right singular vector, by the small (dim, dim) matrix
        common = np.linalg.eigh(_squares(texts, look, weights))[1][:, -1]
        return cls(plain.rows, plain.counts, a, common.astype(np.float32))

    def weights(self, size: int) -> NDArray[np.float64]:
        """The weights ``(size + 1,)`` of the rows of a table; the last is that of row -1.

        A word that the sample does not have is as rare as can be: it weighs 1.
        """
        weights = np.ones(size + 1)
        share = self.counts / max(1, self.counts.sum())
        weights[self.rows] = self.a / (self.a + share)
        return weights

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """For a state; `restored` reads them again."""
        return {"sif_rows": self.rows, "sif_counts": self.counts, "sif_common": self.common}

    @classmethod
    def restored(cls, arrays: Mapping[str, NDArray[np.generic]], a: float, dim: int) -> Sif:
        """What `arrays` gave.

        Raises:
            EncoderError: if they are not there, or not of this width.
        """
        names = ("sif_rows", "sif_counts", "sif_common")
        shapes = {name: arrays[name].shape for name in names if name in arrays}
        if len(shapes) < len(names) or shapes["sif_common"] != (dim,):
            raise EncoderError(
                f"the state has {shapes or 'nothing'} of SIF pooling, expected {', '.join(names)}, "
                f"the last of shape ({dim},): fit again"
            )
        rows, counts, common = (arrays[name] for name in names)
        return cls(rows.astype(np.int64), counts.astype(np.int64), a, common.astype(np.float32))


@dataclass(frozen=True)
class Pool:
    """Texts to vectors; made once for a table, it keeps nothing between calls.

    Attributes:
        dim: the width of the table.
        look: finds the words of a text in it.
        weights: ``(rows + 1,)`` from `Sif.weights`; None for the plain mean.
        common: ``(dim,)``, taken out of every vector; None for the plain mean.
        normalize: whether vectors get L2 norm 1.
    """

    dim: int
    look: Lookup
    weights: NDArray[np.float64] | None = None
    common: Floats | None = None
    normalize: bool = True

    @classmethod
    def of(cls, rows: int, dim: int, look: Lookup, sif: Sif | None, *, normalize: bool) -> Pool:
        """For a table ``(rows, dim)``; the plain mean where there is no SIF."""
        if sif is None:
            return cls(dim, look, normalize=normalize)
        return cls(dim, look, sif.weights(rows), sif.common, normalize)

    def encode(self, texts: Sequence[str]) -> Floats:
        """``(n, dim)`` float32; zeros for a text without a known word."""
        out = np.zeros((len(texts), self.dim), np.float32)
        for row, text in zip(out, texts, strict=True):
            ids, vectors = self.look(text)
            row[:] = self._pooled(ids, vectors)
        return out

    def _pooled(self, ids: Ids, vectors: Floats) -> NDArray[np.float64]:
        pooled = _mean(vectors, None if self.weights is None else _of(self.weights, ids))
        if self.common is not None:
            common, whole = self.common.astype(np.float64), np.linalg.norm(pooled)
            pooled -= common * (common @ pooled)
            if np.linalg.norm(pooled) <= _ROUNDING * whole:
                return np.zeros(self.dim)  # of norm 1, rounding would pass for a meaning
        if not self.normalize:
            return pooled
        norm = np.linalg.norm(pooled)
        return pooled / norm if norm > 0 else pooled


def _of(weights: NDArray[np.float64], ids: Ids) -> NDArray[np.float64]:
    """The weights of these rows; -1, which has none of its own, has the last."""
    return weights[ids]


def _squares(
    texts: Sequence[str], look: Lookup, weights: NDArray[np.float64]
) -> NDArray[np.float64]:
    """``X.T @ X``, ``(dim, dim)``, of the weighted means ``X`` of texts, a block at a time.

    Words are looked up anew: the vectors of all words of a sample would be gigabytes.
    """
    total = np.zeros((1, 1))
    for start in range(0, len(texts), _BLOCK):
        found = map(look, texts[start : start + _BLOCK])
        pooled = np.stack([_mean(vectors, _of(weights, ids)) for ids, vectors in found])
        total = total + pooled.T @ pooled
    return total


def _mean(vectors: Floats, weights: NDArray[np.float64] | None) -> NDArray[np.float64]:
    """The mean over a text's words; SIF too divides by their number, not by their weights."""
    if len(vectors) == 0:
        return np.zeros(vectors.shape[1])
    if weights is None:
        mean: NDArray[np.float64] = vectors.mean(axis=0, dtype=np.float64)
        return mean
    return weights @ vectors.astype(np.float64) / len(vectors)
