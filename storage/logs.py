"""Logs of runs: a file of JSON lines each, ``logs/FEATURE/RUN.jsonl`` beside the catalog.

Each line is written by itself, so that the log of a killed run holds all but what was never said.
Errors may quote records: `vecmill erase` removes the logs of its feature.
"""

from __future__ import annotations

import json
import os
import shutil
import threading
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

MOST_BYTES = 4 * 2**20
"""A log that has grown so large takes nothing on but how its run ends."""
ENDS = frozenset({"done", "failed"})
"""Events that tell how a run ended."""
_LONGEST = 8_000
"""Characters of a message that are kept."""


class Log:
    """The log of one run, open for writing.

    A log that cannot be written is no reason for a run to fail: what it would have said is lost.

    Args:
        path: its file, which is made, with its folder; None for a log that keeps nothing.
    """

    def __init__(self, path: Path | None) -> None:
        self._lock = threading.Lock()
        self._size = 0
        self._torn = False
        self._file: int | None = None
        if path is not None:
            with suppress(OSError):
                path.parent.mkdir(parents=True, exist_ok=True)
                self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
                self._size = os.fstat(self._file).st_size

    def write(self, event: str, more: Mapping[str, Any], *, last: bool = False) -> None:
        """Add a line.

        Args:
            event: what it tells of.
            more: what it says; values that JSON does not have as text, without secrets.
            last: whether it is how the run ended, which is kept however long the log is.
        """
        entry = {"at": datetime.now(UTC).isoformat(timespec="milliseconds"), "event": event}
        entry |= {key: _short(value) for key, value in more.items()}
        with self._lock:
            if self._file is None or (self._size > MOST_BYTES and not last):
                return
            self._put(entry)
            if self._size > MOST_BYTES and not last:
                self._put(
                    {"at": entry["at"], "event": "full", "message": "the log is full; what comes "
                     "between this line and the end of the run is not in it"}
                )  # fmt: skip

    def _put(self, entry: Mapping[str, Any]) -> None:
        line = json.dumps(entry, ensure_ascii=False, default=str) + "\n"
        # A line that a full disk has cut off takes the next one with it, were it not ended.
        data = ("\n" * self._torn + line).encode("utf-8", "replace")
        with suppress(OSError):
            if self._file is not None:
                written = os.write(self._file, data)
                self._torn = written < len(data)
                self._size += written

    def close(self) -> None:
        """Write no more."""
        with self._lock:
            if self._file is not None:
                os.close(self._file)
                self._file = None


def _short(value: Any) -> Any:  # noqa: ANN401 - any JSON
    if isinstance(value, str) and len(value) > _LONGEST:
        return f"{value[:_LONGEST]}… ({len(value):,} characters)"
    return value


class Logs:
    """The logs of all runs of a store.

    Who removes one holds the feature's lock; reading needs none.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def open(self, feature: str, run_id: str) -> Log:
        """The log of a run, to be added to."""
        return Log(self.path(feature, run_id))

    def reopen(self, feature: str, run_id: str) -> Log:
        """The log of a run that has ended, to be added to if it is still there."""
        path = self.path(feature, run_id)
        return Log(path if path.exists() else None)

    def path(self, feature: str, run_id: str) -> Path:
        """The file of a run's log, whether it is there or not."""
        return self._folder / feature / f"{run_id}.jsonl"

    def features(self) -> list[str]:
        """The features that have logs."""
        return sorted(path.name for path in self._folder.glob("*/"))

    def files(self, feature: str | None = None) -> list[Path]:
        """The logs of a feature, or of all, the oldest first."""
        found = self._folder.glob(f"{feature or '*'}/*.jsonl")
        return sorted(found, key=lambda path: (path.stem, path.parent.name))

    def drop(self, feature: str) -> None:
        """Remove all logs of a feature."""
        shutil.rmtree(self._folder / feature, ignore_errors=True)


def entries(path: Path, begin: int = 0) -> Iterator[tuple[dict[str, Any], int]]:
    """The whole lines of a log from a byte on, each with the byte after it.

    A line that is no JSON, such as one that a full disk has cut off, is passed over.
    """
    with path.open("rb") as file:
        file.seek(begin)
        for line in file:
            if not line.endswith(b"\n"):
                return
            begin += len(line)
            try:
                entry = json.loads(line)
            except ValueError:
                continue
            if isinstance(entry, dict):
                yield entry, begin
