"""Measuring how a version's table lies in its store (`flows.monitors._lying`)."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from flows.monitoring import references
from flows.monitors import upkeep
from flows.monitors._lying import Lying
from flows.output import units
from flows.upkeep import indexing
from flows.upkeep.retention import judge, unnamed
from flows.upkeep.tables import Upkeep
from storage import cleaning
from storage.indexes import indexes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flows.config.settings import Feature, Gc, Settings
    from flows.config.stores import Stores
    from storage.model import Manifest, Version


def lying(
    stores: Stores,
    version: Version,
    manifests: Sequence[Manifest],
    policy: Gc,
    feature: Feature | None,
) -> Lying | None:
    """How the state lies that readers see; None where nothing of the version is published.

    Args:
        stores: where the table is.
        version: the version.
        manifests: what was published of it, oldest first.
        policy: which states stay.
        feature: its configuration, for the state that monitors compare with; None where the
            feature is configured no more.

    Raises:
        StorageError: if the table cannot be read.
    """
    readable = [m for m in manifests if m.forgotten_at is None]
    if not readable or version.dropped_at is not None:
        return None
    table, published = version.table, readable[-1].lance_version
    found = cleaning.physical(stores.vectors, table, published)
    needed = references.needed(feature.reference, manifests) if feature else None
    judged = judge(manifests, policy, datetime.now(UTC), tags=found.tags, reference=needed)
    old = unnamed(found.versions, manifests) | {s.lance_version for s in judged if s.why is None}
    old &= {*found.versions} - {*found.tags} - {found.head, published}
    known = indexes(stores.vectors, table, published)
    return Lying(
        rows=stores.vectors.rows(table, published),
        fragments=found.fragments,
        small_fragments=found.small_fragments,
        deleted_rows=found.deleted_rows,
        states=len(found.versions),
        old_states=len(old),
        orphan_bytes=cleaning.size_of_leftovers(stores.vectors, table, old),
        unindexed=max((index.unindexed for index in known), default=0),
    )


def due(settings: Settings, stores: Stores, version: Version, found: Lying) -> list[str]:
    """What of it `vecmill maintain` would mend, in words; nothing where nothing pays.

    Raises:
        StorageError: as `lying`.
    """
    limits = upkeep.Params()
    told = []
    if found.small_fragments >= settings.gc.compact_fragments:
        told.append(f"{found.small_fragments} small fragments")
    if found.old_states > limits.max_old_states:
        told.append(f"{found.old_states:,} states that nobody needs")
    if found.orphan_bytes > limits.max_orphan_mb * 1_000_000:
        told.append(f"{units.size(found.orphan_bytes)} of no state")
    published = stores.catalog.published(version)
    if published is not None:
        tasks = Upkeep(settings, stores, settings.gc, version, with_indexes=True).tasks(
            published.lance_version
        )
        told += indexing.told(tasks)
    return told
