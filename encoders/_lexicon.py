"""The words that a language model knows, by number, and texts as such numbers."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from encoders.base import EncoderError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

BOUNDARY = 0
"""The number of what stands before the first word of a text, and after its last."""
UNKNOWN = 1
"""The number of every word that is not in the lexicon."""
_FIRST_WORD = 2


@dataclass(frozen=True)
class Lexicon:
    """Words from number 2 on, most frequent first; equally frequent ones by the alphabet.

    Attributes:
        words: those that are known.
        counts: how often each symbol stood in the texts it was learned from: the boundary (once a
            text), all unknown words together, then each word.
    """

    words: tuple[str, ...]
    counts: tuple[int, ...]

    @classmethod
    def of(cls, texts: Iterable[Sequence[str]], *, min_count: int, most: int) -> Lexicon:
        """The most frequent words of some texts, each at least ``min_count`` times there."""
        seen: Counter[str] = Counter()
        ends = 0
        for text in texts:
            seen.update(text)
            ends += 1
        ranked = sorted(seen.items(), key=lambda item: (-item[1], item[0]))
        known = [(word, count) for word, count in ranked[:most] if count >= min_count]
        unknown = seen.total() - sum(count for _, count in known)
        return cls(
            tuple(word for word, _ in known),
            (ends, unknown, *(count for _, count in known)),
        )

    @property
    def size(self) -> int:
        """How many symbols there are, words and the two others."""
        return len(self.words) + _FIRST_WORD

    @cached_property
    def numbers(self) -> dict[str, int]:
        """The number of each word."""
        return {word: number for number, word in enumerate(self.words, _FIRST_WORD)}

    def encode(self, text: Sequence[str]) -> NDArray[np.int64]:
        """The numbers of a text's words: ``(words,)`` int64, without its boundaries."""
        numbers = self.numbers
        return np.array([numbers.get(word, UNKNOWN) for word in text], dtype=np.int64)

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """For a state; `restored` reads them again."""
        spelt = np.frombuffer("\n".join(self.words).encode("utf-8", "surrogatepass"), np.uint8)
        return {"words": spelt.copy(), "counts": np.array(self.counts, np.int64)}

    @classmethod
    def restored(cls, arrays: Mapping[str, NDArray[np.generic]]) -> Lexicon:
        """What `arrays` gave.

        Raises:
            EncoderError: if they are not there, or do not go together.
        """
        missing = [name for name in ("words", "counts") if name not in arrays]
        spelt = () if missing else arrays["words"].tobytes().decode("utf-8", "surrogatepass")
        words = tuple(spelt.split("\n")) if spelt else ()
        if missing or len(arrays["counts"]) != len(words) + _FIRST_WORD:
            raise EncoderError(
                f"the state has {len(words)} words, and arrays {sorted(arrays)}; expected 'words' "
                f"and 'counts', {_FIRST_WORD} more of these than words: fit again"
            )
        return cls(words, tuple(map(int, arrays["counts"].tolist())))

    def frequencies(self) -> NDArray[np.float64]:
        """How likely each symbol is by itself: ``(size,)`` float64, sum 1, none of them 0.

        What was never seen counts as seen once, so that a draw may come upon it.
        """
        counts = np.maximum(np.array(self.counts, dtype=np.float64), 1)
        likely: NDArray[np.float64] = counts / counts.sum()
        return likely


def split(records: int, share: float, rng: np.random.Generator) -> tuple[list[int], list[int]]:
    """The rows to learn from and those held out, a ``share`` of all and at least one, in order."""
    order = rng.permutation(records)
    cut = max(1, round(records * share))
    return sorted(order[cut:].tolist()), sorted(order[:cut].tolist())
