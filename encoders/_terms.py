"""Texts as counts of terms: words, and words that stand beside each other."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from encoders._words import words

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from scipy.sparse import csr_matrix

_HELD = 2_000_000
"""Terms counted at a time at most, some 300 MB; the rarest are forgotten where there are more."""


def terms(text: str, longest: int) -> list[str]:
    """The words of a text, then its runs of 2 to ``longest`` words, joined by spaces."""
    single = words(text)
    found = list(single)
    for length in range(2, longest + 1):
        runs = zip(*(single[start:] for start in range(length)), strict=False)
        found += [" ".join(run) for run in runs]
    return found


def in_texts(texts: Iterable[str], longest: int, *, held: int = _HELD) -> Counter[str]:
    """In how many texts each term stands.

    Where there are more than ``held`` different ones, the rarest so far are forgotten, so that a
    term that comes late, and only late, may count too low (Manku and Motwani 2002).
    """
    found: Counter[str] = Counter()
    for text in texts:
        found.update(set(terms(text, longest)))
        if len(found) > held:
            found = Counter(dict(by_frequency(found)[: held // 2]))
    return found


def by_frequency(counts: Mapping[str, int]) -> list[tuple[str, int]]:
    """Terms and counts, the most frequent first, and in alphabetical order where they tie."""
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))


def count(texts: Sequence[str], index: Mapping[str, int], longest: int) -> csr_matrix:
    """How often each known term stands in each text: ``(n, len(index))`` float64, sparse.

    Args:
        texts: the texts.
        index: the column of each term.
        longest: how many words a term has at most.
    """
    import numpy as np
    from scipy.sparse import csr_matrix

    columns: list[int] = []
    ends = [0]
    for text in texts:
        columns += [index[term] for term in terms(text, longest) if term in index]
        ends.append(len(columns))
    found = csr_matrix((np.ones(len(columns)), columns, ends), (len(texts), len(index)))
    found.sum_duplicates()
    return found
