"""Telling a damaged vector table from a statement or a call that is wrong.

Lance, DuckDB over it, and Arrow between them each give errors of their own kinds when a file cannot
be read; that the words come from Lance is all they have in common.
"""

from __future__ import annotations

import re
from contextlib import contextmanager
from typing import TYPE_CHECKING

from storage.model import OutageError, StorageError

if TYPE_CHECKING:
    from collections.abc import Iterator

_PLACE = re.compile(r",?\s*/\S+\.rs:\d+(:\d+)?")
"""Where in its own source Lance was, which its errors end with."""
_LANCE = re.compile(r"LanceError|lance error|\.lance/|/lance-io", re.IGNORECASE)

ADVICE = (
    "restore the vectors and the catalog from one backup, or make the version anew: `vecmill run "
    "--refit`, or any other change to the encoder, starts a fresh one. `vecmill doctor` says which "
    "tables are damaged"
)


def plain(words: str) -> str:
    """Words of Lance's without their place in its source, which helps nobody who reads them."""
    return _PLACE.sub("", words).rstrip(": ")


def told(error: Exception, table: str | None = None) -> StorageError | None:
    """The error as one that says what helps, None if it does not come from a file of Lance's.

    Args:
        error: whatever was raised.
        table: what was being read, where that is known.
    """
    words = str(error)
    if isinstance(error, StorageError) or not _LANCE.search(words):
        return None
    what = "a vector table" if table is None else f"the table {table!r}"
    # Arrow adds the traceback of what was raised in a reader of ours.
    line = next(line.strip() for line in words.splitlines() if _LANCE.search(line))
    first = plain(line.partition(". Detail: Python exception")[0])
    if "not found" in words.lower():
        return StorageError(
            f"{what} misses a file: {first}. If `vecmill gc` or `vecmill erase` removed a state "
            f"that a session was reading, begin a new session; else {ADVICE}"
        )
    return StorageError(f"{what} cannot be read: {first}; {ADVICE}")


def misses_a_file(error: Exception) -> bool:
    """Whether an error of Lance's says that a data file is not there."""
    damage = error if isinstance(error, StorageError) else told(error)
    return damage is not None and "not found" in str(damage).lower()


@contextmanager
def reading(table: str | None = None) -> Iterator[None]:
    """Have errors of Lance's in the block raised as `StorageError`; others pass as they are."""
    try:
        yield
    except OutageError:
        raise
    except Exception as error:
        damage = told(error, table)
        if damage is None:
            raise
        raise damage from error
