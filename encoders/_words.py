"""Texts as words, for the encoders that look words up in a table."""

from __future__ import annotations

import re
import unicodedata

REVISION = 1
"""Raised whenever a text would fall into other words than before; part of recipes."""

# Letters with their marks and digits, and what joins them inside a word: don't, AT&T, 3.5, e-mail.
_WORD = re.compile(r"[^\W_]+(?:['\u2019&.,-][^\W_]+)*")


def words(text: str, *, lowercase: bool = True) -> list[str]:
    """The words of a text in order, punctuation left out.

    The text is brought to NFC first, so that an accent counts alike however it was typed.
    """
    text = unicodedata.normalize("NFC", text)
    return _WORD.findall(text.lower() if lowercase else text)
