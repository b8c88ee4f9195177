"""Making a better head of a table's published state: fewer files, and indexes that know its rows.

Readers keep the state that they have; the better one is published as any other is, so that it can
be pinned, and gone back from. Kill it at any instant: a head that is not published is nobody's.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from flows.config.settings import IndexPolicy
from flows.upkeep import indexing
from flows.upkeep.leftovers import Item, Work
from storage import cleaning
from storage import indexing as making

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from flows.config.settings import Gc, Settings
    from flows.config.stores import Stores
    from flows.upkeep.indexing import Task
    from flows.upkeep.leftovers import Action
    from storage.model import Version

    Step = tuple[str, Callable[[], None]]


@dataclass(frozen=True)
class Upkeep:
    """What would make a version's published state better.

    Attributes:
        with_indexes: whether indexes are looked after too.
    """

    settings: Settings
    stores: Stores
    policy: Gc
    version: Version
    with_indexes: bool = False

    def works(self, found: cleaning.Physical, published: int | None) -> Iterator[Work]:
        """All that there is to do, in order; the last of it publishes what was made."""
        if published is None:
            return
        works = [*self._fragments(found, published), *self._indexes(published)]
        going = [place for place, work in enumerate(works) if work.item.goes]
        for place, work in enumerate(works):
            steps = list(work.steps)
            if going and place == going[0]:
                steps.insert(0, ("restore", self._restore))
            if going and place == going[-1]:
                steps.append(("publish", self._publish))
            yield Work(work.item, tuple(steps))

    def _fragments(self, found: cleaning.Physical, published: int) -> Iterator[Work]:
        """A head that is not what readers see, or that lies in too many pieces."""
        table, pieces = self.version.table, found.small_fragments
        scattered = pieces >= self.policy.compact_fragments
        ahead = found.head != published and found.head not in found.tags
        steps: tuple[Step, ...] = ()
        does: Action
        if scattered:
            what, does = f"the files of {table}", "compact"
            why = (
                f"it lies in {pieces} small fragments; {self.policy.compact_fragments} or more are "
                "put together (compact_fragments)"
            )
            steps = (("compact", self._compact),)
        elif ahead:
            what, does = f"what stands above the published state of {table}", "discard"
            why = "it was never published"
        else:
            return
        yield Work(Item(*self._key("fragments"), what, goes=True, why=why, does=does), steps)

    def _indexes(self, published: int) -> Iterator[Work]:
        for task in self.tasks(published):
            goes = task.action != "keep"
            there = task.index is not None or goes
            what = f"{'the' if there else 'no'} index of {task.column} of {self.version.table}"
            item = Item(*self._key("index"), what, goes=goes, why=task.why, does=task.action)
            yield Work(item, (("index", partial(self._index, task)),) if goes else ())

    def tasks(self, published: int) -> list[Task]:
        """What is to be done with indexes; nothing where the version is not the live one."""
        feature = self.settings.features.get(self.version.feature)
        if not self.with_indexes or self.version.standing != "live":
            return []
        policy = IndexPolicy() if feature is None else feature.index
        return indexing.tasks(self.stores.vectors, self.version, published, policy)

    def _key(self, kind: str) -> tuple[str, int, str]:
        return self.version.feature, self.version.version, kind

    def _restore(self) -> None:
        published = self.stores.catalog.published(self.version)
        if published is not None:
            cleaning.restore(self.stores.vectors, self.version.table, published.lance_version)

    def _compact(self) -> None:
        cleaning.compact(self.stores.vectors, self.version.table)

    def _index(self, task: Task) -> None:
        vectors, table = self.stores.vectors, self.version.table
        if task.action == "build" and task.kind is not None:
            making.build(vectors, table, task.column, task.kind, self.version.metric)
        elif task.action == "extend" and task.index is not None:
            making.extend(vectors, table, task.index.name)
        elif task.index is not None:
            making.drop(vectors, table, task.index.name)

    def _publish(self) -> None:
        published = self.stores.catalog.published(self.version)
        head = self.stores.vectors.head(self.version.table)
        if published is not None and head.version != published.lance_version:
            rows = head.count_rows()
            cleaning.publish_state(self.stores.catalog, published, head.version, rows, "gc")
