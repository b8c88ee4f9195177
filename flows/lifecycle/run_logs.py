"""The log of a run: found by a part of its id or by its feature, read, and followed."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from flows.config.nearest import hint
from flows.config.stores import Stores
from storage.locks import is_free
from storage.logs import ENDS, entries
from storage.model import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from flows.config.settings import Settings

_SHOWN = 10
_PAUSE = 0.2
"""Seconds between two looks at a log that is followed."""


@dataclass(frozen=True)
class RunLogFile:
    """The log of a run.

    Attributes:
        feature: that the run is of.
        run_id: of the run.
        path: the log's file.
    """

    feature: str
    run_id: str
    path: Path


def find(settings: Settings, which: str | None) -> RunLogFile:
    """The log that is meant.

    Args:
        settings: the configuration.
        which: the beginning of a run's id; or a feature, for its last run; the last run of all
            where it is None.

    Raises:
        UsageError: if there is none such, or the beginning is that of several.
    """
    stores = Stores.of(settings)
    files = stores.logs.files()
    if which is None:
        found = files[-1:]
    elif which in settings.features or which in stores.logs.features():
        found = stores.logs.files(which)[-1:]
    else:
        found = [path for path in files if path.stem.startswith(which)]
    if len(found) > 1:
        some = ", ".join(f"{path.stem} ({path.parent.name})" for path in found[-5:])
        raise UsageError(f"{which!r} is the beginning of {len(found)} runs: {some}; say more of it")
    if not found:
        raise UsageError(_nothing(stores, files, which))
    return RunLogFile(found[0].parent.name, found[0].stem, found[0])


def _nothing(stores: Stores, files: list[Path], which: str | None) -> str:
    if which is not None and _ran(stores, which):
        return (
            f"the run {which} has no log any more: `vecmill gc` or `vecmill erase` has removed it"
        )
    if which is not None and _has_run(stores, which):
        return (
            f"{which} has run, and has no log any more: `vecmill gc` or `vecmill erase` has "
            "removed it; its next run leaves one"
        )
    if not files:
        return f"no run has left a log beside {stores.catalog.path}; `vecmill run` leaves one"
    known = {path.stem: None for path in files[-_SHOWN:]} | dict.fromkeys(stores.logs.features())
    return (
        f"no run has an id that begins with {which!r}, nor has a feature of that name a log"
        f"{hint(str(which), known)}"
    )


def _has_run(stores: Stores, feature: str) -> bool:
    return bool(stores.catalog.query("FROM runs WHERE feature = $1 LIMIT 1", feature).num_rows)


def _ran(stores: Stores, run_id: str) -> bool:
    return bool(stores.catalog.query("FROM runs WHERE run_id = $1", run_id).num_rows)


def lines(log: RunLogFile) -> Iterator[dict[str, Any]]:
    """What the log has so far."""
    for entry, _ in entries(log.path):
        yield entry


def follow(settings: Settings, log: RunLogFile, pause: float = _PAUSE) -> Iterator[dict[str, Any]]:
    """What the log has, and what comes until its run has ended, however it ends."""
    at = 0
    while True:
        over = not under_way(settings, log)
        for entry, after in entries(log.path, at):
            at = after
            yield entry
            over |= entry.get("event") in ENDS
        if over or not log.path.exists():
            return
        time.sleep(pause)


def has_ended(log: RunLogFile) -> bool:
    """Whether the log tells how its run ended."""
    return any(entry.get("event") in ENDS for entry in lines(log))


def under_way(settings: Settings, log: RunLogFile) -> bool:
    """Whether the run may still be at work: it has not told how it ended, and its lock is held."""
    if has_ended(log):
        return False
    stores = Stores.of(settings)
    if stores.logs.files(log.feature)[-1:] != [log.path]:
        return False  # a later run of the feature has begun
    return not is_free(stores.locks / f"{log.feature}.lock")
