"""How a file of separated values is laid out: its separator, and whether names stand on top."""

from __future__ import annotations

import csv
import re
from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

SEPARATORS = (",", ";", "\t", "|")
_NAME = re.compile(r"[^\W\d][\w .:/()%#&'-]{0,63}(?<![.:])")
_NUMBER = re.compile(r"\s*[-+]?(\d[\d.,]*|\.\d+)([eE][-+]?\d+)?\s*%?\s*")
_MOSTLY = 0.9


def parsed(text: str, separator: str) -> list[list[str]]:
    """The rows of the head of a file; the last, which may be cut off, is left out of several."""
    rows = [row for row in csv.reader(text.splitlines(keepends=True), delimiter=separator) if row]
    return rows[:-1] if len(rows) > 1 and not text.endswith("\n") else rows


def separator(text: str) -> str:
    """What parts the fields: the one by which most rows have the same number, and the most."""

    def score(candidate: str) -> tuple[bool, int]:
        try:
            widths = Counter(map(len, parsed(text, candidate)))
        except csv.Error:
            return False, 0
        [(width, rows)] = widths.most_common(1) or [(0, 0)]
        return width > 1 and rows >= _MOSTLY * widths.total(), width

    best = max(SEPARATORS, key=score)
    return best if score(best)[0] else ","


def has_header(rows: Sequence[Sequence[str]]) -> bool:
    """Whether the first row names the columns.

    A name is no number and no sentence, stands there once, and is no value of its column.
    """
    if not rows:
        return False
    first, rest = rows[0], rows[1:]
    if any(_NUMBER.fullmatch(cell) for cell in first if cell.strip()):
        return False
    names = [cell.strip() for cell in first]
    if len(set(names)) < len(names) or not any(names):
        return False
    if any(name and not _NAME.fullmatch(name) for name in names):
        return False
    again = [place for place, name in enumerate(names)
             if any(len(row) > place and row[place].strip() == name for row in rest)]  # fmt: skip
    return not again


def numbered(width: int) -> list[str]:
    """Names for columns that have none."""
    return [f"column_{place}" for place in range(1, width + 1)]
