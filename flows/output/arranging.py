"""How rows are laid out that are too wide for a terminal."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from rich.cells import cell_len

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence


GAP = "  "
NARROWEST = 32
"""Columns of a terminal in which a long text still reads well beside other cells."""
_SHORT = 32
"""What is wider has a line of its own where a row becomes a few lines."""


def alike(rows: Sequence[Mapping[str, str]], columns: Sequence[str]) -> list[str]:
    """The columns in which all rows say the same, but for the first, which is the rows' name.

    Args:
        rows: cells as they are shown, by column.
        columns: those to look at; empty cells say nothing.
    """
    if len(rows) <= 1:
        return []
    return [
        column
        for column in columns[1:]
        if rows[0][column] and all(a[column] == b[column] for a, b in pairwise(rows))
    ]


def room(rows: Sequence[Mapping[str, str]], columns: Mapping[str, str], width: int) -> bool:
    """Whether the last column can be folded beside the others, and has enough of the width.

    Args:
        rows: cells as they are shown, by column.
        columns: in order, with what stands above each.
        width: of the terminal.
    """
    *others, _ = columns
    taken = sum(
        max([cell_len(columns[column]), *(cell_len(row[column]) for row in rows)]) + len(GAP)
        for column in others
    )
    return bool(others) and width - taken >= max(NARROWEST, width // 2)


def paragraph(
    row: Mapping[str, str], rows: Sequence[Mapping[str, str]], columns: Mapping[str, str]
) -> tuple[list[str], list[str]]:
    """A row's cells with their names: those that are short, and those that need a line.

    Which they are is decided for all rows alike, so that the eye finds them in the same place.

    Args:
        row: the row; its empty cells are left out.
        rows: all of them.
        columns: in order, with what each is called.
    """
    short: list[str] = []
    long: list[str] = []
    for column, name in columns.items():
        if row[column]:
            fits = all(cell_len(other[column]) <= _SHORT for other in rows)
            (short if fits else long).append(f"{name} {row[column]}")
    return short, long


def beside(told: Sequence[str], width: int) -> Iterator[str]:
    """Short words side by side, in as many lines as they need; none is broken.

    Args:
        told: the words.
        width: of a line, in columns of a terminal.
    """
    line = ""
    for words in told:
        if line and cell_len(line) + len(GAP) + cell_len(words) > width:
            yield line
            line = ""
        line += f"{GAP if line else ''}{words}"
    if line:
        yield line
