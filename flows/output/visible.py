"""Records are written by anybody: what a terminal would obey is shown instead."""

from __future__ import annotations

import re

# Escape begins the sequences that colour, move and answer; U+009B does by itself. The marks of
# direction make a text read otherwise than it is: Boucher & Anderson 2021, "Trojan Source".
_HIDDEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_SURROGATE = re.compile("[\ud800-\udfff]")
_BREAKS = re.compile("[\t\n\u2028\u2029]")


def visible(text: str) -> str:
    r"""The text with control characters as ``\x1b`` and the like; lines and tabs stay."""
    return _SURROGATE.sub(_escaped, _HIDDEN.sub(_escaped, text))


def on_one_line(text: str) -> str:
    r"""`visible`, and line ends and tabs as ``\n`` and ``\t``: a cell cannot pass for two rows."""
    return _BREAKS.sub(_escaped, visible(text))


def beginning(text: str, longest: int) -> str:
    """A text on one line, whitespace as single spaces; of a long one the first so many characters.

    Where it goes on, ``…`` says so.
    """
    # A text may be a book; whitespace is seldom more than half of one.
    head = text[: 2 * longest]
    words = " ".join(head.split())
    goes_on = len(words) > longest or len(text) > len(head)
    return on_one_line(f"{words[:longest]}…" if goes_on else words)


def _escaped(match: re.Match[str]) -> str:
    return match[0].encode("unicode_escape").decode()
