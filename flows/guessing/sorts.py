"""What a file that was found is, and why one is not read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flows.guessing import kinds, reading
from flows.guessing.model import GuessError

if TYPE_CHECKING:
    from flows.guessing.kinds import Sort
    from flows.guessing.walking import Entry


def sort_of(entry: Entry) -> Sort | None:
    """What a file is; of one whose ending says nothing, by its first bytes."""
    sort = kinds.by_name(entry.inner)
    if sort is None and kinds.suffix(entry.inner).lower() not in kinds.UNREAD:
        try:
            sort = kinds.by_bytes(reading.head(entry.file, kinds.HEAD))
        except OSError as error:
            raise GuessError(
                f"{entry.inner} cannot be read: {error.strerror}; check its rights"
            ) from error
    return sort


def unread(entry: Entry) -> str:
    """Why a file is not read, and what to do; goes on from its name."""
    end = kinds.suffix(entry.inner).lower()
    if end in kinds.UNREAD:
        return f"is not read as it is: {kinds.UNREAD[end]}"
    if entry.size == 0:
        return "is empty; put records there, or name another"
    return (
        "is in no format that is read here, by its name or its first bytes; tables are CSV, TSV, "
        "JSON Lines or Parquet, databases SQLite or DuckDB, and texts, images and recordings files"
    )
