"""What is being erased, kept in a file until it is done."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from storage import swaps
from storage.blotting import LEAST_ID, size
from storage.ids import new_run_id
from storage.model import StorageError

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path


@dataclass
class Journal:
    """What is being erased; its file is the one place of the store that names the ids.

    Attributes:
        erasure: its id.
        begun: when, in UTC.
        ids: the records.
        hashes: of all contents of theirs that were found.
        values: texts of theirs that no other record has.
        parts: ids of rows that are chunks of theirs.
        found: what was found where, in rows, before anything was removed.
    """

    erasure: str
    begun: str
    ids: list[str]
    hashes: list[str] = field(default_factory=list)
    values: list[str] = field(default_factory=list)
    found: dict[str, int] = field(default_factory=dict)
    parts: list[str] = field(default_factory=list)

    @property
    def terms(self) -> list[str]:
        """What to search for byte by byte: ids that are long enough, and values."""
        return [*(i for i in self.ids if size(i) >= LEAST_ID), *self.values]


def read(path: Path, ids: Collection[str]) -> Journal:
    """The journal of an erasure that was broken off, or a new one, with these records as well.

    Raises:
        StorageError: if it cannot be read.
    """
    journal = Journal(new_run_id(), datetime.now(UTC).isoformat(timespec="seconds"), [])
    if path.is_file():
        try:
            journal = Journal(**json.loads(path.read_text("utf-8")))
        except (ValueError, TypeError) as error:
            raise StorageError(
                f"{path}, which says what an erasure that was broken off has yet to erase, cannot "
                f"be read: {error}; delete it and name all ids again"
            ) from error
    journal.ids = sorted({*journal.ids, *ids})
    return journal


def write(path: Path, journal: Journal) -> None:
    """Write a journal, whole or not at all, and durable before anything is removed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    clear(path)
    with swaps.whole(path, durable=True) as fresh:
        fresh.write_text(json.dumps(asdict(journal)), encoding="utf-8")


def clear(path: Path) -> None:
    """Remove what a process left that was killed while it wrote the journal."""
    for unfinished in path.parent.glob(f"{path.stem}.*.tmp"):
        unfinished.unlink(missing_ok=True)
