"""What lies in a store and is no feature's: tables, fitted states, exports, temporary files."""

from __future__ import annotations

import re
import shutil
import time
from dataclasses import asdict, dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from flows.config.stores import Stores
from flows.reports import kept as kept_reports
from storage import cleaning

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from flows.config.settings import Gc, Settings

_TABLE = re.compile(r".+_v\d+")


Action: TypeAlias = Literal["remove", "discard", "compact", "build", "extend", "drop", "keep"]


@dataclass(frozen=True)
class Item:
    """One thing in the store, whether anything is done to it, and why.

    Attributes:
        feature: whose it is, None where it is nobody's.
        kind: ``state``, ``leftover``, ``fragments``, ``index``, ``table``, ``staging``, ``map``,
            ``canaries``, ``log``, ``fit``, ``export``, ``report`` or ``temporary``.
        bytes: what goes with it, 0 where that is not known before.
        does: what is done to it where something is: ``remove`` it, ``compact`` a table, ``build``,
            ``extend`` or ``drop`` an index, ``discard`` what was never published.
        seconds: how long that took; None where nothing was done.
    """

    feature: str | None
    version: int | None
    kind: str
    what: str
    goes: bool
    why: str
    bytes: int = 0
    does: Action = "remove"
    seconds: float | None = None

    @property
    def action(self) -> Action:
        """What is done to it."""
        return self.does if self.goes else "keep"

    def row(self) -> dict[str, Any]:
        """As one flat row of plain values."""
        row = asdict(self)
        del row["does"]
        return row | {"action": self.action}


@dataclass(frozen=True)
class Work:
    """An item, and the steps that it goes by; each finds out anew what is there."""

    item: Item
    steps: tuple[tuple[str, Callable[[], None]], ...] = ()


class Leftovers:
    """Looks for what is no feature's.

    Args:
        settings: the configuration.
        policy: what stays.
        orphans: whether tables go that the catalog does not know.
    """

    def __init__(self, settings: Settings, policy: Gc, *, orphans: bool) -> None:
        self.settings = settings
        self.policy = policy
        self.orphans = orphans
        self._stores = Stores.of(settings)

    def works(self) -> Iterator[Work]:
        """Everything that there is of the kind."""
        known = {
            version.table
            for name in cleaning.features(self._stores.catalog)
            for version in self._stores.catalog.versions(name)
        }
        yield from self._orphan_tables(known)
        yield from self._fits()
        yield from self._temporary(known)
        yield from self._reports()
        yield from self._logs()

    def _orphan_tables(self, known: set[str]) -> Iterator[Work]:
        for table in sorted(set(self._stores.vectors.tables()) - known):
            why = "the catalog does not know it"
            why += "" if self.orphans else "; --orphans removes it, if it is nobody else's"
            size = cleaning.size_of_table(self._stores.vectors, table)
            item = Item(None, None, "table", f"all of {table}", self.orphans, why, size)
            yield Work(item, (("remove", partial(self._stores.vectors.drop, table)),))

    def _fits(self) -> Iterator[Work]:
        used = cleaning.states_in_use(self._stores.catalog)
        for file in sorted(self._stores.states.glob("*")):
            if file.name.removesuffix(".safetensors") in used or self.young(file):
                continue
            what, size = f"what an encoder learned: {file.name}", cleaning.size_of(file)
            item = Item(None, None, "fit", what, goes=True, why="no version names it", bytes=size)
            yield Work(item, (("fits", partial(file.unlink, missing_ok=True)),))

    def _temporary(self, known: set[str]) -> Iterator[Work]:
        home = self.settings.catalog.parent
        folders = {home, self.settings.root}
        folders |= {
            (self.settings.root / export["path"]).parent
            for export in cleaning.exports(self._stores.catalog)
            if "://" not in export["path"]
        }
        found = [path for folder in sorted(folders) for path in sorted(folder.glob(".vecmill-*"))]
        found += [
            folder for place in (self._stores.staging, home / "maps")
            for folder in sorted(place.glob("*/"))
            if folder.name not in known and _TABLE.fullmatch(folder.name)
        ]  # fmt: skip
        found += [
            file for table in self._stores.canaries.tables()
            if table not in known and _TABLE.fullmatch(table)
            for file in self._stores.canaries.files(table)
        ]  # fmt: skip
        for path in self._stores.catalog.copies():
            days = self.policy.keep_days
            why = f"the catalog as it was before an upgrade; kept for {days:g} days"
            goes = time.time() - path.stat().st_mtime >= days * 86_400
            size = cleaning.size_of(path)
            item = Item(None, None, "temporary", str(path), goes=goes, why=why, bytes=size)
            yield Work(item, (("temporary", partial(_remove_path, path)),) if goes else ())
        found += self._stores.catalog.unfinished_copies()
        for path in found:
            if self.young(path):
                continue
            size, why = cleaning.size_of(path), "what made it has ended"
            item = Item(None, None, "temporary", str(path), goes=True, why=why, bytes=size)
            yield Work(item, (("temporary", partial(_remove_path, path)),))

    def _reports(self) -> Iterator[Work]:
        """Kept reports of what is gone, and what is left of one that was never finished."""
        found = [(path, "what it tells of is gone") for path in kept_reports.loose(self.settings)]
        found += [
            (path, "what made it has ended")
            for path in kept_reports.unfinished(self.settings)
            if not self.young(path)
        ]
        for path, why in found:
            size = cleaning.size_of(path)
            item = Item(None, None, "report", str(path), goes=True, why=why, bytes=size)
            yield Work(item, (("reports", partial(path.unlink, missing_ok=True)),))

    def _logs(self) -> Iterator[Work]:
        """Logs of features that nobody knows any more."""
        logs = self._stores.logs
        known = {*self.settings.features, *cleaning.features(self._stores.catalog)}
        for name in sorted({*logs.features()} - known):
            files = logs.files(name)
            if any(map(self.young, files)):
                continue
            size = sum(map(cleaning.size_of, files))
            what, why = f"logs of runs of {name}", "nobody knows the feature"
            item = Item(None, None, "log", what, goes=True, why=why, bytes=size)
            yield Work(item, (("logs", partial(logs.drop, name)),))

    def young(self, path: Path) -> bool:
        """Whether somebody may still be at work on it."""
        files = [path, *(cleaning.files_under(path) if path.is_dir() else ())]
        newest = max(file.lstat().st_mtime for file in files)
        return bool(time.time() - newest < self.policy.grace_hours * 3600)


def _remove_path(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
