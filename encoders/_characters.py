"""Texts as ELMo reads them: tokens with their punctuation, and each as a row of bytes.

The numbers are those of the published models (github.com/allenai/bilm-tf): a byte is itself, and
five marks follow. Reading bytes, no word is unknown.
"""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

REVISION = 1
"""Raised whenever a text would fall into other tokens or bytes than before; part of recipes."""

SYMBOLS = 261
"""How many rows the table of characters has: 256 bytes and the marks below."""
BEGIN_TEXT, END_TEXT, BEGIN_WORD, END_WORD, PADDING = range(256, SYMBOLS)
_MARKS = 2
"""A word stands between its two marks."""

# In this order: abbreviations (U.S.), English clitics apart from their words (do n't, dog 's) as
# in the Penn Treebank, words and numbers with what joins them, then any other mark by itself.
_TOKEN = re.compile(
    r"(?:[^\W\d_]\.){2,}"
    r"|[^\W_]+(?=n['\u2019]t\b)|n['\u2019]t\b"
    r"|['\u2019](?:s|re|ve|ll|d|m)\b"
    r"|[^\W_]+(?:[&.,/-][^\W_]+)*"
    r"|[^\w\s]|_",
    re.IGNORECASE,
)


def tokens(text: str) -> list[str]:
    """The tokens of a text in order, case and punctuation kept; the text is brought to NFC."""
    return _TOKEN.findall(unicodedata.normalize("NFC", text))


def spelled(words: Sequence[str | int], width: int) -> NDArray[np.int64]:
    """Words as rows of characters: ``(n, width)`` int64.

    Args:
        words: a number is a mark of its own, such as `BEGIN_TEXT`.
        width: of a row; a word longer than ``width - 2`` bytes is cut there, as in the original.
    """
    rows = np.full((len(words), width), PADDING, dtype=np.int64)
    for row, word in zip(rows, words, strict=True):
        inside = [word] if isinstance(word, int) else _bytes(word)[: width - _MARKS]
        row[0] = BEGIN_WORD
        row[1 : len(inside) + 1] = inside
        row[len(inside) + 1] = END_WORD
    return rows


def _bytes(word: str) -> list[int]:
    # A lone surrogate, which a damaged text may hold, has no bytes.
    return list(word.encode("utf-8", "replace"))


def needed(rows: NDArray[np.int64], widest: int) -> int:
    """How many columns of `spelled` words decide, for windows of up to ``widest`` characters.

    What is beyond is padding, and one window of padding alone says all of it.
    """
    longest = int((rows != PADDING).sum(axis=1).max(initial=0))
    return min(int(rows.shape[1]), longest + widest)
