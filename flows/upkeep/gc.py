"""Garbage collection: what a store can do without goes, and each thing says why it goes or stays.

It holds a feature's lock while it changes the feature, and the locks of those over it, so it never
races a run, nor takes away what one reads. Kill it at any
instant and run it again: it looks at what is there, and finishes.
"""

from __future__ import annotations

import shutil
import time
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING

from flows.config.stores import Stores
from flows.engines.engine import Direct
from flows.monitoring import references
from flows.monitoring.sketching import MOST_RUNS
from flows.output import units
from flows.pipeline import over
from flows.pipeline.held import with_descendants
from flows.upkeep.leftovers import Item, Leftovers, Work
from flows.upkeep.retention import judge, unnamed
from flows.upkeep.tables import Upkeep
from storage import cleaning, cluster_removal
from storage.staging import clear_leftovers

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from flows.config.settings import Gc, Settings
    from flows.engines.engine import Engine
    from flows.output.progress import Reporter
    from storage.model import Version


@dataclass
class Collector:
    """Looks through a store, and removes what can go.

    Attributes:
        settings: the configuration.
        policy: what stays; ``[gc]`` of the configuration with what the command line says.
        orphans: whether tables go that the catalog does not know.
        indexes: whether indexes are built, extended and dropped as the features ask.
        engine: what carries out the steps.
    """

    settings: Settings
    policy: Gc
    orphans: bool = False
    indexes: bool = False
    engine: Engine = field(default_factory=Direct)

    def __post_init__(self) -> None:
        self._stores = Stores.of(self.settings)
        self._now = datetime.now(UTC)
        self._leftovers = Leftovers(self.settings, self.policy, orphans=self.orphans)

    def look(self, names: Sequence[str]) -> list[Item]:
        """What would be done and what would stay; nothing is written and no lock is held."""
        works = [work for name in self._features(names) for work in self._feature(name)]
        works += [] if names else self._leftovers.works()
        return [work.item for work in works]

    def collect(self, names: Sequence[str], reporter: Reporter) -> list[Item]:
        """Do what there is to do, and tell of that and of what stays.

        Raises:
            StorageError: if a feature's lock cannot be had, or the store cannot be read.
        """
        found: list[Item] = []
        for name in self._features(names):
            with with_descendants(self.settings, [name], reporter):
                found += self._carry_out(self._feature(name), reporter)
        return found if names else found + self._carry_out(self._leftovers.works(), reporter)

    def _features(self, names: Sequence[str]) -> list[str]:
        known = [*cleaning.features(self._stores.catalog), *self.settings.features]
        return list(dict.fromkeys(names or known))

    def _carry_out(self, works: Iterator[Work], reporter: Reporter) -> list[Item]:
        items = []
        for work in list(works):
            item = work.item
            if item.goes:
                reporter.stage(item.feature or "store", f"{item.action} {item.what}", None)
                began = time.perf_counter()
                for name, function in work.steps:
                    self.engine.step(name, function)
                item = replace(item, seconds=time.perf_counter() - began)
            items.append(item)
        return items

    # --- one feature ----------------------------------------------------------------------------

    def _feature(self, name: str) -> Iterator[Work]:
        tables = set(self._stores.vectors.tables())
        for version in self._stores.catalog.versions(name):
            if version.table in tables:
                yield from self._table(version)
            yield from self._staging(version)
            yield from self._maps(version)
            yield from self._sketches(version)
            yield from self._canaries(version)
            yield from self._clusters(version)
        yield from self._logs(name)

    def _table(self, version: Version) -> Iterator[Work]:
        table = version.table
        manifests = self._stores.catalog.manifests(version)
        readable = [m for m in manifests if m.forgotten_at is None]
        if version.dropped_at is not None:
            yield self._whole_table(version, "the catalog says that it was dropped")
            return
        published = readable[-1].lance_version if readable else None
        found = cleaning.physical(self._stores.vectors, table, published)
        long = self._retired_for_long(version) if readable else "nothing of it is published"
        readers = over.readers(version, self.settings, self._stores.catalog)
        if long is not None and readers:
            why = f"{', '.join(readers)} is over it"
            name = (version.feature, version.version, "table", f"all of {table}")
            yield Work(Item(*name, goes=False, why=why))
        elif long is not None and not found.tags:
            yield self._whole_table(version, long)
            return
        better = Upkeep(self.settings, self._stores, self.policy, version, self.indexes)
        upkeep = list(better.works(found, published))
        yield from upkeep
        feature = self.settings.features.get(version.feature)
        reference = references.needed(feature.reference, manifests) if feature else None
        live = version.standing == "live"
        states = judge(
            manifests, self.policy, self._now, tags=found.tags, reference=reference, live=live
        )
        going = [s.lance_version for s in states if s.why is None]
        forget = partial(cleaning.forget_states, self._stores.catalog, version, going, "gc")
        for state in reversed(states):
            yield self._state(version, state.lance_version, state.published, state.why)
        # A tag's state stays, whoever published it, and so does what is going to be published.
        loose = unnamed(found.versions, manifests) - set(found.tags) - {found.head}
        size = cleaning.size_of_states(self._stores.vectors, table, {*loose, *going})
        if not (size or loose or going or any(work.item.goes for work in upkeep)):
            return
        what = f"files of {table} that no state needs any more"
        if loose:
            what = (
                f"never published: {units.several(len(loose), 'state')} of {table}, with all files"
            )
        name = (version.feature, version.version, "leftover", what)
        why = "no manifest names them" if size else "each of the steps above leaves some"
        item = Item(*name, goes=True, why=why, bytes=size)
        yield Work(item, (("forget", forget), ("remove", partial(self._remove, version))))

    def _state(
        self, version: Version, lance_version: int, published: datetime, why: str | None
    ) -> Work:
        what = f"{version.table} as published on {units.moment(published)} (state {lance_version})"
        policy = self.policy
        gone = f"older than {policy.keep_days:g} days and not among the last {policy.keep_runs}"
        item = Item(version.feature, version.version, "state", what, why is None, why or gone)
        return Work(item)

    def _remove(self, version: Version) -> None:
        found = cleaning.physical(self._stores.vectors, version.table)
        manifests = self._stores.catalog.manifests(version)
        loose = unnamed(found.versions, manifests) - set(found.tags) - {found.head}
        cleaning.remove_states(self._stores.vectors, version.table, loose)

    def _retired_for_long(self, version: Version) -> str | None:
        """Why a retired version's table may go, None if it may not."""
        if version.standing != "retired":
            return None
        since = cleaning.retired_since(self._stores.catalog, version)
        days = self.policy.drop_retired_after_days
        if since is None or self._now - since < timedelta(days=days):
            return None
        return f"retired on {since:%Y-%m-%d}, over {days:g} days ago (drop_retired_after_days)"

    def _whole_table(self, version: Version, why: str) -> Work:
        size = cleaning.size_of_table(self._stores.vectors, version.table)
        item = Item(
            *(version.feature, version.version, "table", f"all of {version.table}", True, why),
            size,
        )
        catalog = self._stores.catalog
        forget = partial(cleaning.drop_version, catalog, version, "gc")
        ungroup = partial(cluster_removal.drop, catalog, version)
        drop = partial(self._stores.vectors.drop, version.table)
        published = any(m.forgotten_at is None for m in catalog.manifests(version))
        maps = partial(self._stores.maps.drop, version.table)
        sketches = partial(self._stores.sketches.drop, version.table)
        canaries = partial(self._stores.canaries.drop, version.table)
        steps = (
            *(("clusters", ungroup), ("remove", drop), ("maps", maps)),
            *(("sketches", sketches), ("canaries", canaries)),
        )
        return Work(item, (("forget", forget), *steps) if published else steps)

    def _maps(self, version: Version) -> Iterator[Work]:
        """Maps of a version that was dropped, and what is left of one that was never finished."""
        maps, table = self._stores.maps, version.table
        name = (version.feature, version.version, "map")
        if version.dropped_at is not None and table in maps.tables():
            why, size = f"{table} is dropped", maps.size(table)
            item = Item(*name, f"the maps of {table}", goes=True, why=why, bytes=size)
            yield Work(item, (("maps", partial(maps.drop, table)),))
            return
        for path in maps.leftovers(table):
            if self._leftovers.young(path):
                continue
            size, why = cleaning.size_of(path), "what made it has ended"
            item = Item(*name, str(path), goes=True, why=why, bytes=size)
            yield Work(item, (("maps", partial(path.unlink, missing_ok=True)),))

    def _sketches(self, version: Version) -> Iterator[Work]:
        """Sketches of a version that was dropped, of runs that came to nothing, and broken ones."""
        sketches, table = self._stores.sketches, version.table
        name = (version.feature, version.version, "sketch")
        if version.dropped_at is not None and table in sketches.tables():
            why, size = f"{table} is dropped", sketches.size(table)
            item = Item(*name, f"the sketches of {table}", goes=True, why=why, bytes=size)
            yield Work(item, (("sketches", partial(sketches.drop, table)),))
            return
        published = [m.run_id for m in self._stores.catalog.manifests(version)]
        runs = sketches.runs(table)
        nothing, many = "its run published nothing", f"{MOST_RUNS} later runs have sketches"
        loose = [(sketches.path(table, r), nothing) for r in runs if r not in published]
        old = sorted({*runs} & {*published}, key=published.index)[:-MOST_RUNS]
        loose += [(sketches.path(table, run), many) for run in old]
        loose += [(path, "what made it has ended") for path in sketches.leftovers(table)]
        for path, why in loose:
            if self._leftovers.young(path):
                continue
            size = cleaning.size_of(path)
            item = Item(*name, str(path), goes=True, why=why, bytes=size)
            yield Work(item, (("sketches", partial(path.unlink, missing_ok=True)),))

    def _canaries(self, version: Version) -> Iterator[Work]:
        """Those of a version that was dropped, and what is left of some never written whole."""
        canaries, table = self._stores.canaries, version.table
        name = (version.feature, version.version, "canaries")
        if version.dropped_at is not None and (files := canaries.files(table)):
            why, size = f"{table} is dropped", sum(map(cleaning.size_of, files))
            item = Item(*name, f"the canaries of {table}", goes=True, why=why, bytes=size)
            yield Work(item, (("canaries", partial(canaries.drop, table)),))
            return
        for path in canaries.files(table):
            if path.suffix != ".tmp" or self._leftovers.young(path):
                continue
            size, why = cleaning.size_of(path), "what made it has ended"
            item = Item(*name, str(path), goes=True, why=why, bytes=size)
            yield Work(item, (("canaries", partial(path.unlink, missing_ok=True)),))

    def _logs(self, name: str) -> Iterator[Work]:
        """Logs of runs, by the same rule as states: old enough, and enough newer ones stay."""
        policy, now = self.policy, self._now.timestamp()
        old = [
            path
            for path in self._stores.logs.files(name)[: -policy.keep_runs]
            if now - path.lstat().st_mtime > policy.keep_days * 86_400
        ]
        if old:
            size = sum(map(cleaning.size_of, old))
            why = f"older than {policy.keep_days:g} days and not among the last {policy.keep_runs}"
            what = f"{len(old)} logs of runs of {name}"
            item = Item(name, None, "log", what, goes=True, why=why, bytes=size)
            yield Work(item, tuple(("logs", partial(p.unlink, missing_ok=True)) for p in old))

    def _clusters(self, version: Version) -> Iterator[Work]:
        """Files of clusterings that another took the place of, or whose version is dropped."""
        loose = cluster_removal.loose(self._stores.catalog, version)
        newest = max((file.lstat().st_mtime for file in loose), default=0.0)
        if not loose or self._now.timestamp() - newest < self.policy.grace_hours * 3600:
            return
        name = (version.feature, version.version, "leftover", f"clusters of {version.table}")
        size = sum(cleaning.size_of(file) for file in loose)
        why = "a later clustering took their place"
        if version.dropped_at is not None:
            why = f"{version.table} is dropped"
        item = Item(*name, goes=True, why=why, bytes=size)
        yield Work(item, (("clusters", partial(self._ungroup, version)),))

    def _ungroup(self, version: Version) -> None:
        if version.dropped_at is not None:
            cluster_removal.drop(self._stores.catalog, version)
        for file in cluster_removal.loose(self._stores.catalog, version):
            file.unlink(missing_ok=True)

    def _staging(self, version: Version) -> Iterator[Work]:
        """Work on its way: of use to the next run of the version, if there is to be one."""
        folder = self._stores.staging / version.table
        if not folder.is_dir():
            return
        files = list(cleaning.files_under(folder))
        age = self._now.timestamp() - max((f.lstat().st_mtime for f in files), default=0.0)
        size = cleaning.size_of(folder)
        why = None
        if version.dropped_at is not None:
            why = f"{version.table} is dropped, so no run will use it"
        elif age > self.policy.keep_days * 86_400:
            why = f"no run has used it for {self.policy.keep_days:g} days (keep_days)"
        name = (version.feature, version.version, "staging")
        if why is not None:
            item = Item(*name, f"staged work of {version.table}", goes=True, why=why, bytes=size)
            yield Work(item, (("staging", partial(shutil.rmtree, folder, ignore_errors=True)),))
            return
        kept = [file for file in files if _is_staged(file)]
        size -= sum(file.lstat().st_size for file in kept)
        if len(kept) < len(files):
            what = f"shards and scratch of runs of {version.table} that ended early"
            item = Item(*name, what, goes=True, why="no run is under way", bytes=size)
            yield Work(item, (("staging", partial(clear_leftovers, folder)),))
        if kept:
            what = f"{len(kept)} staged shards of {version.table}"
            yield Work(Item(*name, what, goes=False, why="the next run goes on from them"))


def _is_staged(file: Path) -> bool:
    return file.match("staged-*.parquet")
