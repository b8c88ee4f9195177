"""A table of word vectors, and the subwords that give words a vector which are not in it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from encoders._words import words as words_of
from encoders.base import EncoderError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from numpy.typing import NDArray

    from encoders.base import Json


@dataclass(frozen=True)
class Subwords:
    """Bojanowski et al. 2017: a word is the mean of the vectors of its character n-grams.

    Attributes:
        vectors: ``(buckets, dim)`` float32; n-grams share a bucket by their hash.
        shortest: characters of an n-gram at least, the marks of a word's ends counted.
        longest: and at most.
    """

    vectors: NDArray[np.float32]
    shortest: int
    longest: int

    def compose(self, word: str) -> NDArray[np.float32] | None:
        """The vector ``(dim,)`` of a word that is not in the table; None if it has no n-gram."""
        from gensim.models.fasttext import ft_ngram_hashes

        buckets = ft_ngram_hashes(word, self.shortest, self.longest, len(self.vectors))
        if not buckets:
            return None
        mean: NDArray[np.float32] = self.vectors[buckets].mean(axis=0)
        return mean


@dataclass(frozen=True)
class Table:
    """Words and their vectors.

    Attributes:
        words: each once, the most frequent first where that is known.
        vectors: ``(v, dim)`` float32.
        subwords: for words that are not in the table.
    """

    words: Sequence[str]
    vectors: NDArray[np.float32]
    subwords: Subwords | None = None
    _rows: Mapping[str, int] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        rows = {word: row for row, word in enumerate(self.words)}
        if len(rows) != len(self.vectors):
            raise EncoderError(
                f"a table of {len(self.words)} words, {len(rows)} of them different, has "
                f"{len(self.vectors)} vectors; expected as many"
            )
        object.__setattr__(self, "_rows", rows)

    @property
    def dim(self) -> int:
        """The width of the vectors."""
        return int(self.vectors.shape[1])

    def word(self, word: str) -> NDArray[np.float32] | None:
        """The vector ``(dim,)`` of a word as it is spelt, from its subwords if need be."""
        row = self._rows.get(word)
        if row is not None:
            vector: NDArray[np.float32] = self.vectors[row]
            return vector
        return None if self.subwords is None else self.subwords.compose(word)

    def look(self, text: str, *, lowercase: bool) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
        """Find the words of a text, as `encoders._pooling.Lookup` has it."""
        found = words_of(text, lowercase=lowercase)
        if self.subwords is None:
            rows = np.array([self._rows[w] for w in found if w in self._rows], np.intp)
            return rows, self.vectors[rows]
        pairs = [(self._rows.get(word, -1), self.word(word)) for word in found]
        known = [(row, vector) for row, vector in pairs if vector is not None]
        vectors = np.array([vector for _, vector in known], np.float32).reshape(-1, self.dim)
        return np.array([row for row, _ in known], np.intp), vectors

    def arrays(self) -> dict[str, NDArray[Any]]:
        """For a state; `restored` reads them again, with `meta`. Copies."""
        spelt = np.frombuffer("\n".join(self.words).encode(), np.uint8).copy()
        arrays: dict[str, NDArray[Any]] = {"words": spelt, "vectors": self.vectors.copy()}
        return (
            arrays if self.subwords is None else arrays | {"subwords": self.subwords.vectors.copy()}
        )

    def meta(self) -> dict[str, Json]:
        """What a state must know besides."""
        if self.subwords is None:
            return {}
        return {"shortest": self.subwords.shortest, "longest": self.subwords.longest}

    @classmethod
    def restored(cls, arrays: Mapping[str, NDArray[Any]], meta: Mapping[str, Any]) -> Table:
        """What `arrays` and `meta` gave.

        Raises:
            EncoderError: if arrays are missing or do not go together.
        """
        missing = [name for name in ("words", "vectors") if name not in arrays]
        if missing:
            raise EncoderError(
                f"the state lacks {' and '.join(missing)} of a table of words, it has "
                f"{sorted(arrays)}: fit again"
            )
        spelt = arrays["words"].tobytes().decode().split("\n")
        subwords = None
        if "subwords" in arrays:
            ends = int(meta["shortest"]), int(meta["longest"])
            subwords = Subwords(arrays["subwords"].copy(), *ends)
        return cls(spelt, arrays["vectors"].copy(), subwords)
